"""The answers of readers, from the stores of the runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from imil.cases import VERDICTS, Case, Reading, Round, Verdict
from imil.errors import SettingsError
from imil.grid import Grid
from imil.reader_names import NOBODY
from imil.readers.spec import SIMULATED, ReaderSpec
from imil.run_folder import RunFolder
from imil.store import Store, schema_version
from imil.study.plan import Plan
from imil.study.study_folder import Job, StudyFolder


@dataclass(frozen=True)
class Answer:
    """One case that was put to a reader, with the newest reading.

    Args:
        run: name of the run.
        epoch: completed epochs before the round.
        number, key, truth, predicted, confidence, grid: of the case.
        reading: the newest; None: not read.
        seconds: spent on the case. The reading page's clock continues when a case is opened
            again, so of several readings the longest counts.
        changes: how often the reading was changed.
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
        """Whether a reader answered: a replay without an answer skips in nobody's name."""
        return self.reading is not None and self.reading.reader != NOBODY


@dataclass(frozen=True)
class Session:
    """A reader's answers to the cases of one or more runs.

    Args:
        reader: the name.
        simulated: whether a program answers, so that its times mean nothing.
        wanted: the number of cases that the rounds asked for; fewer if the model made fewer
            mistakes.
        answers: every case of every round, read or not.
    """

    reader: str
    simulated: bool
    wanted: int
    answers: tuple[Answer, ...]

    @property
    def read(self) -> tuple[Answer, ...]:
        """The cases that the reader answered."""
        return tuple(one for one in self.answers if one.answered)

    @property
    def verdicts(self) -> dict[Verdict, int]:
        """How often each verdict was given."""
        counts = Counter(one.reading.verdict for one in self.read if one.reading)
        return {verdict: counts[verdict] for verdict in VERDICTS}

    @property
    def seconds(self) -> tuple[float, ...]:
        """The time of each answer that has one; an answer replayed in several runs counts once."""
        distinct = {
            (one.key, r.verdict, r.squares, r.misleading, r.reason, r.seconds): one.seconds
            for one in self.read
            if (r := one.reading) is not None and one.seconds  # 0: not measured
        }
        return () if self.simulated else tuple(distinct.values())

    @property
    def total(self) -> float:
        """Seconds of reading, all answers together."""
        return sum(self.seconds)

    @property
    def median_seconds(self) -> float:
        """Median seconds of a case; 0 if none was timed."""
        return median(self.seconds) if self.seconds else 0.0

    @property
    def median_squares(self) -> float:
        """Median number of squares selected, over answers with squares; 0 if there is none."""
        counts = [len(r.squares) for one in self.read if (r := one.reading) and r.squares]
        return float(median(counts)) if counts else 0.0


def sessions(study: StudyFolder, plan: Plan) -> list[Session]:
    """The session of each reader of a study, over all jobs that had a round."""
    result = []
    for arm in (arm for arm in plan.rows if arm.kind == "imil"):
        jobs = study.jobs([arm.id], plan.seeds, plan.splits.count)
        answers: list[Answer] = []
        wanted = 0
        for job in (job for job in jobs if schema_version(job.run.store)):
            rounds, of_job = _answers(job)
            wanted += sum(one.settings.num_outliers for one in rounds)
            answers += of_job
        simulated = plan.reader(arm.reader).reader.is_simulated
        result.append(Session(arm.reader, simulated, wanted, tuple(answers)))
    return result


def run_sessions(path: Path) -> list[Session]:
    """The session of each reader of one run; each has the unread cases too.

    Args:
        path: the run's folder, or its store.
    Raises: SettingsError: the store is missing, or has no round.
    """
    file = path if path.is_file() else RunFolder(path).store
    if not file.is_file():
        raise SettingsError(
            f"no reader's session in {path}: give the folder of a run that had a round"
        )
    store = Store(file, readonly=True)
    try:
        rounds = store.rounds()
        by_reader = _by_reader(store, rounds)
        simulated = _simulated(store)
    finally:
        store.close()
    if not rounds:
        raise SettingsError(f"no round in {path}: give the folder of a run that had one")
    wanted = sum(one.settings.num_outliers for one in rounds)
    return [
        Session(name, name in simulated, wanted, tuple(answers))
        for name, answers in by_reader.items()
    ]


def _simulated(store: Store) -> set[str]:
    """The names of readers that are programs: those of the runs, and the default names."""
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
        return rounds, [
            _answer(round_, case, readings) for round_, case, readings in _cases(store, rounds)
        ]
    finally:
        store.close()


def _by_reader(store: Store, rounds: Sequence[Round]) -> dict[str, list[Answer]]:
    cases = list(_cases(store, rounds))
    names = dict.fromkeys(reading.reader for _, _, readings in cases for reading in readings)
    names.pop(NOBODY, None)
    return {
        name: [
            _answer(round_, case, [reading for reading in readings if reading.reader == name])
            for round_, case, readings in cases
        ]
        for name in names or [NOBODY]
    }


def _cases(store: Store, rounds: Iterable[Round]) -> Iterator[tuple[Round, Case, list[Reading]]]:
    """Every case with its readings, oldest first."""
    for round_ in rounds:
        readings = store.readings(round_.id)
        for case in store.cases(round_.id):
            yield round_, case, [reading for reading in readings if reading.case == case.id]


def _answer(round_: Round, case: Case, readings: Sequence[Reading]) -> Answer:
    newest = readings[-1] if readings else None
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
        seconds=max((reading.seconds for reading in readings), default=0.0),
        changes=max(0, len(readings) - 1),
    )
