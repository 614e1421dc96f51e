"""A study from its plan to its last job: what `imil study run` does."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from imil.atomic_files import atomic_write, locked
from imil.errors import ImilError, SettingsError
from imil.settings import load_config
from imil.study.arms import Arm
from imil.study.checks.preflight import prepare
from imil.study.jobs.job import Task, work
from imil.study.jobs.schedule import Entry, Queue, entries
from imil.study.jobs.workers import KILLED, Workers, outcome
from imil.study.phrases import count, duration
from imil.study.plan import Plan, read_plan
from imil.study.study_folder import Job, StudyFolder
from imil.training.imagenet_weights import IMAGENET, with_revision

POLL_SECONDS = 2.0  # between updates of the progress bar


def begin(plan: Plan, folder: StudyFolder, cache: Path, console: Console) -> Plan:
    """Check the plan and its data, and write the plan and the record of the data.

    Returns: the plan as written: it names the revision of ImageNet weights.
    Raises: SettingsError, DataError: before the first job starts.
    """
    before = folder.facts.exists()  # written last: without it nothing was started
    renames: list[tuple[Path, Path]] = []
    if before:
        earlier = read_plan(folder.plan)
        plan = _with_revision(plan, earlier)
        renames = _extend(earlier, plan, folder)
    elif not folder.plan.exists() and any(p.name != ".lock" for p in folder.path.iterdir()):
        raise SettingsError(
            f"{folder.path} is not empty and does not contain a study: give a new folder"
        )
    else:
        plan = _with_revision(plan, None)
        _write(plan, folder)  # first: if the checks are interrupted, the study can start again
    with _renamed(renames):
        try:
            prepare(plan, folder, console.print, cache=cache)
        except ImilError:
            if not before:
                folder.clear()  # nothing was trained: the next attempt starts from the beginning
            raise
        _write(plan, folder)
    return plan


def _with_revision(plan: Plan, earlier: Plan | None) -> Plan:
    """The plan with the revision of its ImageNet weights, of an earlier plan if that has one."""
    weights = plan.training.get("weights", "none")
    before = "" if earlier is None else earlier.training.get("weights", "none")
    if weights == IMAGENET and before.startswith(IMAGENET):
        fixed = before
    else:
        fixed = with_revision(plan.settings(Arm("baseline"), plan.seeds[0]).model, weights)
    if fixed == weights:
        return plan
    return plan.model_copy(update={"training": plan.training | {"weights": fixed}})


@contextmanager
def _renamed(renames: Sequence[tuple[Path, Path]]) -> Iterator[None]:
    """Rename folders (old, new) for the block; back to the old names if the block fails.

    Otherwise the plan in the study's folder would not find them, and ask its readers again.
    """
    done: list[tuple[Path, Path]] = []
    try:
        for old, new in renames:
            if old != new and old.exists():
                old.rename(new)
                done.append((old, new))
        yield
    except BaseException:  # Ctrl-C too
        for old, new in reversed(done):
            new.rename(old)
        raise


def _write(plan: Plan, folder: StudyFolder) -> None:
    with atomic_write(folder.plan) as half:
        plan.write(half)


def _extend(before: Plan, now: Plan, folder: StudyFolder) -> list[tuple[Path, Path]]:
    """The folders of arms that have another name in the extended plan, as (old, new).

    An arm has its reader's name only if there are several readers, so the names change when a
    second reader is added, or the second last is removed.

    Raises: SettingsError: the plan was not only extended.
    """
    for name in ("data", "training", "splits", "shortcut", "screening"):
        old, new = getattr(before, name), getattr(now, name)
        if name == "splits":
            old, new = (one.model_copy(update={"count": 1}) for one in (old, new))
        if old != new:
            raise SettingsError(
                f"{folder.path} contains a study with another '{name}': give another --out, or the "
                "plan that it was started with"
            )
    known = {reader.name: reader for reader in now.readers}
    for reader in before.readers:
        if known.get(reader.name, reader) != reader:
            raise SettingsError(
                f"the reader '{reader.name}' has other settings in {folder.path}: give the new "
                "reader another name"
            )
    _check_shares(before, now, folder)
    ids_before = {arm.identity: arm.id for arm in before.rows}
    _check_trained(now, folder, ids_before)
    return [
        (folder.arm(ids_before.get(arm.identity, arm.id)), folder.arm(arm.id)) for arm in now.rows
    ]


def _check_shares(before: Plan, now: Plan, folder: StudyFolder) -> None:
    """Refuse another share of the images, which no file of a training records.

    Raises: SettingsError: a treatment has one.
    """
    shares = {one.name: one.share_of_data for one in before.treatments}
    for one in now.treatments:
        share = shares.get(one.name, one.share_of_data)
        if share != one.share_of_data:
            raise SettingsError(
                f"the treatment '{one.name}' has share-of-data {share:g} in {folder.path}: give "
                "the new one another name"
            )


def _check_trained(plan: Plan, folder: StudyFolder, ids_before: Mapping[Arm, str]) -> None:
    """Refuse a plan whose settings differ from those of trainings in the folder.

    Args:
        ids_before: the ids of arms by their identity, before the plan was extended.
    Raises: SettingsError: a job was trained with other settings, or with another reader.
    """
    for arm in plan.rows:
        for job in folder.jobs(
            [ids_before.get(arm.identity, arm.id)], plan.seeds, plan.splits.count
        ):
            if not job.run.config.exists():
                continue
            trained = load_config(job.run.config)
            wanted = plan.settings(arm, job.seed).model_dump(mode="json")
            odd = next(
                (
                    name
                    for name, value in wanted.items()
                    # the folder has the value that `auto` was resolved to
                    if value != "auto" and trained.get(name, value) != value
                ),
                "",
            )
            if odd:
                raise SettingsError(
                    f"{job.path} was trained with {odd.replace('_', '-')} {trained[odd]}, but the "
                    f"plan has {wanted[odd]}: give another --out, or the plan as it was"
                )


@contextmanager
def hold(folder: StudyFolder) -> Iterator[None]:
    """Lock the study against other processes for the block.

    Raises: SettingsError: another process is running it.
    """
    busy = (
        f"{folder.path} is being run by another process: wait for it, or watch it with "
        f"`imil study status {folder.path}`"
    )
    with locked(folder.path, busy):
        yield


@dataclass
class StudyRun:
    """One call of `imil study run`."""

    folder: StudyFolder
    plan: Plan
    cache: Path
    threads: int
    console: Console
    failed: list[tuple[Entry, str]] = field(default_factory=list)
    lost: set[Job] = field(default_factory=set)

    def run(self, workers: Workers) -> None:
        """Do every job that is left; `failed` lists those that failed, with the reason.

        Raises: RoundPaused: a person stopped in the middle of a round.
        """
        queue = Queue(entries(self.plan, self.folder), self.plan.more_sets)
        for one in queue.entries:  # no other process runs this study: these were killed
            if one.job.state == "running":
                one.job.mark("waiting", seconds=one.job.status.get("seconds", 0.0))
        self._started, self._epochs_before = time.monotonic(), _epochs(queue)
        total = sum(one.epochs for one in queue.entries)
        if left := sum(one.job.state != "done" for one in queue.entries):
            epochs = count(round(total - self._epochs_before), "epoch")
            self.console.print(
                f"To do: {left} of {count(len(queue.entries), 'training')}, {epochs}, "
                f"{workers.slots} at a time.",
                soft_wrap=True,  # a line of a log is a line
            )
        running: dict[Future[str], Entry] = {}
        with self._progress() as bar:
            task = bar.add_task("Epochs", total=total, completed=self._epochs_before, jobs="")
            while queue.left or running:
                ready = queue.ready()
                automatic = [one for one in ready if not self._asks_person(one)]
                for one in automatic[: workers.slots - len(running)]:
                    queue.take(one)
                    running[workers.submit(self._task(one))] = one
                if not running and not automatic:
                    self._ask(queue, ready[0], bar)
                done, _ = wait(running, POLL_SECONDS, FIRST_COMPLETED)
                for future in done:
                    self._ended(queue, running.pop(future), outcome(future))
                names = ", ".join(one.job.name for one in running.values())
                bar.update(task, completed=_epochs(queue), jobs=names)

    def _ask(self, queue: Queue, one: Entry, bar: Progress) -> None:
        """Do a job whose round a person answers, at this terminal or on a page that it links to."""
        bar.stop()
        queue.take(one)
        self.console.print(
            f"[bold]{escape(one.job.name)}[/bold] needs a reader: {escape(one.arm.reader)}."
        )
        torch.set_num_threads(self.threads)
        error = work(
            self.folder, self.plan, one.arm, one.job, cache=self.cache, console=self.console
        )
        self._ended(queue, one, error)
        bar.start()

    def _asks_person(self, one: Entry) -> bool:
        return one.arm.asks_reader and bool(self.plan.reader(one.arm.reader).asks)

    def _task(self, one: Entry) -> Task:
        job = one.job
        return Task(self.folder.path, job.arm, job.seed, job.split, self.cache, self.threads)

    def _ended(self, queue: Queue, one: Entry, error: str) -> None:
        if error == KILLED:  # a killed process ends the others of its pool too: try each once more
            if one.job not in self.lost:
                self.lost.add(one.job)
                queue.put_back(one)
                return
            one.job.mark("failed", seconds=one.job.status.get("seconds", 0.0), error=error)
        blocked = queue.end(one, "failed" if error else "done")
        done = sum(entry.job.state == "done" for entry in queue.entries)
        progress = f"{done} of {len(queue.entries)}"
        if not error:
            took = duration(one.job.status["seconds"])
            line = f"{progress}: {one.job.name} done in {took}{self._time_left(queue)}"
            self.console.print(line, markup=False, soft_wrap=True)
            return
        self.failed.append((one, error))
        line = f"[bold red]Failed:[/bold red] {escape(one.job.name)}: {escape(error)}"
        self.console.print(line, highlight=False, soft_wrap=True)
        for other in blocked:
            self.failed.append((other, f"it needs {one.job.name}"))

    def _time_left(self, queue: Queue) -> str:
        """The estimated time left, by the pace so far; empty where there is none."""
        done = _epochs(queue)
        rest = sum(one.epochs for one in queue.entries) - done
        if done <= self._epochs_before or not rest:
            return ""
        pace = (time.monotonic() - self._started) / (done - self._epochs_before)
        return f"; about {duration(rest * pace)} left"

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[jobs]}", style="dim"),
            console=self.console,
            disable=not self.console.is_terminal,
        )


def _epochs(queue: Queue) -> int:
    return sum(one.epochs_done() for one in queue.entries)
