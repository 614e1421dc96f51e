"""The tables of a study's plan: readers, splits, external sets, shortcut and treatments."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from imil.data.shortcuts import Kind, Place
from imil.errors import SettingsError
from imil.readers.spec import ReaderSpec
from imil.settings import ReaderField
from imil.study.arms import Control

Whole = Annotated[int, Field(strict=True)]  # strict: true is not a number
Share = Annotated[float, Field(strict=True)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]


class Reader(BaseModel):
    """A reader, who answers the round of an `imil` arm.

    Args:
        name: in tables and files.
        reader: as for `imil train --reader`: simulated with options, replay:FILE, web, console.
        otherwise: for cases that are not in the replayed file: skip them, or ask a person at the
            `console` or on a `web` page.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    reader: ReaderField = ReaderSpec("simulated")
    otherwise: Literal["skip", "console", "web"] = "skip"

    @field_validator("reader", mode="before")
    @classmethod
    def _name_reader_in_error(cls, value: Any, info: ValidationInfo) -> Any:
        try:
            return ReaderSpec.parse(value) if isinstance(value, str) else value
        except SettingsError as error:
            name = info.data.get("name", value)
            raise SettingsError(f"the reader '{name}' cannot answer: {error}") from error

    @property
    def asks(self) -> Literal["", "console", "web"]:
        """Where a person is asked; empty if no person is."""
        if self.otherwise != "skip":
            return self.otherwise
        kind = self.reader.kind
        return kind if kind == "console" or kind == "web" else ""


class Splits(BaseModel):
    """How the images are split into training, validation and test sets, `count` times."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[Whole, Field(ge=1, le=1000)] = 1
    test_share: Annotated[Share, Field(gt=0, lt=1)] = 0.2
    val_share: Annotated[Share, Field(ge=0, lt=1)] = 0.0
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0


class External(BaseModel):
    """An external test set: a table that is never trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str


class Shortcut(BaseModel):
    """A mark that is planted into the images, see `imil.data.shortcuts`.

    Args:
        kind, place: what it looks like, and where.
        share: of the training images of the last class that carry it, and of the others that do
            not, in [0.5, 1]. At 0.5 it says nothing about the class.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Kind = "letter"
    place: Place = "upper-right"
    share: Annotated[Share, Field(ge=0.5, le=1)] = 0.97


class Treatment(BaseModel):
    """A treatment that is tried with the readings of the arm `imil`.

    Args:
        name: of its arm, in tables and files.
        treatment: as for `imil train --treatment`; the name, if not given.
        controls: `random` (as many squares, at random) and `inverted` (the other squares), which
            the same treatment is also given.
        without_shortcut: also try it where no shortcut is planted, with a round of its own: what
            does it cost where there is nothing to cure?
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    treatment: Annotated[str, Field(min_length=1)] | None = None
    controls: tuple[Control, ...] = ()
    without_shortcut: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _is_known(self) -> Treatment:
        if len(set(self.controls)) < len(self.controls):
            raise SettingsError(
                f"the treatment '{self.name}' has a control twice: give each control once"
            )
        from imil.treatments import find_treatment  # here: it needs PyTorch

        try:
            find_treatment(self.text)
        except SettingsError as error:
            raise SettingsError(f"the treatment '{self.name}' cannot be used: {error}") from error
        return self

    @property
    def text(self) -> str:
        """The treatment with its options."""
        return self.treatment or self.name
