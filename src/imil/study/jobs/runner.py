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
from imil.study.arms import Kind
from imil.study.checks.preflight import prepare
from imil.study.jobs.job import Task, work
from imil.study.jobs.schedule import Entry, Queue, entries
from imil.study.jobs.workers import KILLED, Workers, outcome
from imil.study.phrases import count, duration
from imil.study.plan import Plan, read_plan
from imil.study.study_folder import Job, StudyFolder

BEAT = 2.0  # seconds between looks at how far the jobs are


def begin(plan: Plan, folder: StudyFolder, cache: Path, console: Console) -> None:
    """Check everything that can be checked, and write down what is to be done.

    Raises: SettingsError, DataError: before the first job starts.
    """
    before = folder.facts.exists()  # written last: without it nothing was begun
    moves: list[tuple[Path, Path]] = []
    if before:
        moves = _grown(read_plan(folder.plan), plan, folder)
    elif not folder.plan.exists() and any(p.name != ".lock" for p in folder.path.iterdir()):
        raise SettingsError(f"{folder.path} is not empty and no study: give a new folder")
    else:
        _write(plan, folder)  # first: who is stopped before the end of the checks can start again
    with _renamed(moves):
        try:
            prepare(plan, folder, console.print, cache=cache)
        except ImilError:
            if not before:
                folder.clear()  # nothing was trained: the next try finds it as it was
            raise
        _write(plan, folder)


@contextmanager
def _renamed(moves: Sequence[tuple[Path, Path]]) -> Iterator[None]:
    """The folders under their new names; under the old ones again where the block fails.

    Else the plan in the study's folder would not know them, and ask its readers anew.
    """
    done: list[tuple[Path, Path]] = []
    try:
        for old, new in moves:
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


def _grown(before: Plan, now: Plan, folder: StudyFolder) -> list[tuple[Path, Path]]:
    """The folders of arms that bear another name in the new plan, as (old, new).

    An arm bears its reader's name only where there are several: another has come, or gone.

    Raises: SettingsError: something else has changed.
    """
    for name in ("data", "training", "splits"):
        old, new = getattr(before, name), getattr(now, name)
        if name == "splits":
            old, new = (one.model_copy(update={"count": 1}) for one in (old, new))
        if old != new:
            raise SettingsError(
                f"{folder.path} holds a study with another '{name}': give another --out, or the "
                "plan that it was begun with"
            )
    known = {reader.name: reader for reader in now.readers}
    for reader in before.readers:
        if known.get(reader.name, reader) != reader:
            raise SettingsError(
                f"the reader '{reader.name}' answered otherwise in {folder.path}: give the new "
                "reader another name"
            )
    was = {(arm.kind, arm.reader): arm.id for arm in before.rows}
    _check_trained(now, folder, was)
    return [
        (folder.arm(was.get((arm.kind, arm.reader), arm.id)), folder.arm(arm.id))
        for arm in now.rows
    ]


def _check_trained(plan: Plan, folder: StudyFolder, was: Mapping[tuple[Kind, str], str]) -> None:
    """Refuse to take a training for what the plan asks for, where it was another.

    Args:
        was: the ids of arms by kind and reader, before the plan grew.
    Raises: SettingsError: a job was trained with other settings, or with another's readings.
    """
    for arm in plan.rows:
        for job in folder.jobs(
            [was.get((arm.kind, arm.reader), arm.id)], plan.seeds, plan.splits.count
        ):
            if not job.run.config.exists():
                continue
            there = load_config(job.run.config)
            asked = plan.settings(arm, job.seed).model_dump(mode="json")
            odd = next(
                (
                    name
                    for name, value in asked.items()
                    # there it says what `auto` came to
                    if value != "auto" and there.get(name, value) != value
                ),
                "",
            )
            if odd:
                raise SettingsError(
                    f"{job.path} was trained with {odd.replace('_', '-')} {there[odd]}, and the "
                    f"plan says {asked[odd]}: give another --out, or the plan as it was"
                )


@contextmanager
def held(folder: StudyFolder) -> Iterator[None]:
    """Hold the study against other processes that would run it.

    Raises: SettingsError: one is running it.
    """
    busy = (
        f"{folder.path} is being run by another process: wait for it, or watch it with "
        f"`imil study status {folder.path}`"
    )
    with locked(folder.path, busy):
        yield


@dataclass
class Session:
    """One call of `imil study run`."""

    folder: StudyFolder
    plan: Plan
    cache: Path
    threads: int
    console: Console
    failed: list[tuple[Entry, str]] = field(default_factory=list)
    lost: set[Job] = field(default_factory=set)

    def run(self, workers: Workers) -> None:
        """Do every job that is left; `failed` holds those that could not be done.

        Raises: RoundPaused: a person stopped in the middle of a round.
        """
        queue = Queue(entries(self.plan, self.folder), tuple(self.plan.external))
        for one in queue.everything:  # no other process runs this study: they were killed
            if one.job.state == "running":
                one.job.mark("waiting", seconds=one.job.status.get("seconds", 0.0))
        self._began, self._had = time.monotonic(), _epochs(queue)
        total = sum(one.epochs for one in queue.everything)
        if left := sum(one.job.state != "done" for one in queue.everything):
            epochs = count(round(total - self._had), "epoch")
            self.console.print(
                f"To do: {left} of {count(len(queue.everything), 'training')}, {epochs}, "
                f"{workers.slots} at a time.",
                soft_wrap=True,  # a line of a log is a line
            )
        running: dict[Future[str], Entry] = {}
        with self._progress() as bar:
            task = bar.add_task("Epochs", total=total, completed=self._had, said="")
            while queue.left or running:
                ready = queue.ready()
                machine = [one for one in ready if not self._asks(one)]
                for one in machine[: workers.slots - len(running)]:
                    queue.take(one)
                    running[workers.submit(self._task(one))] = one
                if not running and not machine:
                    self._ask(queue, ready[0], bar)
                done, _ = wait(running, BEAT, FIRST_COMPLETED)
                for future in done:
                    self._ended(queue, running.pop(future), outcome(future))
                at = ", ".join(one.job.name for one in running.values())
                bar.update(task, completed=_epochs(queue), said=at)

    def _ask(self, queue: Queue, one: Entry, bar: Progress) -> None:
        """A round that a person answers, at this terminal or through the link it shows."""
        bar.stop()
        queue.take(one)
        self.console.print(f"[bold]{one.job.name}[/bold] needs a reader: {one.arm.reader}.")
        torch.set_num_threads(self.threads)
        why = work(self.folder, self.plan, one.arm, one.job, cache=self.cache, console=self.console)
        self._ended(queue, one, why)
        bar.start()

    def _asks(self, one: Entry) -> bool:
        return one.arm.kind == "imil" and bool(self.plan.reader(one.arm.reader).asks)

    def _task(self, one: Entry) -> Task:
        job = one.job
        return Task(self.folder.path, job.arm, job.seed, job.split, self.cache, self.threads)

    def _ended(self, queue: Queue, one: Entry, why: str) -> None:
        if why == KILLED:  # one killed process takes along what the others of its pool did
            if one.job not in self.lost:
                self.lost.add(one.job)
                queue.put_back(one)
                return
            one.job.mark("failed", seconds=one.job.status.get("seconds", 0.0), error=why)
        stuck = queue.end(one, "failed" if why else "done")
        done = sum(entry.job.state == "done" for entry in queue.everything)
        place = f"{done} of {len(queue.everything)}"
        if not why:
            took = duration(one.job.status["seconds"])
            line = f"{place}: {one.job.name} done in {took}{self._left(queue)}"
            self.console.print(line, soft_wrap=True)
            return
        self.failed.append((one, why))
        said = f"[bold red]Failed:[/bold red] {one.job.name}: {escape(why)}"
        self.console.print(said, highlight=False, soft_wrap=True)
        for other in stuck:
            self.failed.append((other, f"it needs {one.job.name}"))

    def _left(self, queue: Queue) -> str:
        """How long the rest will take at the pace so far."""
        done = _epochs(queue)
        rest = sum(one.epochs for one in queue.everything) - done
        if done <= self._had or not rest:
            return ""
        pace = (time.monotonic() - self._began) / (done - self._had)
        return f"; about {duration(rest * pace)} left"

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}", style="dim"),
            console=self.console,
            disable=not self.console.is_terminal,
        )


def _epochs(queue: Queue) -> int:
    return sum(one.epochs_done() for one in queue.everything)
