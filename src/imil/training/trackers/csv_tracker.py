"""A run in one table of names, epochs and values."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

from imil.run_folder import RunFolder
from imil.training.trackers.tracker import markdown

HEADER = ["name", "epoch", "value"]


class CsvTracker:
    """Rows of tracker.csv; a figure's value is its path in the run's folder.

    Args:
        folder: of the run.
        goes_on: whether the rows of an earlier part of the training stay.
    """

    local, id = True, ""

    def __init__(self, folder: RunFolder, *, goes_on: bool) -> None:
        path = folder.path / "tracker.csv"
        goes_on = goes_on and path.exists()
        self._known = set(_keys(path)) if goes_on else set()
        self._folder = folder.path
        self._file = path.open("a" if goes_on else "w", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        if not goes_on:
            self._rows.writerow(HEADER)

    def number(self, name: str, value: float, epoch: int) -> None:
        """A number after so many epochs."""
        self._add(name, epoch, str(value))

    def table(self, name: str, rows: Sequence[Sequence[str]], epoch: int) -> None:
        """A table as Markdown."""
        self._add(name, epoch, markdown(rows))

    def figure(self, name: str, file: Path, epoch: int) -> None:
        """The path of a PNG file."""
        self._add(name, epoch, str(file.relative_to(self._folder)))

    def flush(self) -> None:
        """Write what is not written."""
        self._file.flush()

    def close(self, *, finished: bool) -> None:
        """Write what is not written."""
        self._file.close()

    def _add(self, name: str, epoch: int, value: str) -> None:
        if (name, str(epoch)) not in self._known:  # an epoch that is trained again gives the same
            self._rows.writerow([name, epoch, value])


def _keys(path: Path) -> list[tuple[str, str]]:
    """Name and epoch of each row."""
    with path.open(newline="", encoding="utf-8") as file:
        return [(row["name"], row["epoch"]) for row in csv.DictReader(file)]
