"""The folder of a round of discrepancies: its files, and what it was made from."""

from __future__ import annotations

from pathlib import Path

from imil.errors import DataError, SettingsError
from imil.json_files import read_table
from imil.run_folder import RunFolder
from imil.settings import TrainSettings, load_config, resolve

EPOCH = 0  # of the round: it comes before the first epoch of the training that goes on with it
RECORD = "discrepancies.json"


def finished_run(path: Path) -> tuple[RunFolder, TrainSettings]:
    """The folder and the settings of a finished run. Raises: SettingsError: it is none."""
    folder = RunFolder(path)
    if not folder.config.exists() or not folder.weights.exists():
        raise SettingsError(f"'{path}' is not a finished run: give the folder of one")
    return folder, resolve(load_config(folder.config))


def read_record(path: Path) -> dict[str, str]:
    """What a folder that `imil round open` made was made from: `model` and `data`, absolute paths.

    Raises: DataError: it is no such folder, or damaged.
    """
    try:
        values = read_table(path / RECORD, "open the round again")
    except FileNotFoundError:
        raise DataError(
            f"'{path}' has no round of discrepancies: give a folder that `imil round open` made"
        ) from None
    return {name: str(values[name]) for name in ("model", "data")}
