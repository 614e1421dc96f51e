"""When readings took effect in a live training: what a resumed run repeats.

A reading that comes while training goes on is used from a step that depends on when it came. The
record says which, so that a run which was stopped uses each reading again from the same step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from imil.atomic_files import write_json
from imil.cases import Correction
from imil.errors import SettingsError, SquareError
from imil.grid import Grid
from imil.json_files import damaged_file, read_table

REMEDY = "put a copy in its place, or train anew with another --out"


@dataclass(frozen=True)
class Change:
    """What the readings of a case changed, and from which step on.

    Args:
        round: completed epochs at the round.
        case: number of the case in it.
        key: of the sample.
        readers: whose answers count.
        readings: their ids.
        grid: rows and columns, and slabs of a volume.
        squares: what is kept of the image; None: it is as it was before the round.
        epoch: completed epochs when it took effect.
        batch: how many batches of the next epoch were drawn by then.
    """

    round: int
    case: int
    key: str
    readers: str
    readings: tuple[str, ...]
    grid: tuple[int, ...]
    squares: tuple[int, ...] | None
    epoch: int
    batch: int

    @property
    def when(self) -> tuple[int, int]:
        """Its place in the order of steps."""
        return self.epoch, self.batch

    @property
    def correction(self) -> Correction | None:
        """What is kept of the image; None: it is as it was before the round."""
        return None if self.squares is None else Correction(Grid(*self.grid), self.squares)


class LiveRecord:
    """The changes so far, in their order, and which rounds are over.

    `over` says of each round, by its completed epochs, after how many completed epochs it was taken
    up as a whole.

    Args:
        path: a JSON file, which is read if it exists.
    Raises: DataError: the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.changes: list[Change] = []
        self.over: dict[int, int] = {}
        if not path.exists():
            return
        values = read_table(path, REMEDY)
        try:
            self.changes = [_change(row) for row in values["changes"]]
            self.over = {int(row["round"]): int(row["epoch"]) for row in values["over"]}
        except (KeyError, TypeError, ValueError, AttributeError, SettingsError, SquareError):
            raise damaged_file(path, REMEDY) from None

    def add(self, changes: Iterable[Change]) -> None:
        """Note changes; they are on disk when this returns."""
        self.changes += changes
        self._write()

    def end(self, rounds: Iterable[int], epoch: int) -> None:
        """Note that these rounds are taken up as a whole after so many completed epochs."""
        self.over |= dict.fromkeys(rounds, epoch)
        self._write()

    def _write(self) -> None:
        over = [{"round": round_, "epoch": epoch} for round_, epoch in self.over.items()]
        write_json(self._path, {"changes": list(map(asdict, self.changes)), "over": over})


def _change(row: dict[str, Any]) -> Change:
    change = Change(**row)
    numbers = (change.round, change.case, change.epoch, change.batch)
    if not all(isinstance(one, int) for one in numbers) or not isinstance(change.key, str):
        raise ValueError(row)
    grid = Grid(*change.grid)
    return replace(
        change,
        grid=grid.shape,
        squares=None if change.squares is None else grid.check(change.squares),
        readings=tuple(change.readings),
    )
