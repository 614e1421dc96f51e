"""What readers said in the rounds of a study, case by case."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from imil.cases import Case, Image, Reading, Round
from imil.errors import NotFound
from imil.store import Store
from imil.study.arms import Arm
from imil.study.figures.material import Material
from imil.study.phrases import listed
from imil.study.study_folder import Job
from imil.training.reader_factory import PLAYED


@dataclass(frozen=True, eq=False)
class Read:
    """A case of an IMIL arm's round with the reading that counts."""

    arm: Arm
    job: Job
    round: Round
    case: Case
    reading: Reading


def readings(material: Material) -> list[Read]:
    """Every case that was read in an IMIL arm, arm by arm, most confident mistakes first."""
    found: list[Read] = []
    for arm in material.arms:
        if arm.kind == "imil":
            for job in material.jobs(arm):
                found += _of(arm, job)
    return found


def _of(arm: Arm, job: Job) -> list[Read]:
    if not job.run.store.exists():
        return []
    with closing(Store(job.run.store, readonly=True)) as store:
        found = []
        for round_ in store.rounds():
            standing = store.newest_readings(round_.id)
            for case in store.cases(round_.id):
                if case.id in standing:
                    found.append(Read(arm, job, round_, case, standing[case.id]))
    return found


def simulated(material: Material, found: Sequence[Read]) -> str:
    """Says which of the readers are no persons, or nothing."""
    names = {one.arm.reader: None for one in found}  # in their order
    played = [n for n in names if material.plan.reader(n).reader.partition(":")[0] in PLAYED]
    if not played:
        return ""
    if len(played) == len(names):
        return " The reader is simulated." if len(names) == 1 else " All readers are simulated."
    return f" Simulated readers: {listed(played)}."


def film(read: Read) -> Image:
    """The image as the reader saw it.

    Raises: NotFound: the store no longer has the case.
    """
    with closing(Store(read.job.run.store, readonly=True)) as store:
        for case in store.cases(read.round.id):
            if case.id == read.case.id:
                return case.image
    raise NotFound(f"case '{read.case.id}' is no longer in {read.job.run.store}: do the job again")
