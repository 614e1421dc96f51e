"""What `imil train` is asked to do: flags, a TOML file, and the paper's defaults."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from imil.data.table import Columns
from imil.errors import SettingsError
from imil.grid import Grid
from imil.pytorch.callback import check_epochs

Mix = Literal["none", "mixup", "cutmix", "cutout"]
Augment = Literal["flip", "crop"]


class TrainSettings(BaseModel):
    """One training. Every default that the paper gives is the paper's (section 3.3.2).

    Raises: SettingsError, from `resolve`: a value is out of range, or a name is unknown.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str
    model: str = "resnet50"
    weights: str = "none"
    image_size: Annotated[int, Field(ge=16, le=4096)] = 224
    channels: Literal[1, 3] = 1
    epochs: Annotated[int, Field(ge=1, le=100_000)] = 100
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 64
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    lr: Annotated[float, Field(gt=0, le=100, allow_inf_nan=False)] = 0.001
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    imil_epoch: tuple[int, ...] = (70,)
    num_outliers: Annotated[int, Field(ge=1, le=1_000_000)] = 20
    grid_size: str = "4x4"
    reader: str = "console"
    reader_name: Annotated[str, Field(min_length=1, max_length=100)] = "reader"
    protocol: Literal["paper", "blind-first"] = "paper"
    augment: tuple[Augment, ...] = ()
    mix: Mix = "none"
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    precision: Literal["auto", "32", "bf16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    treatment: str = "imil"
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    val_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    low_memory: bool = False
    skip_bad: bool = False
    image_column: str = "image"
    label_column: str = "label"
    split_column: str = "split"
    patient_column: str = "patient"
    class_name_column: str = "class_name"
    mask_columns: tuple[str, ...] = ("lesion_mask", "lung_mask")

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, bool) and info.field_name not in ("low_memory", "skip_bad"):
            said = str(value).lower()
            raise SettingsError(f"--{_flag(str(info.field_name))} is {said}: give a value")
        return value

    @field_validator("imil_epoch", "augment", "mask_columns", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        if isinstance(value, str):  # as on the command line
            return [word.strip() for word in value.split(",") if word.strip()]
        return (value,) if type(value) is int else value

    @field_validator("imil_epoch")
    @classmethod
    def _in_order(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        return check_epochs(value)

    @field_validator("augment", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return () if value in ("none", ["none"]) else value

    @field_validator("grid_size", mode="before")
    @classmethod
    def _grid(cls, value: Any) -> str:
        grid = Grid.parse(value)
        return f"{grid.rows}x{grid.cols}"

    def check_grid(self) -> None:
        """Apart from the other checks: a control lays its box on a finer grid than any reader's.

        Raises: SettingsError: a square of the grid has no pixel.
        """
        grid = Grid.parse(self.grid_size)
        if max(grid.rows, grid.cols) > self.image_size:
            raise SettingsError(
                f"--grid-size {self.grid_size} has squares without a pixel at --image-size "
                f"{self.image_size}: give a coarser grid, or a larger image"
            )

    def columns(self) -> Columns:
        """The names of the table's columns."""
        return Columns(
            image=self.image_column,
            label=self.label_column,
            split=self.split_column,
            patient=self.patient_column,
            class_name=self.class_name_column,
            masks=self.mask_columns,
        )

    def write(self, path: Path) -> None:
        """Write the resolved settings as TOML, under the names of the flags."""
        values = {_flag(name): value for name, value in self.model_dump(mode="json").items()}
        path.write_bytes(tomli_w.dumps(values).encode())


def resolve(values: Mapping[str, Any]) -> TrainSettings:
    """The settings with the defaults filled in.

    Raises: SettingsError: a name is unknown, or a value is out of range.
    """
    try:
        return TrainSettings(**values)
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None


def load_config(path: Path) -> dict[str, Any]:
    """The values of a TOML file, under the names of the settings."""
    try:
        read = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no TOML: {error}") from error
    return {name.replace("-", "_"): value for name, value in read.items()}


def _flag(name: str) -> str:
    return name.replace("_", "-")


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    name = _flag(str(first["loc"][0])) if first["loc"] else "setting"
    if first["type"] == "extra_forbidden":
        known = ", ".join(_flag(field) for field in TrainSettings.model_fields)
        return f"'{name}' is no setting: give one of {known}"
    if first["type"] == "missing":
        return f"{name} is missing: name a table of images or a folder"
    return f"--{name} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
