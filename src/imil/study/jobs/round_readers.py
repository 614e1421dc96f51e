"""Who answers the round of a study's job: its reader, a control, or the readings of another job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console

from imil.asked_cases import open_cases
from imil.cases import Case, Reader, Reading
from imil.readers.replay import Replay
from imil.readers.simulated import Inverted, RandomSquares
from imil.readers.spec import ReaderSpec
from imil.store import Store
from imil.study.arms import Arm
from imil.study.controls import RandomBox, Recorded, Repeated, SkipAll
from imil.study.plan import Plan
from imil.study.study_folder import Job, StudyFolder
from imil.training.reader_factory import make_reader
from imil.training.run import Run
from imil.training.web_reader import reading_room


@contextmanager
def job_reader(
    folder: StudyFolder,
    plan: Plan,
    arm: Arm,
    job: Job,
    run: Run,
    store: Store | None,
    console: Console,
) -> Iterator[Reader | None]:
    """The reader that answers the job's rounds; None without a store."""
    if store is None:
        yield None
    elif not arm.asks_reader:
        yield _without_reader(folder, arm, job)
    else:
        answers = plan.reader(arm.reader)
        first = None if answers.reader.kind == "web" else _named(answers.reader, arm, job, run)
        if answers.asks == "web":
            with reading_room(run, store, console) as page:
                yield ReplayThenAsk(first, page) if isinstance(first, Replay) else page
        elif isinstance(first, Replay) and answers.asks:
            yield ReplayThenAsk(first, _named(ReaderSpec.parse(answers.asks), arm, job, run))
        else:
            yield first


def _named(spec: ReaderSpec, arm: Arm, job: Job, run: Run) -> Reader:
    return make_reader(
        spec,
        reader_name=arm.reader,
        seed=job.seed,
        data=run.data,
        folder=run.folder.cases,
        strict=False,  # another seed has other cases: none of them may be in the file
    )


@dataclass(frozen=True)
class ReplayThenAsk:
    """A reader that replays the cases of the file, and asks a person for the others."""

    replayed: Replay
    person: Reader

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """Readings of the file first."""
        known, unknown = self._split(cases)
        if known:
            yield from self.replayed(known)
        if unknown:
            yield from self.person(unknown)

    def open_cases(self, cases: Sequence[Case], readings: Sequence[Reading]) -> list[Case]:
        """Those that the replay is asked for, then those that the person is asked for."""
        known, unknown = self._split(cases)
        replayed = self.replayed.open_cases(known, readings)
        return [*replayed, *open_cases(self.person, unknown, readings)]

    def _split(self, cases: Sequence[Case]) -> tuple[list[Case], list[Case]]:
        known = [case for case in cases if self.replayed.has_reading(case)]
        return known, [case for case in cases if not self.replayed.has_reading(case)]


def _without_reader(folder: StudyFolder, arm: Arm, job: Job) -> Reader:
    """The reader of a control, or of a treatment that repeats the readings of another arm."""
    reference = recorded_readings(folder, arm, job)
    if arm.kind == "cutout-same":
        return RandomBox(job.seed, reference)
    if arm.kind == "upweight":
        return SkipAll(reference)
    if arm.kind == "imil-random" or arm.control == "random":
        return RandomSquares(seed=job.seed, reference=reference)
    if arm.kind == "imil-inverted" or arm.control == "inverted":
        return Inverted(reference=reference)
    return Repeated(reference)


def recorded_readings(folder: StudyFolder, arm: Arm, job: Job) -> Recorded:
    """The readings that the arm repeats, of the job with the same seed and split."""
    return Recorded(folder.job(arm.repeats, job.seed, job.split).run.store)
