"""One job of a study: a training from the shared checkpoint or from the start, and its files."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from imil.atomic_files import atomic_write
from imil.errors import ImilError, RoundPaused, SettingsError
from imil.heat_map_names import write_heat_map_method
from imil.images.load import load_mask
from imil.round_settings import most_cases
from imil.settings import TrainSettings, load_config, resolve
from imil.study.arms import Arm
from imil.study.attention_focus import write_focus
from imil.study.controls import Oversample
from imil.study.jobs.round_readers import job_reader, recorded_readings
from imil.study.jobs.shortcut_evaluation import evaluate_counterfactual
from imil.study.plan import Plan, read_plan
from imil.study.study_folder import TEST, Job, StudyFolder
from imil.terminal_console import TerminalConsole
from imil.training.fork import fork_run
from imil.training.hardware.device import resolve_auto
from imil.training.outputs.prediction_files import write_predictions
from imil.training.run import Run
from imil.training.run_epochs import Call
from imil.training.samples.data_share import use_share
from imil.training.samples.planted_data import Mark, plant_training
from imil.training.samples.prepared_data import Prepared, prepare, prepare_external

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
    return work(folder, plan, arm, job, cache=task.cache, console=TerminalConsole(file=StringIO()))


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

    A job that continues from another arm's checkpoint was started by that arm.

    Args:
        wanted: of the plan; `auto` becomes what this machine has, if nothing was trained yet or
            the folder does not record it.
    Raises: SettingsError: that device is not available on this machine.
    """
    started = job
    if arm.trunk and not job.run.last.exists():
        started = folder.job(arm.trunk, job.seed, job.split)
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
    if not trained:
        _take_over(folder, plan, arm, job, settings)
    as_they_are = prepare(settings, run_folder, cache=cache, progress=lambda _done, _total: None)
    data = use_share(_planted(plan, arm, job, as_they_are), share=arm.share, seed=job.seed)
    asks = arm.asks_reader and plan.reader(arm.reader).asks == "console"
    if trained:  # a set was added, or the job was killed while it evaluated
        # pretrained weights need not be loaded
        run = Run(run_folder, settings.model_copy(update={"weights": "none"}), data, console)
        run.load_trained()
        _evaluate(plan, job, run, as_they_are, cache)
        run_folder.last.unlink(missing_ok=True)
        return
    run = Run(run_folder, settings, data, console, marks=plan.marks(arm), at_terminal=asks)
    store = run.open_store() if run.rounds else None
    try:
        with job_reader(folder, plan, arm, job, run, store, console) as reader:
            more: list[Call] = []
            if arm.kind == "upweight" and store is not None:
                keys = _keys(data, "train")
                reference = recorded_readings(folder, arm, job)
                more = [Oversample(run.order, keys, store, run.name, reference)]
            run.train(reader, store, after_rounds=more)
    finally:
        if store is not None:
            store.close()
    _evaluate(plan, job, run, as_they_are, cache)
    run_folder.last.unlink(missing_ok=True)  # model.safetensors has the trained weights


def _take_over(
    folder: StudyFolder, plan: Plan, arm: Arm, job: Job, settings: TrainSettings
) -> None:
    """Copy the training up to the first round from the arm that has it.

    Where that arm was trained before this one was added to the plan, it may have no checkpoint of
    that epoch; the job then trains from the start, with the same result.
    """
    epoch = plan.fork_epoch(arm)
    trunk = folder.job(arm.trunk, job.seed, job.split).run
    if not epoch or not trunk.at(epoch).exists():
        return
    # what the trunk predicted in bfloat16 is exact for as many images as its own round would show
    more = most_cases(settings) > most_cases(plan.settings(Arm("baseline"), job.seed))
    fork_run(trunk, job.run, epoch, without=["train"] if more else [])


def _planted(plan: Plan, arm: Arm, job: Job, data: Prepared) -> Prepared:
    """The data with the plan's shortcut, where it has one and the arm is trained with it."""
    shortcut = plan.shortcut
    if shortcut is None or not arm.planted:
        return data
    mark = Mark(shortcut.kind, shortcut.place)
    return plant_training(data, mark, share=shortcut.share, seed=job.seed)


def _evaluate(plan: Plan, job: Job, run: Run, as_they_are: Prepared, cache: Path) -> None:
    """Write predictions of other sets, attention in masks, and the figure's heat-maps.

    Args:
        as_they_are: the images without a planted shortcut.
    """
    model = run.model
    if plan.shortcut is not None:
        evaluate_counterfactual(plan.shortcut, job, run, as_they_are)
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
    write_heat_map_method(run.folder.heat_map, model.heat_map)
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
