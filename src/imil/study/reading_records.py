"""What readers answered, from the stores of the runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from imil.cases import VERDICTS, Case, Reading, Round, Verdict
from imil.errors import SettingsError
from imil.grid import Grid
from imil.readers.replay import NOBODY
from imil.readers.spec import SIMULATED, ReaderSpec
from imil.run_folder import RunFolder
from imil.store import Store
from imil.study.plan import Plan
from imil.study.study_folder import Job, StudyFolder


@dataclass(frozen=True)
class Answer:
    """One case put to a reader, with what the reader said of it in the end.

    Args:
        run: name of the run.
        epoch: completed epochs before the round.
        number, key, truth, predicted, confidence, grid: of the case.
        reading: the newest; None: not read.
        seconds: on the case. The reading page's clock goes on when a case is opened again, so
            of several readings the longest counts.
        changes: readings that were changed later.
    """

    run: str
    epoch: int
    number: int
    key: str
    truth: str
    predicted: str
    confidence: float
    grid: Grid
    reading: Reading | None
    seconds: float = 0.0
    changes: int = 0

    @property
    def answered(self) -> bool:
        """Whether a reader said something: a replay that has no answer skips."""
        return self.reading is not None and self.reading.reader != NOBODY


@dataclass(frozen=True)
class Session:
    """A reader's answers to the cases of one or more runs.

    Args:
        reader: the name.
        played: whether a program answers, so that time means nothing.
        asked: cases that were to be put in all; fewer come where the model errs less.
        answers: case by case; every case of every round, read or not.
    """

    reader: str
    played: bool
    asked: int
    answers: tuple[Answer, ...]

    @property
    def read(self) -> tuple[Answer, ...]:
        """The cases that the reader answered."""
        return tuple(one for one in self.answers if one.answered)

    @property
    def verdicts(self) -> dict[Verdict, int]:
        """How often each verdict was given."""
        given = Counter(one.reading.verdict for one in self.read if one.reading)
        return {verdict: given[verdict] for verdict in VERDICTS}

    @property
    def seconds(self) -> tuple[float, ...]:
        """The time of each answer that has one; replayed in several runs it took it once."""
        once = {
            (one.key, r.verdict, r.squares, r.reason, r.seconds): one.seconds
            for one in self.read
            if (r := one.reading) is not None and one.seconds  # 0: nobody measured it
        }
        return () if self.played else tuple(once.values())

    @property
    def total(self) -> float:
        """Seconds of reading in all."""
        return sum(self.seconds)

    @property
    def middle(self) -> float:
        """Median seconds of a case; 0 where nothing was timed."""
        return median(self.seconds) if self.seconds else 0.0

    @property
    def selected(self) -> float:
        """Median number of squares selected; 0 where none were."""
        counts = [len(r.squares) for one in self.read if (r := one.reading) and r.squares]
        return float(median(counts)) if counts else 0.0


def sessions(study: StudyFolder, plan: Plan) -> list[Session]:
    """What each reader of a study did, over all jobs that have a round."""
    found = []
    for arm in (arm for arm in plan.rows if arm.kind == "imil"):
        jobs = study.jobs([arm.id], plan.seeds, plan.splits.count)
        answers: list[Answer] = []
        asked = 0
        for job in (job for job in jobs if job.run.store.exists()):
            rounds, of_job = _answers(job)
            asked += sum(one.settings.num_outliers for one in rounds)
            answers += of_job
        played = plan.reader(arm.reader).reader.is_simulated
        found.append(Session(arm.reader, played, asked, tuple(answers)))
    return found


def run_sessions(path: Path) -> list[Session]:
    """What each reader of one run did; unread cases count for all of them.

    Args:
        path: the run's folder, or its store.
    Raises: SettingsError: there is no store, or no round in it.
    """
    file = path if path.is_file() else RunFolder(path).store
    if not file.is_file():
        raise SettingsError(
            f"there is no reader's session in {path}: name the folder of a run that held a round"
        )
    store = Store(file, readonly=True)
    try:
        rounds = store.rounds()
        by_reader = _by_reader(store, rounds)
        played = _played(store)
    finally:
        store.close()
    if not rounds:
        raise SettingsError(f"no round was held in {path}: name a run that held one")
    asked = sum(one.settings.num_outliers for one in rounds)
    return [
        Session(name, name in played, asked, tuple(answers)) for name, answers in by_reader.items()
    ]


def _played(store: Store) -> set[str]:
    """The names of programs: of each run's reader, where it is one, and those without a name."""
    named = {
        str(settings.get("reader_name"))
        for settings in (run["settings"] for run in store.runs())
        if "reader" in settings and ReaderSpec.parse(settings["reader"]).is_simulated
    }
    return named | set(SIMULATED)


def _answers(job: Job) -> tuple[list[Round], list[Answer]]:
    store = Store(job.run.store, readonly=True)
    try:
        rounds = store.rounds()
        return rounds, [_answer(round_, case, said) for round_, case, said in _cases(store, rounds)]
    finally:
        store.close()


def _by_reader(store: Store, rounds: Sequence[Round]) -> dict[str, list[Answer]]:
    held = list(_cases(store, rounds))
    names = dict.fromkeys(reading.reader for _, _, said in held for reading in said)
    names.pop(NOBODY, None)
    return {
        name: [
            _answer(round_, case, [reading for reading in said if reading.reader == name])
            for round_, case, said in held
        ]
        for name in names or [NOBODY]
    }


def _cases(store: Store, rounds: Iterable[Round]) -> Iterator[tuple[Round, Case, list[Reading]]]:
    """Every case with its readings, oldest first."""
    for round_ in rounds:
        readings = store.readings(round_.id)
        for case in store.cases(round_.id):
            yield round_, case, [reading for reading in readings if reading.case == case.id]


def _answer(round_: Round, case: Case, said: Sequence[Reading]) -> Answer:
    newest = said[-1] if said else None
    return Answer(  # without the case's heat-maps: a study has many cases
        run=round_.run,
        epoch=round_.epoch,
        number=case.number,
        key=case.key,
        truth=case.true_name,
        predicted=case.predicted_name,
        confidence=case.confidence,
        grid=case.grid,
        reading=newest,
        seconds=max((reading.seconds for reading in said), default=0.0),
        changes=max(0, len(said) - 1),
    )
