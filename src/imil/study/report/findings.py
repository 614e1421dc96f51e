"""Everything that the report says, read from the study's folder once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from imil.settings import TrainSettings
from imil.study.arms import Arm
from imil.study.figures.attention_energy import read_focus
from imil.study.phrases import count
from imil.study.plan import Plan
from imil.study.reading_records import Session, sessions
from imil.study.result_rows import BASE, results
from imil.study.study_folder import TEST, Job, State, StudyFolder
from imil.study.verdict import Compared

MASKS = {"lesion_mask": "lesions", "lung_mask": "lungs"}
Row = Any  # of `itertuples`, which nothing describes


@dataclass(frozen=True, eq=False)
class Findings:
    """A study as the report sees it.

    Args:
        study, plan: whose.
        table: `imil.study.result_rows.results`.
    """

    study: StudyFolder
    plan: Plan
    table: pd.DataFrame

    @cached_property
    def facts(self) -> dict[str, Any]:
        """study.json."""
        return self.study.read_facts()

    @cached_property
    def images(self) -> pd.DataFrame:
        """Every image: key, set, label, patient, subgroups."""
        return self.study.read_images()

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """K names."""
        return tuple(self.facts["classes"])

    @cached_property
    def settings(self) -> TrainSettings:
        """What the baseline trains with."""
        return self.plan.settings(Arm("baseline"), self.plan.seeds[0])

    @cached_property
    def jobs(self) -> dict[Job, State]:
        """Every job of the plan and how far it is."""
        rows = [arm.id for arm in self.plan.rows]
        return self.study.states(self.study.jobs(rows, self.plan.seeds, self.plan.splits.count))

    @cached_property
    def states(self) -> Counter[State]:
        """How many jobs are in each state."""
        return Counter(self.jobs.values())

    @cached_property
    def untested(self) -> dict[str, list[Job]]:
        """External set to the jobs that are done but have not predicted it."""
        there = {job: job.sets() for job, state in self.jobs.items() if state == "done"}
        lacking = {
            name: [job for job, sets in there.items() if f"external-{name}" not in sets]
            for name in self.plan.external
        }
        return {name: jobs for name, jobs in lacking.items() if jobs}

    @property
    def finished(self) -> bool:
        """Whether every job of the plan is done, and tested on every set."""
        return self.states["done"] == len(self.jobs) and not self.untested

    @cached_property
    def sessions(self) -> list[Session]:
        """What the readers did."""
        return sessions(self.study, self.plan)

    @property
    def readers(self) -> tuple[Arm, ...]:
        """The IMIL arms, one a reader."""
        return tuple(arm for arm in self.plan.rows if arm.kind == "imil")

    @property
    def controls(self) -> tuple[Arm, ...]:
        """The controls."""
        return tuple(arm for arm in self.plan.rows if arm.is_control)

    @property
    def others(self) -> tuple[Arm, ...]:
        """What is neither baseline, IMIL nor control."""
        known = {arm.id for arm in (*self.readers, *self.controls)} | {BASE}
        return tuple(arm for arm in self.plan.rows if arm.id not in known)

    @property
    def sets(self) -> tuple[str, ...]:
        """The sets that there are results of, the test set first."""
        return tuple(self.table["set"].drop_duplicates())

    @property
    def subgroups(self) -> tuple[str, ...]:
        """`sex=F` and the like, of the test set."""
        own = self.table[self.table["set"] == TEST]
        return tuple(name for name in own["subgroup"].drop_duplicates() if name)

    @property
    def units(self) -> int:
        """The most trainings of an arm that can be compared with the baseline."""
        own = self.of(TEST)
        pairs = own.loc[own["arm"] != BASE, "pairs"]
        return int(pairs.max()) if len(pairs) else 0

    @property
    def incomparable(self) -> str:
        """Why nothing can be compared, where `units` is 0."""
        if self.row(BASE, "accuracy") is None:
            return "Nothing can be compared: no training of the baseline is done."
        return (
            "Nothing can be compared: no training of another arm is done with a seed and split "
            "that the baseline has as well."
        )

    def of(self, which: str, subgroup: str = "") -> pd.DataFrame:
        """The results of a set and subgroup."""
        return self.table[(self.table["set"] == which) & (self.table["subgroup"] == subgroup)]

    def row(self, arm: str, measure: str, which: str = TEST, subgroup: str = "") -> Row | None:
        """One row of the results, if it is there."""
        own = self.of(which, subgroup)
        chosen = own[(own["arm"] == arm) & (own["measure"] == measure)]
        return next(chosen.itertuples(), None)

    def rows(
        self, arm: str, measures: Sequence[str], which: str = TEST, subgroup: str = ""
    ) -> list[Compared]:
        """The rows of those measures that are there."""
        found = (self.row(arm, measure, which, subgroup) for measure in measures)
        return [row for row in found if row is not None]

    @cached_property
    def split(self) -> pd.DataFrame:
        """The first split: key, label, split."""
        return pd.read_csv(self.study.splits(0), dtype={"key": str, "split": str})

    @cached_property
    def tests(self) -> list[set[str]]:
        """The test images of each split."""
        return [set(one.loc[one["split"] == "test", "key"]) for one in self._splits]

    @cached_property
    def _splits(self) -> list[pd.DataFrame]:
        files = [self.study.splits(number) for number in range(self.plan.splits.count)]
        return [pd.read_csv(file, dtype={"key": str, "split": str}) for file in files]

    @property
    def tested(self) -> int:
        """Images of the smallest test split."""
        return min(map(len, self.tests))

    @property
    def test_images(self) -> str:
        """How many there are, such as `60 test images a split, 98 in all`."""
        if len(self.tests) == 1:
            return count(self.tested, "test image")
        most = max(map(len, self.tests))
        each = f"{self.tested:,} to {most:,}" if most > self.tested else f"{most:,}"
        return f"{each} test images a split, {len(set.union(*self.tests)):,} in all"

    @cached_property
    def focus(self) -> dict[Job, pd.DataFrame]:
        """What each training that is done has of its heat-maps' energy in the masks."""
        return read_focus(job for job, state in self.jobs.items() if state == "done")

    @property
    def by_patient(self) -> bool:
        """Whether patients are known, and none is in two parts of a split."""
        return bool(self._patients) and not self.apart

    @cached_property
    def apart(self) -> bool:
        """Whether a patient is in two parts of a split: it was drawn before they were known."""
        for one in self._splits:
            patients = one["key"].map(self._patients)
            if (one.groupby(patients)["split"].nunique() > 1).any():
                return True
        return False

    @cached_property
    def _patients(self) -> dict[str, str]:
        """Image to patient, where known."""
        own = self.images[self.images["set"] == "data"]
        if "patient" not in own:
            return {}
        known = own[own["patient"].fillna("") != ""]
        return dict(zip(known["key"], known["patient"].astype(str), strict=True))


def find(study: StudyFolder, plan: Plan) -> Findings:
    """What there is to report of a study, finished or not."""
    return Findings(study, plan, results(study, plan))
