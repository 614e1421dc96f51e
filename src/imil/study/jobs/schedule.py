"""The order of the jobs: what each needs before it may start, and how many epochs it trains."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from imil.study.arms import Arm
from imil.study.plan import Plan
from imil.study.study_folder import Job, State, StudyFolder


@dataclass(frozen=True)
class Entry:
    """A job with the jobs that it needs.

    Args:
        job, arm: what is trained.
        needs: jobs that must be done before: the one from whose checkpoint it continues, and the
            one whose readings it uses.
        epochs: how many it trains itself.
        first: the epoch after which it continues; 0 for a training from the start.
    """

    job: Job
    arm: Arm
    needs: tuple[Job, ...]
    epochs: int
    first: int

    def is_done(self, sets: Sequence[str]) -> bool:
        """Whether it is trained, and has predicted all these sets."""
        return self.job.state == "done" and set(sets) <= set(self.job.sets())

    def epochs_done(self) -> int:
        """How many of its epochs are trained, according to its files."""
        if self.job.state == "done":
            return self.epochs
        try:
            trained = len(pd.read_csv(self.job.run.history, usecols=["epoch"]))
        except (OSError, ValueError):  # not started
            return 0
        return min(max(trained - self.first, 0), self.epochs)


def entries(plan: Plan, folder: StudyFolder) -> list[Entry]:
    """Every job of the study, in the order in which they start."""
    return [
        _entry(plan, folder, arm, seed, split)
        for split in range(plan.splits.count)
        for seed in plan.seeds
        for arm in plan.rows
    ]


def _entry(plan: Plan, folder: StudyFolder, arm: Arm, seed: int, split: int) -> Entry:
    epochs = plan.settings(arm, seed).epochs
    first = plan.fork_epoch(arm)
    needs = tuple(folder.job(name, seed, split) for name in _needs(arm))
    return Entry(folder.job(arm.id, seed, split), arm, needs, epochs - first, first)


def _needs(arm: Arm) -> Iterator[str]:
    if arm.trunk:
        yield arm.trunk
    if arm.repeats:
        yield arm.repeats


class Queue:
    """The jobs that are left to do. Failed ones are tried again, once a session.

    Args:
        entries: every job of the study, in order.
        sets: names of the sets that each job predicts at its end.
    """

    def __init__(self, entries: list[Entry], sets: Sequence[str]) -> None:
        self.entries = entries
        self._left = [one for one in entries if not one.is_done(sets)]
        self._ended: dict[Job, State] = {
            one.job: "done" for one in entries if one not in self._left
        }

    @property
    def left(self) -> int:
        """How many are neither done, nor failed, nor blocked by one that failed."""
        return len(self._left)

    def ready(self) -> list[Entry]:
        """Those whose needed jobs are done, in order."""
        return [
            one
            for one in self._left
            if all(self._ended.get(needed) == "done" for needed in one.needs)
        ]

    def take(self, entry: Entry) -> None:
        """Remove an entry that is being worked on."""
        self._left.remove(entry)

    def put_back(self, entry: Entry) -> None:
        """Return an entry that was taken and not done; it is the next."""
        self._left.insert(0, entry)

    def end(self, entry: Entry, state: State) -> list[Entry]:
        """Record how an entry ended; returns those that cannot be done because it failed."""
        self._ended[entry.job] = state
        if state == "done":
            return []
        blocked = [one for one in self._left if entry.job in one.needs]
        for one in blocked:
            self._left.remove(one)
        return blocked  # a job that needs one of these needs this entry too
