"""The plan of a study: a TOML file, validated before the first job starts."""

from __future__ import annotations

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
from imil.settings import ReaderField, TrainSettings, load_toml, resolve
from imil.study.arms import MIXED, Arm, Kind, arms

RANDOM_BOX_GRID = "64x64"  # of cutout-same, whose box is laid on squares
SET_BY_PLAN = {  # settings of a training that the plan sets itself, and where
    "data": "data",
    "seed": "seeds",
    "mix": "arms",
    "reader": "[[readers]]",
    "reader_name": "[[readers]]",
    "test_share": "[splits]",
    "val_share": "[splits]",
}
HOW_TO_WRITE = {  # lists, a table, or several tables
    "arms": 'give a list, such as ["baseline", "mixup"]',
    "seeds": "give a list, such as [0, 1, 2]",
    "subgroups": 'give a list, such as ["sex"]',
    "training": "write [training] above its lines",
    "splits": "write [splits] above its lines",
    "readers": "write [[readers]] above the lines of each",
    "external": "write [external.NAME] above the line that names its data",
}
Whole = Annotated[int, Field(strict=True)]  # strict: true is not a number
Share = Annotated[float, Field(strict=True)]


class Reader(BaseModel):
    """A reader, who answers the round of an `imil` arm.

    Args:
        name: in tables and files.
        reader: as for `imil train --reader`: simulated with options, replay:FILE, web, console.
        otherwise: for cases that are not in the replayed file: skip them, or ask a person at the
            `console` or on a `web` page.
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


class Plan(BaseModel):
    """The plan of a study. `training` takes the names of `imil train`'s flags.

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
    def _is_consistent(self) -> Plan:
        if len(set(self.seeds)) < len(self.seeds):
            raise SettingsError(f"seeds {list(self.seeds)} contains a seed twice: give each once")
        if len(set(self.subgroups)) < len(self.subgroups):
            raise SettingsError(
                f"subgroups {list(self.subgroups)} contains a column twice: give each once"
            )
        for reader in self.readers:
            if reader.otherwise != "skip" and reader.reader.kind != "replay":
                raise SettingsError(
                    f"the reader '{reader.name}' has 'otherwise', which only replay:FILE takes: "
                    "take it out"
                )
        names = [reader.name for reader in self.readers]
        if len(set(names)) < len(names):
            raise SettingsError("two readers have the same name: give each reader its own name")
        misplaced = next((name for name in self.training if name in SET_BY_PLAN), None)
        if misplaced is not None:
            raise SettingsError(
                f"[training] contains '{misplaced}', which the plan sets elsewhere: move it to "
                f"{SET_BY_PLAN[misplaced]}"
            )
        if "protocol" in self.training:
            raise SettingsError(
                "[training] contains 'protocol', but a study always follows the paper's protocol: "
                "take it out"
            )
        # errors in the settings of any job are raised now
        _ = self.rows, [self.settings(Arm("baseline"), seed) for seed in self.seeds]
        self.settings(Arm("baseline"), self.seeds[0]).check_grid()
        control = next((arm for arm in self.rows if arm.is_control), None)
        if control is not None and len(self.settings(Arm("baseline"), 0).imil_epoch) > 1:
            raise SettingsError(
                f"imil-epoch has several rounds, but the control '{control.kind}' has the same "
                "cases as imil in the first round only: give one round, or leave out the controls"
            )
        if self.round >= self.settings(Arm("baseline"), 0).epochs and self.forked:
            raise SettingsError(f"imil-epoch {self.round} is not before the last epoch: lower it")
        return self

    @property
    def rows(self) -> tuple[Arm, ...]:
        """The arms, IMIL once per reader."""
        return arms(self.arms, [reader.name for reader in self.readers])

    @property
    def forked(self) -> bool:
        """Whether any arm continues from the baseline's checkpoint."""
        return any(arm.forks for arm in self.rows)

    @property
    def round(self) -> int:
        """Completed epochs before the first round."""
        return self.settings(Arm("baseline"), 0).imil_epoch[0]

    def reader(self, name: str) -> Reader:
        """The reader of that name."""
        return next(reader for reader in self.readers if reader.name == name)

    def settings(self, arm: Arm, seed: int) -> TrainSettings:
        """The training settings of an arm with a seed."""
        values: dict[str, Any] = {"data": self.data, "seed": seed, "reader": ReaderSpec("none")}
        if arm.kind in MIXED:
            values["mix"] = arm.kind
        if arm.is_control:
            values |= {"reader": ReaderSpec("control", arm.kind), "reader_name": arm.reader}
        if arm.kind == "cutout-same":
            values["grid_size"] = RANDOM_BOX_GRID
        if arm.kind == "imil" and arm.reader:
            values |= {"reader": self.reader(arm.reader).reader, "reader_name": arm.reader}
        values |= {"test_share": self.splits.test_share, "val_share": self.splits.val_share}
        return resolve(self.training | values)

    def write(self, path: Path) -> None:
        """Write the plan as TOML."""
        path.write_bytes(tomli_w.dumps(self.model_dump(mode="json", exclude_none=True)).encode())


def read_plan(path: Path) -> Plan:
    """The plan of a TOML file; paths in it are taken from the file's folder.

    Raises: SettingsError: it cannot be read, or something in it is wrong, in one sentence.
    """
    return make_plan(load_toml(path), base=path.parent)


def make_plan(values: dict[str, Any], *, base: Path) -> Plan:
    """The plan from its values; relative paths are taken from `base`.

    Raises: SettingsError: something in it is wrong, in one sentence.
    """
    values = deepcopy(values)
    for name in ("training", "splits"):
        for table in _tables([values.get(name)]):
            values[name] = _with_underscores(name, table)
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
    """The values that are tables; the plan's validation refuses the others."""
    return [one for one in values if isinstance(one, dict)]


def _with_underscores(table: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values by Python name; the file may write names with - as on the command line.

    Raises: SettingsError: a name is given in both ways.
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name in result:
            raise SettingsError(
                f"[{table}] contains '{name}' twice, once with - and once with _: give it once"
            )
        result[name] = value
    return result


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"unknown setting '{where}' in the plan: see `imil study init paper`"
    if first["type"] == "missing":
        return f"the plan lacks '{where}': add it"
    remedy = f"{first['msg'][0].lower()}{first['msg'][1:]}"
    if first["type"] in ("tuple_type", "too_short", "dict_type", "model_type"):
        remedy = HOW_TO_WRITE[str(first["loc"][0])]
    return f"{where} is {first['input']!r}: {remedy}"
