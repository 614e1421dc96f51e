"""A finished run in a tracker of experiments, under stable names, from its folder alone.

Numbers: `epoch/train_loss` and the like of each epoch, `round/test/accuracy` before each round,
`end/test/accuracy`. Text: `round/cases`. Figures: `figures/curve`, `figures/cases`,
`figures/learned`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from imil.errors import SettingsError
from imil.images.load import load_image
from imil.run_folder import RunFolder
from imil.settings import Logger
from imil.store import Store
from imil.store_address import Location
from imil.training.outputs.prediction_files import read_metrics

NEEDS = {"tensorboard": "tensorboard"}  # packages, by logger


class Tracker(Protocol):
    """Where a run is shown."""

    def number(self, name: str, value: float, epoch: int) -> None:
        """A number after so many epochs."""

    def text(self, name: str, text: str, epoch: int) -> None:
        """A Markdown table after so many epochs."""

    def figure(self, name: str, file: Path, epoch: int) -> None:
        """A PNG file of the run's folder."""

    def close(self) -> None:
        """Write what is not written."""


def check_logger(logger: Logger) -> None:
    """Raises: SettingsError: its package is not installed."""
    package = NEEDS.get(logger)
    if package is not None and find_spec(package) is None:
        raise SettingsError(
            f"--logger {logger} needs {package}, which is not installed: pip install imil[{logger}]"
        )


def track_run(logger: Logger, folder: RunFolder, store: Location, run: str | None) -> None:
    """Show a finished run in a tracker; nothing for the logger `none`.

    Args:
        folder: with its history, metrics and figures.
        store: where its rounds are.
        run: its name there; None: it has no rounds.
    """
    if logger == "none":
        return
    tracker: Tracker = CsvTracker(folder) if logger == "csv" else TensorBoardTracker(folder)
    with closing(tracker):
        last = 0
        with folder.history.open(newline="") as file:
            for row in csv.DictReader(file):
                last = int(row["epoch"])
                for name, value in row.items():
                    if name != "epoch" and value:
                        tracker.number(f"epoch/{name}", float(value), last)
        for name, value, epoch in _metrics(read_metrics(folder), last):
            tracker.number(name, value, epoch)
        if run is not None:
            for epoch, table in _cases(store, run):
                tracker.text("round/cases", table, epoch)
        figures = {
            "curve": folder.curve,
            "cases": folder.page.with_suffix(".png"),
            "learned": folder.learned_map,
        }
        for name, path in figures.items():
            if path.exists():
                tracker.figure(f"figures/{name}", path, last)


def _metrics(metrics: dict[str, Any], last: int) -> Iterator[tuple[str, float, int]]:
    """Name, value and epoch of each measure of each split."""
    parts = [("round", held["before"], held["epoch"]) for held in metrics["rounds"]]
    for when, splits, epoch in [*parts, ("end", metrics["end"], last)]:
        for split, measures in splits.items():
            for name, value in measures.items():
                if value is not None:
                    yield f"{when}/{split}/{name}", float(value), int(epoch)


def _cases(store: Location, run: str) -> Iterator[tuple[int, str]]:
    """Epoch and cases of each round, as a Markdown table."""
    with closing(Store(store, readonly=True)) as opened:
        for round_ in opened.rounds(run):
            lines = ["| case | image | label | predicted | confidence |", "|---|---|---|---|---|"]
            lines += [
                f"| {case.number} | {_cell(case.key)} | {_cell(case.true_name)} | "
                f"{_cell(case.predicted_name)} | {case.confidence:.3f} |"
                for case in opened.cases(round_.id)
            ]
            yield round_.epoch, "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


class CsvTracker:
    """Rows of name, epoch and value in tracker.csv; a figure's value is its file name."""

    def __init__(self, folder: RunFolder) -> None:
        self._file = (folder.path / "tracker.csv").open("w", newline="", encoding="utf-8")
        self._rows = csv.writer(self._file)
        self._rows.writerow(["name", "epoch", "value"])

    def number(self, name: str, value: float, epoch: int) -> None:
        """A number after so many epochs."""
        self._rows.writerow([name, epoch, value])

    def text(self, name: str, text: str, epoch: int) -> None:
        """A Markdown table after so many epochs."""
        self._rows.writerow([name, epoch, text])

    def figure(self, name: str, file: Path, epoch: int) -> None:
        """A PNG file of the run's folder."""
        self._rows.writerow([name, epoch, file.name])

    def close(self) -> None:
        """Write what is not written."""
        self._file.close()


class TensorBoardTracker:
    """Event files in the folder `tensorboard` of the run."""

    def __init__(self, folder: RunFolder) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder.path / "tensorboard"))

    def number(self, name: str, value: float, epoch: int) -> None:
        """A number after so many epochs."""
        self._writer.add_scalar(name, value, epoch)

    def text(self, name: str, text: str, epoch: int) -> None:
        """A Markdown table after so many epochs."""
        self._writer.add_text(name, text, epoch)

    def figure(self, name: str, file: Path, epoch: int) -> None:
        """A PNG file of the run's folder."""
        self._writer.add_image(name, np.atleast_3d(load_image(file)), epoch, dataformats="HWC")

    def close(self) -> None:
        """Write what is not written."""
        self._writer.close()
