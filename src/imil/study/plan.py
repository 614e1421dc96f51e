"""The plan of a study: a TOML file, validated before the first job starts."""

from __future__ import annotations

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

from imil.data.dicomweb import absolute_data
from imil.errors import SettingsError
from imil.readers.spec import ReaderSpec
from imil.settings import TrainSettings, flag_name, is_weights_file, load_toml, resolve
from imil.study.arms import MIXED, Arm, Kind, TreatmentRequest, arms
from imil.study.plan_rounds import check_common_round, check_own_round, follows_images, replaced
from imil.study.plan_tables import (
    External,
    Name,
    Reader,
    Screening,
    Shortcut,
    Splits,
    Treatment,
    Whole,
)
from imil.study.plan_values import sentence, tables, with_underscores
from imil.study.study_folder import COUNTERFACTUAL

RANDOM_BOX_GRID = "64x64"  # of cutout-same, whose box is laid on squares
SET_BY_PLAN = {  # settings of a training that the plan sets itself, and where
    "data": "data",
    "seed": "seeds",
    "mix": "arms",
    "reader": "[[readers]]",
    "reader_name": "[[readers]]",
    "store": "each job's folder (`imil store copy STUDY ADDRESS` copies all into a database)",
    "test_share": "[splits]",
    "val_share": "[splits]",
}
ONE_READER = ("readers", "quorum", "overlap", "fusion", "arbiter", "disagreement")


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
    screening: Screening | None = None

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
        together = next((name for name in self.training if name in ONE_READER), None)
        if together is not None:
            raise SettingsError(
                f"[training] contains '{flag_name(together)}', which is for several readers of one "
                "training, but an arm of a study has one reader: take it out"
            )
        if "protocol" in self.training:
            raise SettingsError(
                "[training] contains 'protocol', but a study always follows the paper's protocol: "
                "take it out"
            )
        alone = next((name for name in ("wait", "deadline") if name in self.training), None)
        if alone is not None:
            raise SettingsError(
                f"[training] contains '{alone}', but the arms of a study wait for their readers: "
                "take it out"
            )
        # errors in the settings of any job are raised now
        _ = self.rows, [self.settings(Arm("baseline"), seed) for seed in self.seeds]
        first = self.settings(Arm("baseline"), self.seeds[0])
        first.check_grid()
        check_common_round(first)
        for arm in (arm for arm in self.rows if arm.forks):
            settings = self._settings_of_arm(arm)
            if arm.own_round:
                check_own_round(arm.treatment, settings, first)
            elif self.round >= settings.epochs:
                raise SettingsError(
                    f"imil-epoch {self.round} is not before the last epoch: lower it"
                )
            if arm.repeats and len(settings.imil_epoch) > 1:
                name = arm.id if arm.control else arm.treatment
                what = f"treatment '{name}'" if arm.treatment else f"control '{arm.kind}'"
                raise SettingsError(
                    f"imil-epoch has several rounds, but the {what} has the same cases as "
                    f"{arm.repeats} in the first round only: give one round, or leave it out"
                )
        if self.screening is not None:
            self.screening.check(self.seeds, self.measures)
            if not any(arm.forks for arm in self.rows):
                raise SettingsError(
                    "[screening] chooses a treatment, and the plan has none: add [[treatments]]"
                )
        return self

    def _settings_of_arm(self, arm: Arm) -> TrainSettings:
        """Its settings with the first seed; an error names its treatment."""
        try:
            return self.settings(arm, self.seeds[0])
        except SettingsError as error:
            if not arm.own_round:
                raise
            raise SettingsError(
                f"the treatment '{arm.treatment}' cannot be used: {error}"
            ) from error

    @property
    def rows(self) -> tuple[Arm, ...]:
        """The arms, IMIL once per reader."""
        requests = [
            TreatmentRequest(
                one.name,
                one.controls,
                one.without_shortcut,
                one.has_own_round,
                one.share_of_data,
            )
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

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the measures that the study has."""
        from imil.study.statistics import COUNTERFACTUAL_MEASURES, MEASURES  # here: needs SciPy

        return tuple({**MEASURES, **(COUNTERFACTUAL_MEASURES if self.shortcut else {})})

    def fork_epoch(self, arm: Arm) -> int:
        """Completed epochs that an arm takes over from its trunk; 0: it trains from the start.

        That is its first round, but where the cases are chosen by the epochs before the last round:
        the trunk has followed those of the plan's rounds alone.
        """
        if not arm.forks:
            return 0
        settings, common = (self.settings(one, self.seeds[0]) for one in (arm, Arm("baseline")))
        if settings.imil_epoch != common.imil_epoch and follows_images(settings):
            return 0
        return settings.imil_epoch[0]

    def marks(self, arm: Arm) -> tuple[int, ...]:
        """Completed epochs after which an arm's checkpoint is kept, for those that continue.

        Baselines keep theirs before the plan's round always: an arm may be added later.
        """
        needed = {self.fork_epoch(one) for one in self.rows if one.trunk == arm.id} - {0}
        if arm.kind in ("baseline", "no-shortcut"):
            needed.add(self.round)
        epochs = self.settings(arm, self.seeds[0]).epochs
        return tuple(sorted(epoch for epoch in needed if epoch < epochs))

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
        training = self.training
        if arm.repeats:
            values |= {"reader": ReaderSpec("control", arm.id), "reader_name": arm.reader}
        if arm.kind == "treatment":
            treatment = self.treatment(arm.treatment)
            without = arm.control == "reader-free"
            values["treatment"] = treatment.text_without_reader if without else treatment.text
            values |= treatment.round_settings
            training = replaced(training, treatment.round_settings)
        if arm.kind == "cutout-same":
            values["grid_size"] = RANDOM_BOX_GRID
        if arm.asks_reader and arm.reader:
            values |= {"reader": self.reader(arm.reader).reader, "reader_name": arm.reader}
        values |= {"test_share": self.splits.test_share, "val_share": self.splits.val_share}
        return resolve(training | values)

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
    for name in ("training", "splits", "screening"):
        for table in tables([values.get(name)]):
            values[name] = with_underscores(name, table)
    treatments = values.get("treatments")
    if isinstance(treatments, list):
        values["treatments"] = [
            with_underscores("[treatments]", one) if isinstance(one, dict) else one
            for one in treatments
        ]
    external = values.get("external")
    for one in (values, *tables(external.values() if isinstance(external, dict) else ())):
        if isinstance(one.get("data"), str):
            one["data"] = absolute_data(base, one["data"])
    for training in tables([values.get("training")]):
        weights = training.get("weights")
        if isinstance(weights, str) and is_weights_file(weights):
            training["weights"] = str((base / weights).absolute())
    try:
        plan = Plan(**values)
    except ValidationError as error:
        raise SettingsError(sentence(error)) from None
    readers = [
        reader.model_copy(update={"reader": reader.reader.with_absolute_file(base)})
        for reader in plan.readers
    ]
    return plan.model_copy(update={"readers": tuple(readers)})
