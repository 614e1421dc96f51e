"""`python -m imil.training.ranks.child FILE SIZE RANK`: a rank that `imil train` starts."""

from __future__ import annotations

import sys
from pathlib import Path

from imil.permissions import restrict
from imil.training.ranks.follower import LeaderLost, follow
from imil.training.ranks.placement import Placement


def main(file: str, size: str, rank: str) -> None:
    """Be that rank."""
    restrict()
    try:
        follow(Placement(int(rank), int(size), int(rank)), Path(file))
    except LeaderLost:  # it was killed, and nobody reads what is printed here
        raise SystemExit(2) from None


if __name__ == "__main__":
    main(*sys.argv[1:])
