"""The tables of a study's plan: readers, splits, external sets, shortcut and treatments."""

from __future__ import annotations

from collections.abc import Sequence
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

OWN_ROUND = ("grid_size", "num_outliers", "imil_epoch", "budget")  # settings of a round

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
    """A treatment that is tried with the readings of the arm `imil`, or in rounds of its own.

    Args:
        name: of its arm, in tables and files.
        treatment: as for `imil train --treatment`; the name, if not given.
        controls: `random` (as many squares, at random) and `inverted` (the other squares), which
            the same treatment is also given; `reader-free`: squares that no reader chose, where
            the treatment can do that (see `imil.treatments.reader_free`).
        without_shortcut: also try it where no shortcut is planted, with a round of its own: what
            does it cost where there is nothing to cure?
        grid_size, num_outliers, imil_epoch, budget: of its rounds, in place of those in [training];
            it then has rounds of its own with the first reader, and does not repeat `imil`'s.
        share_of_data: of the training images that it is trained on, in (0, 1], drawn with the seed,
            stratified by class; no patient in part. It is then compared with a baseline of the
            same images.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Name
    treatment: Annotated[str, Field(min_length=1)] | None = None
    controls: tuple[Control, ...] = ()
    without_shortcut: Annotated[bool, Field(strict=True)] = False
    grid_size: Whole | str | None = None
    num_outliers: Whole | None = None
    imil_epoch: Whole | tuple[Whole, ...] | None = None
    budget: Whole | None = None
    share_of_data: Annotated[Share, Field(gt=0, le=1)] = 1.0

    @model_validator(mode="after")
    def _is_known(self) -> Treatment:
        if len(set(self.controls)) < len(self.controls):
            raise SettingsError(
                f"the treatment '{self.name}' has a control twice: give each control once"
            )
        if self.num_outliers is not None and self.budget is not None:
            raise SettingsError(
                f"the treatment '{self.name}' has num-outliers and budget, which contradict each "
                "other: give one of them"
            )
        if self.without_shortcut and self.share_of_data < 1:
            raise SettingsError(
                f"the treatment '{self.name}' has without_shortcut and share-of-data "
                f"{self.share_of_data:g}, but 'no-shortcut' is trained on all images: take one out"
            )
        from imil.treatments import find_treatment  # here: it needs PyTorch

        try:
            find_treatment(self.text)
            if "reader-free" in self.controls:
                _ = self.text_without_reader
        except SettingsError as error:
            raise SettingsError(f"the treatment '{self.name}' cannot be used: {error}") from error
        return self

    @property
    def text_without_reader(self) -> str:
        """The treatment with squares that are drawn anew. Raises: SettingsError: it cannot."""
        from imil.treatments import TREATMENTS  # here: it needs PyTorch
        from imil.treatments.reader_free import reader_free

        return reader_free(self.text, TREATMENTS)

    @property
    def round_settings(self) -> dict[str, Any]:
        """The settings of its own rounds, by the names of `TrainSettings`; empty if it has none."""
        given = {name: getattr(self, name) for name in OWN_ROUND}
        return {name: value for name, value in given.items() if value is not None}

    @property
    def has_own_round(self) -> bool:
        """Whether it cannot repeat the readings of the arm `imil`."""
        return bool(self.round_settings) or self.share_of_data < 1

    @property
    def text(self) -> str:
        """The treatment with its options."""
        return self.treatment or self.name


class Screening(BaseModel):
    """Which seeds choose the best treatment; the others alone say how good it is.

    Args:
        seeds: some of the plan's, not all.
        measure: whose mean gain is largest in the chosen one: of the results table, or with
            [shortcut] of shortcut.csv. Empty: auroc, and auroc_against with [shortcut].
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seeds: Annotated[tuple[Whole, ...], Field(min_length=1)]
    measure: str = ""

    def check(self, seeds: Sequence[int], known: Sequence[str]) -> None:
        """Check that it fits the plan.

        Args:
            seeds: of the plan.
            known: names of measures that the study has.
        Raises: SettingsError: it does not.
        """
        if len(set(self.seeds)) < len(self.seeds):
            raise SettingsError(
                f"[screening] seeds {list(self.seeds)} contains a seed twice: give each once"
            )
        unknown = [seed for seed in self.seeds if seed not in seeds]
        if unknown:
            raise SettingsError(
                f"[screening] has the seed {unknown[0]}, which is not in seeds {list(seeds)}: give "
                "some of these"
            )
        if len(self.seeds) == len(seeds):
            raise SettingsError(
                "[screening] has every seed of the plan, so none is left to confirm the choice: "
                "give some of them, such as half"
            )
        if self.measure and self.measure not in known:
            raise SettingsError(
                f"unknown measure '{self.measure}' of [screening]: expected one of "
                f"{', '.join(known)}"
            )
