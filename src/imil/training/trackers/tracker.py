"""What a tracker of experiments takes, and whether the one that is asked for is installed."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from imil.errors import SettingsError
from imil.settings import Logger

NEEDS = {"tensorboard": "tensorboard", "mlflow": "mlflow", "wandb": "wandb"}  # package, by logger


class Tracker(Protocol):
    """Where a run is shown.

    `local` says that what it is given stays in the run's folder; `id` is what it calls the run, by
    which a resumed training goes on with it, and empty where it needs none.
    """

    local: bool
    id: str

    def number(self, name: str, value: float, epoch: int) -> None:
        """A number after so many epochs."""

    def table(self, name: str, rows: Sequence[Sequence[str]], epoch: int) -> None:
        """A table after so many epochs, its header first."""

    def figure(self, name: str, file: Path, epoch: int) -> None:
        """A PNG file after so many epochs."""

    def flush(self) -> None:
        """Show what was given so far."""

    def close(self, *, finished: bool) -> None:
        """Show everything; `finished`: the training is at its end."""


def check_logger(logger: Logger) -> None:
    """Raises: SettingsError: its package is not installed."""
    package = NEEDS.get(logger)
    if package is not None and find_spec(package) is None:
        raise SettingsError(
            f"--logger {logger} needs {package}, which is not installed: pip install imil[{logger}]"
        )


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The table as Markdown; a bar or a new line in a cell does not end it."""
    header, *body = [[_cell(text) for text in row] for row in rows]
    lines = [header, ["---"] * len(header), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
