"""What the report is made from, read from the study's folder once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from imil.output_text import csv_value
from imil.settings import TrainSettings
from imil.study.arms import Arm
from imil.study.phrases import count
from imil.study.plan import Plan
from imil.study.reading_records import Session, sessions
from imil.study.result_rows import BASE, results
from imil.study.shortcut_rows import COLUMNS as SHORTCUT_COLUMNS
from imil.study.shortcut_rows import shortcut_results
from imil.study.shortcut_trainings import ShortcutTrainings, shortcut_trainings
from imil.study.statistics.verdict import Compared
from imil.study.study_folder import TEST, Job, State, StudyFolder
from imil.study.study_predictions import StudyPredictions

MASKS = {"lesion_mask": "lesions", "lung_mask": "lungs"}
Row = Any  # of `itertuples`, which nothing describes


@dataclass(frozen=True, eq=False)
class Findings:
    """A study with its results.

    Args:
        study, plan: the folder and its plan.
        table: `imil.study.result_rows.results`.
        predictions: of its trainings.
    """

    study: StudyFolder
    plan: Plan
    table: pd.DataFrame
    predictions: StudyPredictions

    @cached_property
    def facts(self) -> dict[str, Any]:
        """study.json."""
        return self.study.read_facts()

    @cached_property
    def images(self) -> pd.DataFrame:
        """Every image: key, set, label, patient, subgroups."""
        return self.predictions.images

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """K class names."""
        return tuple(self.facts["classes"])

    @cached_property
    def settings(self) -> TrainSettings:
        """The settings of the baseline."""
        return self.plan.settings(Arm("baseline"), self.plan.seeds[0])

    @cached_property
    def jobs(self) -> dict[Job, State]:
        """Every job of the plan and its state."""
        rows = [arm.id for arm in self.plan.rows]
        return self.study.states(self.study.jobs(rows, self.plan.seeds, self.plan.splits.count))

    @cached_property
    def states(self) -> Counter[State]:
        """How many jobs are in each state."""
        return Counter(self.jobs.values())

    @cached_property
    def untested(self) -> dict[str, list[Job]]:
        """External set to the jobs that are done but have not predicted it."""
        sets = {job: job.sets() for job, state in self.jobs.items() if state == "done"}
        missing = {
            name: [job for job in sets if f"external-{name}" not in sets[job]]
            for name in self.plan.external
        }
        return {name: jobs for name, jobs in missing.items() if jobs}

    @property
    def finished(self) -> bool:
        """Whether every job of the plan is done, and tested on every set."""
        return self.states["done"] == len(self.jobs) and not self.untested

    @cached_property
    def sessions(self) -> list[Session]:
        """A session per reader."""
        return sessions(self.study, self.plan)

    @property
    def imil_arms(self) -> tuple[Arm, ...]:
        """The IMIL arms, one per reader."""
        return tuple(arm for arm in self.plan.rows if arm.kind == "imil")

    @property
    def controls(self) -> tuple[Arm, ...]:
        """The controls."""
        return tuple(arm for arm in self.plan.rows if arm.is_control)

    @property
    def treatment_arms(self) -> tuple[Arm, ...]:
        """The treatments of the readings, without their controls."""
        rows = (arm for arm in self.plan.rows if arm.kind == "treatment" and not arm.control)
        return tuple(arm for arm in rows if not arm.without_shortcut)

    def controls_of(self, arm: Arm) -> tuple[Arm, ...]:
        """The controls of an IMIL arm, which have the same reader, or of a treatment."""
        if arm.kind == "imil":
            return tuple(one for one in self.controls if one.reader == arm.reader)
        rows = (one for one in self.plan.rows if one.control)
        return tuple(one for one in rows if one.treatment == arm.treatment)

    @property
    def other_arms(self) -> tuple[Arm, ...]:
        """The arms that are neither baseline, IMIL, treatment nor control."""
        known = {arm.id for arm in (*self.imil_arms, *self.controls, *self.treatment_arms)} | {BASE}
        return tuple(arm for arm in self.plan.rows if arm.id not in known and not arm.control)

    @cached_property
    def shortcut_trainings(self) -> ShortcutTrainings:
        """What the trainings of a study with a shortcut predict with it for, against, without."""
        return shortcut_trainings(self.predictions)

    @cached_property
    def shortcut(self) -> pd.DataFrame:
        """`imil.study.shortcut_rows.shortcut_results`; empty where the plan has no shortcut."""
        if self.plan.shortcut is None:
            return pd.DataFrame(columns=list(SHORTCUT_COLUMNS))
        return shortcut_results(self.shortcut_trainings)

    def shortcut_row(self, arm: str, measure: str) -> Row | None:
        """One row of `shortcut`, if it exists."""
        table = self.shortcut
        chosen = table[(table["arm"] == arm) & (table["measure"] == measure)]
        return next(chosen.itertuples(), None)

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that have results, the test set first."""
        return tuple(self.table["set"].drop_duplicates())

    @property
    def external_sets(self) -> tuple[str, ...]:
        """The external sets that have results, `external-NAME` each."""
        return tuple(name for name in self.sets if name.startswith("external-"))

    @property
    def subgroups(self) -> tuple[str, ...]:
        """`sex=F` and the like, of the test set."""
        rows = self.table[self.table["set"] == TEST]
        return tuple(name for name in rows["subgroup"].drop_duplicates() if name)

    @property
    def paired_trainings(self) -> int:
        """The largest number of trainings of an arm that can be compared with the baseline."""
        rows = self.results_of(TEST)
        pairs = rows.loc[rows["arm"] != BASE, "pairs"]
        return int(pairs.max()) if len(pairs) else 0

    @property
    def not_comparable(self) -> str:
        """Why nothing can be compared, where `paired_trainings` is 0."""
        if self.row(BASE, "accuracy") is None:
            return "Nothing can be compared: no training of the baseline is done."
        return (
            "Nothing can be compared: no other arm has a training with the same seed and split as "
            "a training of the baseline."
        )

    def results_of(self, set_name: str, subgroup: str = "") -> pd.DataFrame:
        """The results of a set and subgroup."""
        return self.table[(self.table["set"] == set_name) & (self.table["subgroup"] == subgroup)]

    def row(self, arm: str, measure: str, set_name: str = TEST, subgroup: str = "") -> Row | None:
        """One row of the results, if it exists."""
        rows = self.results_of(set_name, subgroup)
        chosen = rows[(rows["arm"] == arm) & (rows["measure"] == measure)]
        return next(chosen.itertuples(), None)

    def rows(self, arm: str, measures: Sequence[str], set_name: str = TEST) -> list[Compared]:
        """The rows of those measures that exist."""
        rows = (self.row(arm, measure, set_name) for measure in measures)
        return [row for row in rows if row is not None]

    @cached_property
    def first_split(self) -> pd.DataFrame:
        """The first split: key, label, split."""
        return self._splits[0]

    @cached_property
    def test_keys(self) -> list[set[str]]:
        """The keys of the test images of each split."""
        return [set(split.loc[split["split"] == "test", "key"]) for split in self._splits]

    @cached_property
    def _splits(self) -> list[pd.DataFrame]:
        files = [self.study.splits(number) for number in range(self.plan.splits.count)]
        return [
            pd.read_csv(file, dtype={"split": str}, converters={"key": csv_value}) for file in files
        ]

    @property
    def smallest_test_size(self) -> int:
        """The number of test images of the split that has the fewest."""
        return min(map(len, self.test_keys))

    @property
    def test_images(self) -> str:
        """The number of test images, such as `60 test images per split, 98 in total`."""
        low, high = self.smallest_test_size, max(map(len, self.test_keys))
        if len(self.test_keys) == 1:
            return count(low, "test image")
        size = f"{low:,} to {high:,}" if high > low else f"{high:,}"
        return f"{size} test images per split, {len(set.union(*self.test_keys)):,} in total"

    @property
    def focus(self) -> dict[Job, pd.DataFrame]:
        """Energy of the heat-maps in the masks, of each training that is done."""
        return self.predictions.focus

    @property
    def split_by_patient(self) -> bool:
        """Whether patients are known, and none is in two parts of a split."""
        return bool(self._patients) and not self.patients_overlap

    @cached_property
    def patients_overlap(self) -> bool:
        """Whether a patient is in two parts of a split: it was drawn before they were known."""
        for split in self._splits:
            patients = split["key"].map(self._patients)
            if (split.groupby(patients)["split"].nunique() > 1).any():
                return True
        return False

    @cached_property
    def _patients(self) -> dict[str, str]:
        """Image key to patient, where known."""
        images = self.images[self.images["set"] == "data"]
        if "patient" not in images:
            return {}
        known = images[images["patient"].fillna("") != ""]
        return dict(zip(known["key"], known["patient"].astype(str), strict=True))


def read_findings(study: StudyFolder, plan: Plan) -> Findings:
    """What can be reported of a study, finished or not."""
    predictions = StudyPredictions(study, plan)
    return Findings(study, plan, results(predictions), predictions)
