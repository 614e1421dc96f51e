"""The inputs of the figures: the study's folder, its results, and loaders of images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from imil.cases import Image
from imil.errors import DataError
from imil.predictions import Predictions
from imil.study.arms import Arm
from imil.study.figures.caption_text import Unit, images_in_words
from imil.study.plan import Plan
from imil.study.study_folder import TEST, Job, StudyFolder
from imil.study.study_predictions import StudyPredictions

Load = Callable[[str], Image]
Mask = Callable[[str], NDArray[np.bool_] | None]
COLUMNS = ("arm", "title", "set", "subgroup", "measure", "n", "units", "mean", "low", "high")


@dataclass(frozen=True)
class Loaders:
    """Loaders of the study's images; without them figures of images are left out.

    Args:
        load: key to the image, uint8 or uint16, (H, W) or (H, W, 3).
        mask: key to the lesion mask of that image, (H, W), or None where it is not known.
    """

    load: Load | None = None
    mask: Mask | None = None


class MissingData(DataError):
    """The study lacks data that a figure needs."""


@dataclass(frozen=True, eq=False)
class FigureInputs:
    """What the figures are drawn from.

    Args:
        folder, plan: the study.
        results: the results table (`imil.study.result_rows.results`).
        loaders: of images and masks.
        kappa: Fleiss's kappa of each square, (rows, cols), NaN where it cannot be computed; over
            the cases in which every reader selected squares.
        shared: the predictions that tables and statistics have read already.
        shortcut: the table `imil.study.shortcut_rows.shortcut_results`, where one is planted.
    """

    folder: StudyFolder
    plan: Plan
    results: pd.DataFrame
    loaders: Loaders = Loaders()
    kappa: NDArray[np.float64] | None = None
    shared: StudyPredictions | None = None
    shortcut: pd.DataFrame | None = None

    @cached_property
    def predicted(self) -> StudyPredictions:
        """The predictions of the study, each file read once."""
        return self.shared or StudyPredictions(self.folder, self.plan)

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """K class names."""
        return tuple(self.folder.read_facts()["classes"])

    @cached_property
    def arms(self) -> tuple[Arm, ...]:
        """The arms with a finished training, in the plan's order.

        Raises: MissingData: there is none.
        """
        arms = tuple(arm for arm in self.plan.rows if self.jobs(arm))
        if not arms:
            raise MissingData("no training is done yet: run the study first")
        return arms

    def jobs(self, arm: Arm) -> list[Job]:
        """The arm's finished trainings, by split and seed."""
        return [job for job in self._jobs if job.arm == arm.id and job.state == "done"]

    @cached_property
    def _jobs(self) -> list[Job]:
        rows = [arm.id for arm in self.plan.rows]
        return self.folder.jobs(rows, self.plan.seeds, self.plan.splits.count)

    def units(self, arm: Arm, set_name: str | None = None) -> list[Unit]:
        """Seed and split of each finished training, or of those that predicted a set."""
        return [job.unit for job in self.jobs(arm) if set_name is None or _predicted(job, set_name)]

    def arms_of(self, set_name: str) -> tuple[Arm, ...]:
        """The arms that predicted a set.

        Raises: MissingData: there is none.
        """
        arms = tuple(arm for arm in self.arms if self.units(arm, set_name))
        if not arms:
            raise MissingData("no training has predicted this set")
        return arms

    def predictions(self, arm: Arm, set_name: str = TEST) -> list[Predictions]:
        """The final predictions of each training of the arm for a set, in the order of `units`."""
        jobs = [job for job in self.jobs(arm) if _predicted(job, set_name)]
        return [self.predicted.read(job, set_name) for job in jobs]

    @property
    def baseline(self) -> Arm | None:
        """The baseline, if a training of it is finished."""
        return next((arm for arm in self.arms if arm.kind == "baseline"), None)

    def images(self, set_name: str, arms: Sequence[Arm]) -> str:
        """The images of a set, in words."""
        sizes = [len(unit) for arm in arms for unit in self.predictions(arm, set_name)]
        splits = {split for arm in arms for _, split in self.units(arm, set_name)}
        each = f" of each of {len(splits)} splits" if set_name == TEST and len(splits) > 1 else ""
        return images_in_words(set_name, sizes) + each

    def rows(self, set_name: str, measure: str) -> pd.DataFrame:
        """The results of a whole set, one row per arm, indexed by arm."""
        table = self.results
        if table.empty:
            return pd.DataFrame(columns=list(COLUMNS)).set_index("arm")
        chosen = (
            (table["set"] == set_name) & (table["subgroup"] == "") & (table["measure"] == measure)
        )
        return table[chosen].set_index("arm")

    def mean(self, arm: Arm, set_name: str, measure: str) -> float:
        """A mean of the results table; NaN where there is none."""
        return float(self.rows(set_name, measure)["mean"].get(arm.id, float("nan")))


def _predicted(job: Job, set_name: str) -> bool:
    return job.run.predictions("end", set_name).exists()
