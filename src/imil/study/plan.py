"""The plan of a study: a TOML file, validated before the first job starts."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path
from typing import Annotated, Any

import tomli_w
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from imil.errors import SettingsError
from imil.readers.spec import ReaderSpec
from imil.round_settings import check_rounds
from imil.settings import TrainSettings, load_toml, resolve
from imil.study.arms import MIXED, Arm, Kind, TreatmentRequest, arms
from imil.study.plan_tables import External, Name, Reader, Shortcut, Splits, Treatment, Whole
from imil.study.study_folder import COUNTERFACTUAL

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
    "shortcut": "write [shortcut] above its lines",
    "treatments": "write [[treatments]] above the lines of each",
}


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
    external: dict[Name, External] = {}
    shortcut: Shortcut | None = None
    treatments: tuple[Treatment, ...] = ()

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
        if "no-shortcut" in self.arms and self.shortcut is None:
            raise SettingsError(
                "the arm 'no-shortcut' needs a shortcut that the other arms are trained with: add "
                "a [shortcut] table"
            )
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
        first = self.settings(Arm("baseline"), self.seeds[0])
        first.check_grid()
        _check_rounds(first)
        same = next((arm for arm in self.rows if arm.uses_readings_of_imil), None)
        if same is not None and len(first.imil_epoch) > 1:
            what = f"treatment '{same.treatment}'" if same.treatment else f"control '{same.kind}'"
            raise SettingsError(
                f"imil-epoch has several rounds, but the {what} has the same cases as imil in the "
                "first round only: give one round, or leave it out"
            )
        if self.round >= self.settings(Arm("baseline"), 0).epochs and self.forked:
            raise SettingsError(f"imil-epoch {self.round} is not before the last epoch: lower it")
        return self

    @property
    def rows(self) -> tuple[Arm, ...]:
        """The arms, IMIL once per reader."""
        requests = [
            TreatmentRequest(one.name, one.controls, one.without_shortcut)
            for one in self.treatments
        ]
        return arms(self.arms, [reader.name for reader in self.readers], requests)

    @property
    def more_sets(self) -> tuple[str, ...]:
        """The sets beside `test` that every arm predicts at its end."""
        counterfactual = COUNTERFACTUAL if self.shortcut else ()
        return (*counterfactual, *(f"external-{name}" for name in self.external))

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

    def treatment(self, name: str) -> Treatment:
        """The treatment of that name."""
        return next(one for one in self.treatments if one.name == name)

    def settings(self, arm: Arm, seed: int) -> TrainSettings:
        """The training settings of an arm with a seed."""
        values: dict[str, Any] = {"data": self.data, "seed": seed, "reader": ReaderSpec("none")}
        if arm.kind in MIXED:
            values["mix"] = arm.kind
        if arm.uses_readings_of_imil:
            values |= {"reader": ReaderSpec("control", arm.id), "reader_name": arm.reader}
        if arm.kind == "treatment":
            values["treatment"] = self.treatment(arm.treatment).text
        if arm.kind == "cutout-same":
            values["grid_size"] = RANDOM_BOX_GRID
        if arm.asks_reader and arm.reader:
            values |= {"reader": self.reader(arm.reader).reader, "reader_name": arm.reader}
        values |= {"test_share": self.splits.test_share, "val_share": self.splits.val_share}
        return resolve(self.training | values)

    def write(self, path: Path) -> None:
        """Write the plan as TOML."""
        path.write_bytes(tomli_w.dumps(self.model_dump(mode="json", exclude_none=True)).encode())


def _check_rounds(settings: TrainSettings) -> None:
    """Check that the round of all arms comes after the same epoch and has as many cases.

    Raises: SettingsError: it may not.
    """
    check_rounds(settings)
    if settings.round_when != "schedule":
        raise SettingsError(
            f"[training] contains round-when '{settings.round_when}', but the arms of a study "
            "share the training up to a fixed epoch: take it out, and set imil-epoch"
        )
    if settings.budget != "none" and len(settings.imil_epoch) > 1:
        raise SettingsError(
            f"[training] contains budget {settings.budget} and several rounds, but a study "
            "compares rounds of equally many cases: set num-outliers instead, or give one round"
        )


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
