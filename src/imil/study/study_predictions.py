"""The predictions of a study's finished trainings, of which each file is read once."""

from __future__ import annotations

from collections.abc import Container, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from imil.errors import DataError
from imil.predictions import Predictions
from imil.study.attention_focus import read_focus
from imil.study.plan import Plan
from imil.study.study_folder import TEST, Job, StudyFolder

Unit = tuple[int, int]  # seed, split: what is paired between arms
Units = Mapping[Unit, Predictions]


class StudyPredictions:
    """What the finished trainings of a study predict, kept in memory once it was read.

    A report makes one of these and hands it to tables, statistics and figures.

    Args:
        study: the folder.
        plan: of the study.
    """

    def __init__(self, study: StudyFolder, plan: Plan) -> None:
        self.study, self.plan = study, plan
        self._read: dict[Path, Predictions] = {}

    def read(self, job: Job, of: str = TEST, when: str = "end") -> Predictions:
        """The predictions of a job for a set, at its end or before a round (`epoch-070`).

        Raises: DataError: the file is missing or damaged.
        """
        path = job.run.predictions(when, of)
        if path not in self._read:
            self._read[path] = job.predictions(of, when)
        return self._read[path]

    @cached_property
    def images(self) -> pd.DataFrame:
        """Every image of the study: key, set, label, patient, subgroups.

        Raises: DataError: images.parquet is missing or damaged.
        """
        return self.study.read_images()

    @cached_property
    def focus(self) -> dict[Job, pd.DataFrame]:
        """Energy of the heat-maps in masks, of each finished job that has it.

        Raises: DataError: a file cannot be read.
        """
        return read_focus(self._done)

    @cached_property
    def _done(self) -> list[Job]:
        jobs = self.study.jobs(
            [arm.id for arm in self.plan.rows], self.plan.seeds, self.plan.splits.count
        )
        return [job for job in jobs if job.state == "done"]

    @cached_property
    def by_set(self) -> dict[str, dict[str, Units]]:
        """Set to arm to unit to what the finished jobs predict; the test set first.

        A job may lack a set that the plan got after the job was done; never the test set.

        Raises: DataError: a job has lost its predictions of the test set, or arms of a seed and
            split predicted different images.
        """
        done = [(job, job.sets()) for job in self._done]
        by_set: dict[str, dict[str, Units]] = {}
        for of in (TEST, *self.plan.more_sets):
            arms: dict[str, dict[Unit, Predictions]] = {arm.id: {} for arm in self.plan.rows}
            for job, sets in done:
                if of in sets or of == TEST:
                    arms[job.arm][job.unit] = self.read(job, of)
            _check_same_images(of, arms)
            by_set[of] = dict(arms)
        return by_set


def select_images(predictions: Predictions, keys: Container[str]) -> Predictions:
    """The predictions of those images alone, in their order."""
    rows = [i for i, key in enumerate(predictions.keys) if key in keys]
    selected = tuple(predictions.keys[i] for i in rows)
    return Predictions(predictions.probs[rows], predictions.labels[rows], selected)


def _check_same_images(of: str, arms: Mapping[str, Units]) -> None:
    first: dict[Unit, tuple[str, Predictions]] = {}
    for arm, units in arms.items():
        for unit, predictions in units.items():
            name, other = first.setdefault(unit, (arm, predictions))
            if predictions.keys != other.keys or not np.array_equal(
                predictions.labels, other.labels
            ):
                raise DataError(
                    f"'{arm}' and '{name}' with seed {unit[0]} on split {unit[1]} predicted "
                    f"different images of '{of}': run one of them again"
                )
