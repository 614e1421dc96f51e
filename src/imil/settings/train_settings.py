"""The settings of one training: made from values, read from TOML, written as TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomli_w
from pydantic import ValidationError

from imil.data.dicomweb import absolute_data
from imil.errors import SettingsError
from imil.settings.data import DataFields
from imil.settings.fields import flag_name
from imil.settings.round import RoundFields
from imil.settings.training import TrainingFields, is_weights_file

MOST_SHOWN = 200  # characters of a value in a message


class TrainSettings(RoundFields, TrainingFields, DataFields):  # pydantic lists the last first
    """One training.

    Raises: SettingsError, from `resolve`: a value is out of range, or a name is unknown.
    """

    def check_grid(self) -> None:
        """Apart from the other checks: a control lays its box on a finer grid than any reader's.

        Raises: SettingsError: the grid has a square without a pixel.
        """
        rows, columns, *slabs = map(int, self.grid_size.split("x"))
        if slabs and slabs[0] > self.image_depth > 1:
            raise SettingsError(
                f"--grid-size {self.grid_size} has slabs without a slice at --image-depth "
                f"{self.image_depth}: give fewer slabs, or more slices"
            )
        if max(rows, columns) > self.image_size:
            raise SettingsError(
                f"--grid-size {self.grid_size} has squares without a pixel at --image-size "
                f"{self.image_size}: give a coarser grid, or a larger image"
            )

    def with_absolute_paths(self, base: Path) -> TrainSettings:
        """The same settings, relative paths taken from the folder `base`: `resume` may be run
        from any folder.
        """
        paths: dict[str, Any] = {
            "data": absolute_data(base, self.data),
            "reader": self.reader.with_absolute_file(base),
        }
        if is_weights_file(self.weights):
            paths["weights"] = str((base / self.weights).absolute())
        library, _, folder = self.model.partition(":")
        if library == "transformers":
            paths["model"] = f"{library}:{(base / folder).absolute()}"
        return self.model_copy(update=paths)

    def write(self, path: Path) -> None:
        """Write the resolved settings as TOML, under the names of the flags."""
        values = {flag_name(name): value for name, value in self.model_dump(mode="json").items()}
        path.write_bytes(tomli_w.dumps(values).encode())


def resolve(values: Mapping[str, Any]) -> TrainSettings:
    """The settings with the defaults filled in.

    Raises: SettingsError: a name is unknown, or a value is out of range.
    """
    try:
        return TrainSettings(**values)
    except ValidationError as error:
        raise SettingsError(_message(error)) from None


def load_config(path: Path) -> dict[str, Any]:
    """The values of a TOML file, under the names of the settings.

    Raises: SettingsError: it cannot be read, or is not TOML.
    """
    return {name.replace("-", "_"): value for name, value in load_toml(path).items()}


def load_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file.

    Raises: SettingsError: it cannot be read, or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except RecursionError:
        raise SettingsError(f"{path} is not valid TOML: it is nested too deeply") from None
    except ValueError as error:  # also of numbers with too many digits
        raise SettingsError(f"{path} is not valid TOML: {error}") from error


def _message(error: ValidationError) -> str:
    first = error.errors()[0]
    name = flag_name(str(first["loc"][0])) if first["loc"] else "setting"
    if first["type"] == "extra_forbidden":
        known = ", ".join(map(flag_name, TrainSettings.model_fields))
        return f"unknown setting '{name}': give one of {known}"
    if first["type"] == "missing":
        return f"{name} is missing: name a table of images or a folder"
    return f"--{name} is {shown(first['input'])}: {first['msg'][0].lower()}{first['msg'][1:]}"


def shown(value: object) -> str:
    """A value as a message shows it: not longer than a line."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of too many digits, or deep nesting
        return "too large to be shown"
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
