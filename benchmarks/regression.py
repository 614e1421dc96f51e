"""Whether imil has become slower: two results of one benchmark, from the same machine.

Of any but those of the reading room, which measures no ratios, and of the paper's table, which is
made once.

    python benchmarks/pause.py --out before.json
    python benchmarks/pause.py --out after.json
    python benchmarks/regression.py before.json after.json

What is compared are ratios to a limit or rival that was measured in the same minutes, so a machine
that is slower today does not matter. How far they scatter, the turns of each show. Slower means:
the median has moved by more than three standard errors of the two together; ends with 1 then.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median, variance

from rich.console import Console
from rich.table import Table

ALIKE = ("benchmark", "machine", "processors", "threads", "gpu", "precision")


def verdict(before: list[float], after: list[float]) -> str:
    """In a word, of multiples of a limit's time."""
    if min(len(before), len(after)) < 3:
        return "too few turns"
    moved = median(after) - median(before)
    noise = 3 * (variance(before) / len(before) + variance(after) / len(after)) ** 0.5
    if abs(moved) <= noise:
        return "no difference shown"
    return "slower" if moved > 0 else "faster"


def median_and_range(turns: list[float]) -> str:
    """Median and range."""
    return f"{median(turns):.2f} ({min(turns):.2f}-{max(turns):.2f})"


def main() -> None:
    """Compare, and say so."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    args = parser.parse_args()
    before, after = (json.loads(path.read_text()) for path in (args.before, args.after))
    for fact in ALIKE:
        was, now = (result.get(fact, "not known") for result in (before, after))
        if was != now:
            parser.error(f"{fact} is {was} before and {now} after: not the same")
    both = before["ratios"].keys() & after["ratios"].keys()
    if not both:
        parser.error("the two have nothing in common: run both with --full, or both without")
    table = Table(title=f"{after['benchmark']}: times the limit")
    for column in ("", "before", "after", ""):
        table.add_column(column)
    slower = False
    for name in sorted(both):
        was, now = before["ratios"][name], after["ratios"][name]
        table.add_row(name, median_and_range(was), median_and_range(now), verdict(was, now))
        slower |= verdict(was, now) == "slower"
    Console().print(table)
    raise SystemExit(int(slower))


if __name__ == "__main__":
    main()
