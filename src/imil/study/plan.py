"""What a study is to do: a TOML file, checked before the first job starts."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from copy import deepcopy
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
    model_validator,
)

from imil.errors import SettingsError
from imil.readers.spec import ReaderSpec
from imil.settings import ReaderField, TrainSettings, resolve
from imil.study.arms import MIXED, Arm, Kind, arms

FINE = "64x64"  # the grid on which the random box of cutout-same is laid
OWN = {  # settings of a training that the plan sets itself, and where
    "data": "data",
    "seed": "seeds",
    "mix": "arms",
    "reader": "[[readers]]",
    "reader_name": "[[readers]]",
    "test_share": "[splits]",
    "val_share": "[splits]",
}
SHAPES = {  # how to write what is a list, a table or tables
    "arms": 'give a list, such as ["baseline", "mixup"]',
    "seeds": "give a list, such as [0, 1, 2]",
    "subgroups": 'give a list, such as ["sex"]',
    "training": "write [training] above its lines",
    "splits": "write [splits] above its lines",
    "readers": "write [[readers]] above the lines of each",
    "external": "write [external.NAME] above the line that names its data",
}
Whole = Annotated[int, Field(strict=True)]  # true is no number
Share = Annotated[float, Field(strict=True)]


class Reader(BaseModel):
    """Who answers the round of an `imil` arm.

    Args:
        name: in tables and files.
        reader: as for `imil train --reader`: simulated with options, replay:FILE, web, console.
        otherwise: what becomes of cases that a replay does not have: they are skipped, or a
            person is asked at the `console` or on a `web` page.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
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
        """How a person is asked; empty where none is."""
        if self.otherwise != "skip":
            return self.otherwise
        kind = self.reader.kind
        return kind if kind == "console" or kind == "web" else ""


class Splits(BaseModel):
    """How the images are split, again and again, or once and for all by the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: Annotated[Whole, Field(ge=1, le=1000)] = 1
    test_share: Annotated[Share, Field(gt=0, lt=1)] = 0.2
    val_share: Annotated[Share, Field(ge=0, lt=1)] = 0.0
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0


class External(BaseModel):
    """Another table, never trained on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    data: str


class Plan(BaseModel):
    """A study. `training` takes the names of `imil train`'s flags.

    Raises: SettingsError, from `read_plan`: unknown keys, values out of range, missing arms.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1, max_length=100)]
    data: str
    arms: tuple[Kind, ...]
    seeds: Annotated[tuple[Whole, ...], Field(min_length=1)] = (0,)
    subgroups: tuple[str, ...] = ()
    training: dict[str, Any] = {}
    splits: Splits = Splits()
    readers: tuple[Reader, ...] = ()
    external: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")], External] = {}

    @model_validator(mode="after")
    def _fits(self) -> Plan:
        if len(set(self.seeds)) < len(self.seeds):
            raise SettingsError(f"seeds {list(self.seeds)} holds a seed twice: give each once")
        if len(set(self.subgroups)) < len(self.subgroups):
            raise SettingsError(
                f"subgroups {list(self.subgroups)} holds a column twice: give each once"
            )
        for reader in self.readers:
            if reader.otherwise != "skip" and reader.reader.kind != "replay":
                raise SettingsError(
                    f"the reader '{reader.name}' has 'otherwise', which is for replay:FILE alone"
                )
        names = [reader.name for reader in self.readers]
        if len(set(names)) < len(names):
            raise SettingsError("two readers have the same name: give each its own")
        own = next((name for name in self.training if name in OWN), None)
        if own is not None:
            raise SettingsError(
                f"[training] holds '{own}', which the plan sets elsewhere: move it to {OWN[own]}"
            )
        if "protocol" in self.training:
            raise SettingsError(
                "[training] holds 'protocol', and a study always asks as the paper does: take it "
                "out"
            )
        if self.training.get("compile") == "auto":
            raise SettingsError(
                '[training] has compile = "auto", which each training would decide for itself, and '
                "arms would differ by more than their names: give on or off"
            )
        # what is wrong is said now
        _ = self.rows, [self.settings(Arm("baseline"), seed) for seed in self.seeds]
        self.settings(Arm("baseline"), self.seeds[0]).check_grid()
        control = next((arm for arm in self.rows if arm.is_control), None)
        if control is not None and len(self.settings(Arm("baseline"), 0).imil_epoch) > 1:
            raise SettingsError(
                f"imil-epoch names several rounds, and the control '{control.kind}' is about the "
                "same cases as imil only in the first: give one round, or leave out the controls"
            )
        if self.round >= self.settings(Arm("baseline"), 0).epochs and self.forked:
            raise SettingsError(
                f"imil-epoch {self.round} does not come before the last epoch: lower it"
            )
        return self

    @property
    def rows(self) -> tuple[Arm, ...]:
        """The arms, IMIL once per reader."""
        return arms(self.arms, [reader.name for reader in self.readers])

    @property
    def forked(self) -> bool:
        """Whether any arm goes on from the baseline's checkpoint."""
        return any(arm.forks for arm in self.rows)

    @property
    def round(self) -> int:
        """Completed epochs before the first round."""
        return self.settings(Arm("baseline"), 0).imil_epoch[0]

    def reader(self, name: str) -> Reader:
        """The reader of that name."""
        return next(reader for reader in self.readers if reader.name == name)

    def settings(self, arm: Arm, seed: int) -> TrainSettings:
        """What the arm trains with."""
        own: dict[str, Any] = {"data": self.data, "seed": seed, "reader": ReaderSpec("none")}
        if arm.kind in MIXED:
            own["mix"] = arm.kind
        if arm.is_control:
            own |= {"reader": ReaderSpec("control", arm.kind), "reader_name": arm.reader}
        if arm.kind == "cutout-same":
            own["grid_size"] = FINE
        if arm.kind == "imil" and arm.reader:
            own |= {"reader": self.reader(arm.reader).reader, "reader_name": arm.reader}
        own |= {"test_share": self.splits.test_share, "val_share": self.splits.val_share}
        return resolve(self.training | own)

    def write(self, path: Path) -> None:
        """Write the plan as TOML."""
        path.write_bytes(tomli_w.dumps(self.model_dump(mode="json", exclude_none=True)).encode())


def read_plan(path: Path) -> Plan:
    """The plan of a TOML file; paths in it are taken from the file's folder.

    Raises: SettingsError: it cannot be read, or something in it is wrong, in one sentence.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is no TOML: {error}") from error
    return make_plan(values, base=path.parent)


def make_plan(values: dict[str, Any], *, base: Path) -> Plan:
    """The plan from its values; relative paths are taken from `base`.

    Raises: SettingsError: something in it is wrong, in one sentence.
    """
    values = deepcopy(values)
    for name in ("training", "splits"):
        for table in _tables([values.get(name)]):
            values[name] = _as_in_python(name, table)
    external = values.get("external")
    for one in (values, *_tables(external.values() if isinstance(external, dict) else ())):
        if isinstance(one.get("data"), str):
            one["data"] = str((base / one["data"]).absolute())
    for training in _tables([values.get("training")]):
        weights = training.get("weights")
        if isinstance(weights, str) and weights not in ("none", "imagenet"):
            training["weights"] = str((base / weights).absolute())
    try:
        plan = Plan(**values)
    except ValidationError as error:
        raise SettingsError(_sentence(error)) from None
    readers = [
        reader.model_copy(update={"reader": reader.reader.with_absolute_file(base)})
        for reader in plan.readers
    ]
    return plan.model_copy(update={"readers": tuple(readers)})


def _tables(values: Iterable[Any]) -> list[dict[str, Any]]:
    """Those that are tables; what else there is the plan's own checks refuse."""
    return [one for one in values if isinstance(one, dict)]


def _as_in_python(table: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values of a table that takes names as on the command line, or as in Python.

    Raises: SettingsError: a name is there in both ways.
    """
    found: dict[str, Any] = {}
    for name, value in values.items():
        own = name.replace("-", "_")
        if own in found:
            raise SettingsError(
                f"[{table}] holds '{own}' twice, once written with - and once with _: give it once"
            )
        found[own] = value
    return found


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"'{where}' is nothing that a plan has: see `imil study init paper`"
    if first["type"] == "missing":
        return f"the plan says nothing of '{where}': add it"
    said = f"{first['msg'][0].lower()}{first['msg'][1:]}"
    if first["type"] in ("tuple_type", "too_short", "dict_type", "model_type"):
        said = SHAPES[str(first["loc"][0])]
    return f"{where} is {first['input']!r}: {said}"
