"""What a new run is to be: its settings, from flags and a file, and its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from imil.errors import SettingsError
from imil.round_settings import check_rounds
from imil.run_folder import RunFolder
from imil.settings import TrainSettings, flag_name, load_config, resolve

FOLDERS = ("out", "cache")  # flags of `imil train` that are not settings of the training


def config_folders(config: Path | None) -> dict[str, Path]:
    """The folders `out` and `cache` that a configuration file names.

    Raises: SettingsError: the file cannot be read, or one of the values is not text.
    """
    values = {} if config is None else load_config(config)
    for name in FOLDERS:
        if not isinstance(values.get(name, ""), str):
            raise SettingsError(f"--{name} is {values[name]!r}: give the path of a folder")
    return {name: Path(values[name]) for name in FOLDERS if name in values}


def given_data(flags: Mapping[str, Any], config: Path | None) -> str:
    """DATA as it was given, "" where it was not.

    Raises: SettingsError: the configuration file cannot be read.
    """
    values = {} if config is None else load_config(config)
    return str((values | dict(flags)).get("data") or "")


def set_up_run(
    flags: Mapping[str, Any], config: Path | None, out: Path | None
) -> tuple[TrainSettings, RunFolder]:
    """The resolved settings and the folder of a new run; flags win over the configuration file.

    Paths are made absolute, so that the run can be resumed from any folder.

    Raises: SettingsError: a setting is invalid, or the folder already holds a run.
    """
    settings = resolve_settings(flags, config)
    settings.check_grid()
    check_rounds(settings)
    folder = RunFolder(out or _unused_folder(Path("runs"), settings))
    _check_unused(folder, settings)
    return settings, folder


def resolve_settings(flags: Mapping[str, Any], config: Path | None) -> TrainSettings:
    """The settings of flags and a file, with absolute paths.

    Raises: SettingsError: one is invalid.
    """
    values = ({} if config is None else load_config(config)) | dict(flags)
    for name in FOLDERS:
        values.pop(name, None)
    return resolve(values).with_absolute_paths(Path())


def _check_unused(folder: RunFolder, settings: TrainSettings) -> None:
    if folder.config.exists():
        raise SettingsError(_holds_a_run(folder, settings))
    if folder.path.exists() and not folder.path.is_dir():
        raise SettingsError(f"--out {folder.path} is a file: give a folder")
    if folder.path.is_dir() and folder.has_files:
        raise SettingsError(f"--out {folder.path} is not empty: give a new folder")


def _holds_a_run(folder: RunFolder, settings: TrainSettings) -> str:
    previous, values = load_config(folder.config), settings.model_dump(mode="json")
    changed = [
        name for name, value in values.items() if not _admits(value, previous.get(name, value))
    ]
    if not changed:
        return (
            f"{folder.path} already holds this run: continue it with `imil resume {folder.path}`, "
            "or give another --out"
        )
    name = changed[0]
    return (
        f"{folder.path} holds a run with other settings ({flag_name(name)} {previous[name]}, now "
        f"{values[name]}): give another --out"
    )


def _admits(value: Any, resolved: Any) -> bool:
    """Whether a setting may have been resolved to that: `auto`, or weights without a revision."""
    if value == "imagenet":
        return str(resolved).partition("@")[0] == value
    return value in ("auto", resolved)


def _unused_folder(parent: Path, settings: TrainSettings) -> Path:
    """runs/films-resnet50, or the first of runs/films-resnet50-2, -3 … that does not exist."""
    stem = f"{Path(settings.data).resolve().stem}-{settings.model.replace('/', '-')}"
    number, path = 1, parent / stem
    while path.exists():
        number += 1
        path = parent / f"{stem}-{number}"
    return path
