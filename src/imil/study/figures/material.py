"""What figures are drawn from: the study's folder, its results, and how to get at images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imil.cases import Image
from imil.errors import DataError
from imil.study.arms import Arm
from imil.study.figures.caption_text import Unit, images
from imil.study.plan import Plan
from imil.study.study_folder import TEST, Job, Predictions, StudyFolder
from imil.study.study_predictions import StudyPredictions

Load = Callable[[str], Image]
Mask = Callable[[str], NDArray[np.bool_] | None]
COLUMNS = ("arm", "title", "set", "subgroup", "measure", "n", "units", "mean", "low", "high")


@dataclass(frozen=True)
class Loaders:
    """How to get at the study's images; without them figures of images are left out.

    Args:
        load: key -> the image, uint8 or uint16, (H, W) or (H, W, 3).
        mask: key -> the lesions of that image, (H, W), or None where they are not known.
    """

    load: Load | None = None
    mask: Mask | None = None


class Lacking(DataError):
    """The study has not what a figure needs; the sentence says what."""


@dataclass(frozen=True, eq=False)
class Material:
    """What figures are drawn from.

    Args:
        folder, plan: the study.
        results: the results table (`imil.study.result_rows.results`).
        loaders: how to get at images.
        kappa: Fleiss's in each square, (rows, cols) of the grid, NaN where there is none; over
            the cases that every reader answered with squares.
        shared: the predictions that tables and statistics have read already.
    """

    folder: StudyFolder
    plan: Plan
    results: pd.DataFrame
    loaders: Loaders = Loaders()
    kappa: NDArray[np.float64] | None = None
    shared: StudyPredictions | None = None

    @cached_property
    def predicted(self) -> StudyPredictions:
        """The predictions of the study, each file read once."""
        return self.shared or StudyPredictions(self.folder, self.plan)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """K names."""
        return tuple(self.folder.read_facts()["classes"])

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """The arms of which a training is done, in the plan's order.

        Raises: Lacking: there is none.
        """
        found = tuple(arm for arm in self.plan.rows if self.jobs(arm))
        if not found:
            raise Lacking("no training is done yet: run the study first")
        return found

    def jobs(self, arm: Arm) -> list[Job]:
        """The arm's trainings that are done, split by split, seed by seed."""
        return [job for job in self._jobs if job.arm == arm.id and job.state == "done"]

    @cached_property
    def _jobs(self) -> list[Job]:
        rows = [arm.id for arm in self.plan.rows]
        return self.folder.jobs(rows, self.plan.seeds, self.plan.splits.count)

    def units(self, arm: Arm, of: str | None = None) -> list[Unit]:
        """Seed and split of each training that is done, or of those that predicted a set."""
        return [job.unit for job in self.jobs(arm) if of is None or _predicted(job, of)]

    def arms_of(self, of: str) -> tuple[Arm, ...]:
        """The arms that predicted a set.

        Raises: Lacking: none has.
        """
        found = tuple(arm for arm in self.arms if self.units(arm, of))
        if not found:
            raise Lacking("no training has predicted this set")
        return found

    def predictions(self, arm: Arm, of: str = TEST) -> list[Predictions]:
        """What each training of the arm predicts for a set at its end, in the order of `units`."""
        return [self.predicted.read(job, of) for job in self.jobs(arm) if _predicted(job, of)]

    @property
    def baseline(self) -> Arm | None:
        """The arm that others are compared with, if a training of it is done."""
        return next((arm for arm in self.arms if arm.kind == "baseline"), None)

    def images(self, of: str, arms: Sequence[Arm]) -> str:
        """The images of a set, in words."""
        sizes = [len(one) for arm in arms for one in self.predictions(arm, of)]
        splits = {split for arm in arms for _, split in self.units(arm, of)}
        each = f" of each of {len(splits)} splits" if of == TEST and len(splits) > 1 else ""
        return images(of, sizes) + each

    def rows(self, of: str, measure: str) -> pd.DataFrame:
        """The results of a set, all its images together, one row an arm, by arm."""
        table = self.results
        if table.empty:
            return pd.DataFrame(columns=list(COLUMNS)).set_index("arm")
        chosen = (table["set"] == of) & (table["subgroup"] == "") & (table["measure"] == measure)
        return table[chosen].set_index("arm")

    def mean(self, arm: Arm, of: str, measure: str) -> float:
        """A number of the results table; NaN where it has none."""
        return float(self.rows(of, measure)["mean"].get(arm.id, float("nan")))


def _predicted(job: Job, of: str) -> bool:
    return job.run.predictions("end", of).exists()
