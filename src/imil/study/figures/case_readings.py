"""The readings of a study's rounds, case by case."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from imil.cases import Case, Image, Reading, Round
from imil.errors import NotFound
from imil.store import Store, schema_version
from imil.study.arms import Arm
from imil.study.figures.figure_inputs import FigureInputs
from imil.study.phrases import listed
from imil.study.study_folder import Job


@dataclass(frozen=True, eq=False)
class CaseReading:
    """A case of an IMIL arm's round with its current reading."""

    arm: Arm
    job: Job
    round: Round
    case: Case
    reading: Reading


def case_readings(inputs: FigureInputs) -> list[CaseReading]:
    """Every case that was read in an IMIL arm, by arm, in the order of the round."""
    readings: list[CaseReading] = []
    for arm in inputs.arms:
        if arm.kind == "imil":
            for job in inputs.jobs(arm):
                readings += _job_readings(arm, job)
    return readings


def _job_readings(arm: Arm, job: Job) -> list[CaseReading]:
    if schema_version(job.run.store) is None:
        return []
    with closing(Store(job.run.store, readonly=True)) as store:
        readings = []
        for round_ in store.rounds():
            current = store.current_readings(round_.id)
            for case in store.cases(round_.id):
                if case.id in current:
                    readings.append(CaseReading(arm, job, round_, case, current[case.id]))
    return readings


def simulated_sentence(inputs: FigureInputs, readings: Sequence[CaseReading]) -> str:
    """Which of the readers are simulated, or nothing."""
    names = list(dict.fromkeys(one.arm.reader for one in readings))
    simulated = [n for n in names if inputs.plan.reader(n).reader.is_simulated]
    if not simulated:
        return ""
    if len(simulated) == len(names):
        return " The reader is simulated." if len(names) == 1 else " All readers are simulated."
    return f" Simulated readers: {listed(simulated)}."


def case_image(reading: CaseReading) -> Image:
    """The image as the reader saw it.

    Raises: NotFound: the store no longer has the case.
    """
    path = reading.job.run.store
    with closing(Store(path, readonly=True)) as store:
        for case in store.cases(reading.round.id):
            if case.id == reading.case.id:
                return case.image
    raise NotFound(f"case '{reading.case.id}' is no longer in {path}: do the job again")
