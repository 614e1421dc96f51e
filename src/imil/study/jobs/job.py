"""One job of a study: a training from the shared checkpoint or from the start, and its files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from imil.atomic_files import atomic_write
from imil.cases import Case, Reader, Reading
from imil.errors import ImilError, RoundPaused, SettingsError
from imil.images.load import load_mask
from imil.readers.replay import Replay
from imil.readers.simulated import Inverted, RandomSquares
from imil.readers.spec import ReaderSpec
from imil.settings import TrainSettings, load_config, resolve
from imil.store import Store
from imil.study.arms import Arm
from imil.study.attention_focus import write_focus
from imil.study.controls import Oversample, RandomBox, Recorded, SkipAll
from imil.study.plan import Plan, read_plan
from imil.study.study_folder import TEST, Job, StudyFolder
from imil.training.device import resolve_auto
from imil.training.fork import fork_run
from imil.training.prediction_files import write_predictions
from imil.training.prepared_data import Prepared, prepare, prepare_external
from imil.training.reader_factory import make_reader
from imil.training.run import Run
from imil.training.run_epochs import Call
from imil.training.web_reader import reading_room

IMAGES_PER_CLASS = 2  # in the figure of heat-maps (paper, Figure 4)


@dataclass(frozen=True)
class Task:
    """A job in a form that can be sent to another process."""

    study: Path
    arm: str
    seed: int
    split: int
    cache: Path
    threads: int


class MaskFiles(Sequence[NDArray[np.bool_] | None]):
    """Masks that are loaded on access, because all masks of large films may not fit in memory.

    Args:
        files: N masks, or None where an image has none.
    """

    def __init__(self, files: Sequence[Path | None]) -> None:
        self._files = files

    def __len__(self) -> int:
        """The number of images, N."""
        return len(self._files)

    def __getitem__(self, i: Any) -> Any:
        """The mask of the i-th image, (H, W)."""
        file = self._files[i]
        return None if file is None else load_mask(file)


def do(task: Task) -> str:
    """Do the job in this process; returns "", or the reason why it failed in one sentence."""
    torch.set_num_threads(task.threads)
    folder = StudyFolder(task.study)
    plan = read_plan(folder.plan)
    arm = next(arm for arm in plan.rows if arm.id == task.arm)
    job = folder.job(task.arm, task.seed, task.split)
    return work(folder, plan, arm, job, cache=task.cache, console=Console(file=StringIO()))


def work(
    folder: StudyFolder, plan: Plan, arm: Arm, job: Job, *, cache: Path, console: Console
) -> str:
    """Do the job, or what is left of it; returns "", or the reason why it failed in one sentence.

    Raises: RoundPaused: a person stopped in the middle of a round.
    """
    earlier = float(job.status.get("seconds", 0.0))
    start = time.monotonic()

    def spent() -> float:
        return round(earlier + time.monotonic() - start, 1)

    try:
        with job.run.locked():
            settings = plan.settings(arm, job.seed)
            how: dict[str, Any] = {}
            if not job.run.metrics.exists():
                settings = settings_of_start(folder, arm, job, settings)
                # each of these changes the last bits of a sum
                how = {"threads": torch.get_num_threads()}
                how |= {"device": settings.device, "precision": settings.precision}
            job.mark("running", seconds=earlier, **how)
            _train(folder, plan, arm, job, settings, cache, console)
            job.mark("done", seconds=spent())
    except RoundPaused:
        job.mark("waiting", seconds=spent())
        raise
    except ImilError as error:
        return _failed(job, spent(), str(error))
    except Exception as error:  # the failure of one job must not end the others
        return _failed(job, spent(), f"{type(error).__name__}: {error}")
    return ""


def _failed(job: Job, seconds: float, error: str) -> str:
    with suppress(ImilError):  # on a full disk this may fail too
        job.mark("failed", seconds=seconds, error=error)
    return error


def settings_of_start(
    folder: StudyFolder, arm: Arm, job: Job, wanted: TrainSettings
) -> TrainSettings:
    """The job's settings, with the device and precision with which its training was started.

    A job that continues from the baseline's checkpoint was started by the baseline.

    Args:
        wanted: of the plan; `auto` becomes what this machine has, if nothing was trained yet or
            the folder does not record it.
    Raises: SettingsError: that device is not available on this machine.
    """
    started = job
    if arm.forks and not job.run.last.exists():
        started = folder.job("baseline", job.seed, job.split)
    if not (started.run.last.exists() or started.run.metrics.exists()):
        return resolve_auto(wanted)
    config = load_config(started.run.config)
    same = {name: config.get(name, "auto") for name in ("device", "precision")}
    known = {name: value for name, value in same.items() if value != "auto"}
    settings = resolve(wanted.model_dump() | known)
    try:
        return resolve_auto(settings)
    except SettingsError as error:
        raise SettingsError(
            f"{started.path} was started on {settings.device}, which is not available on this "
            "machine: run the study where it is, or delete that folder to train it again"
        ) from error


def _train(
    folder: StudyFolder,
    plan: Plan,
    arm: Arm,
    job: Job,
    settings: TrainSettings,
    cache: Path,
    console: Console,
) -> None:
    run_folder = job.run
    trained = run_folder.metrics.exists()
    if not trained:
        with atomic_write(run_folder.config) as half:
            settings.write(half)
    with atomic_write(run_folder.splits) as half:
        shutil.copyfile(folder.splits(job.split), half)
    if arm.forks and not trained:
        fork_run(folder.job("baseline", job.seed, job.split).run, run_folder, plan.round)
    data = prepare(settings, run_folder, cache=cache, progress=lambda _done, _total: None)
    # every baseline keeps its checkpoint: an arm that continues from it may be added later
    trunk = arm.kind == "baseline" and plan.round < settings.epochs
    marks = (plan.round,) if trunk else ()
    asks = arm.kind == "imil" and plan.reader(arm.reader).asks == "console"
    if trained:  # an external set was added, or the job was killed while it evaluated
        # pretrained weights need not be loaded
        run = Run(run_folder, settings.model_copy(update={"weights": "none"}), data, console)
        run.load_trained()
        _evaluate(plan, job, run, cache)
        run_folder.last.unlink(missing_ok=True)
        return
    run = Run(run_folder, settings, data, console, marks=marks, at_terminal=asks)
    store = run.open_store() if run.rounds else None
    try:
        with _reader(folder, plan, arm, job, run, store, console) as reader:
            more: list[Call] = []
            if arm.kind == "upweight" and store is not None:
                keys = _keys(data, "train")
                reference = _reference(folder, plan, arm, job)
                more = [Oversample(run.order, keys, store, run.name, reference)]
            run.train(reader, store, after_rounds=more)
    finally:
        if store is not None:
            store.close()
    _evaluate(plan, job, run, cache)
    run_folder.last.unlink(missing_ok=True)  # model.safetensors has the trained weights


@contextmanager
def _reader(
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
    elif arm.kind != "imil":
        yield _control(folder, plan, arm, job)
    else:
        answers = plan.reader(arm.reader)
        first = None if answers.reader.kind == "web" else _named(answers.reader, arm, job, run)
        if answers.asks == "web":
            with reading_room(run, store, console) as page:
                yield page if first is None else _replay_then_ask(first, page)
        elif isinstance(first, Replay) and answers.asks:
            yield _replay_then_ask(first, _named(ReaderSpec.parse(answers.asks), arm, job, run))
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


def _replay_then_ask(replayed: Reader, person: Reader) -> Reader:
    """A reader that replays the cases of the file, and asks a person for the others."""
    assert isinstance(replayed, Replay)

    def both(cases: Sequence[Case]) -> Iterator[Reading]:
        known = [case for case in cases if replayed.has_reading(case)]
        unknown = [case for case in cases if not replayed.has_reading(case)]
        if known:
            yield from replayed(known)
        if unknown:
            yield from person(unknown)

    return both


def _control(folder: StudyFolder, plan: Plan, arm: Arm, job: Job) -> Reader:
    reference = _reference(folder, plan, arm, job)
    if arm.kind == "cutout-same":
        return RandomBox(job.seed, reference)
    if arm.kind == "upweight":
        return SkipAll(reference)
    if arm.kind == "imil-random":
        return RandomSquares(seed=job.seed, reference=reference)
    return Inverted(reference=reference)


def _reference(folder: StudyFolder, plan: Plan, arm: Arm, job: Job) -> Recorded:
    """The squares that the reader selected for whom the arm is the control."""
    first = next(row for row in plan.rows if row.kind == "imil" and row.reader == arm.reader)
    return Recorded(folder.job(first.id, job.seed, job.split).run.store)


def _evaluate(plan: Plan, job: Job, run: Run, cache: Path) -> None:
    """Write predictions of external sets, attention in masks, and the figure's heat-maps."""
    model = run.model
    for name, external in plan.external.items():
        path = run.folder.predictions("end", f"external-{name}")
        if not path.exists():
            samples = prepare_external(run.settings, external.data, run.data, cache=cache)
            write_predictions(path, model.predict(samples))
    samples = run.samples[TEST]
    keys = _keys(run.data, TEST)
    shown = figure_images(plan, job.split, keys, samples.labels)
    rows = [i for i, split in enumerate(run.data.split_of) if split == TEST]
    files = {name: [column[row] for row in rows] for name, column in run.data.table.masks.items()}
    wanted = [
        i
        for i, key in enumerate(keys)
        if key in shown or any(of_images[i] is not None for of_images in files.values())
    ]
    cams = model.explain(samples, wanted, [int(samples.labels[i]) for i in wanted])
    write_focus(
        job.focus,
        [keys[i] for i in wanted],
        cams,
        {name: MaskFiles([of_images[i] for i in wanted]) for name, of_images in files.items()},
    )
    kept: dict[str, Any] = {keys[i]: cams[n] for n, i in enumerate(wanted) if keys[i] in shown}
    with atomic_write(job.heat_maps) as half, half.open("wb") as file:
        np.savez_compressed(file, **kept)


def figure_images(
    plan: Plan, split: int, keys: Sequence[str], labels: NDArray[np.int64]
) -> list[str]:
    """Keys of the test images whose heat-maps are kept, drawn with the splits' seed."""
    rng = np.random.default_rng([plan.splits.seed, split])
    shown: list[str] = []
    for label in np.unique(labels):
        of_class = np.flatnonzero(labels == label)
        drawn = rng.permutation(of_class)[:IMAGES_PER_CLASS]
        shown += [keys[i] for i in sorted(drawn)]
    return shown


def _keys(data: Prepared, split: str) -> list[str]:
    return [key for key, of in zip(data.table.keys, data.split_of, strict=True) if of == split]
