"""Which job may start: what it waits for, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from imil.study.arms import Arm
from imil.study.plan import Plan
from imil.study.study_folder import Job, State, StudyFolder


@dataclass(frozen=True)
class Entry:
    """A job with what it waits for.

    Args:
        job, arm: what is trained.
        needs: jobs that must be done before: the one whose checkpoint it goes on from, and the
            one whose readings it is the control of.
        epochs: how many it trains itself.
        first: the epoch from which it goes on, 0 for a training from the start.
    """

    job: Job
    arm: Arm
    needs: tuple[Job, ...]
    epochs: int
    first: int

    def is_done(self, external: Sequence[str]) -> bool:
        """Whether nothing is left to do: trained, and tested on all these external sets."""
        if self.job.state != "done":
            return False
        return {f"external-{name}" for name in external} <= set(self.job.sets())

    def epochs_done(self) -> int:
        """How many of its epochs are trained, by its files."""
        if self.job.state == "done":
            return self.epochs
        try:
            trained = len(pd.read_csv(self.job.run.history, usecols=["epoch"]))
        except (OSError, ValueError):  # not begun
            return 0
        return min(max(trained - self.first, 0), self.epochs)


def entries(plan: Plan, folder: StudyFolder) -> list[Entry]:
    """Every job of the study, in the order in which they are begun."""
    return [
        _entry(plan, folder, arm, seed, split)
        for split in range(plan.splits.count)
        for seed in plan.seeds
        for arm in plan.rows
    ]


def _entry(plan: Plan, folder: StudyFolder, arm: Arm, seed: int, split: int) -> Entry:
    epochs = plan.settings(arm, seed).epochs
    first = plan.round if arm.forks else 0
    needs = tuple(folder.job(name, seed, split) for name in _needs(plan, arm))
    return Entry(folder.job(arm.id, seed, split), arm, needs, epochs - first, first)


def _needs(plan: Plan, arm: Arm) -> Iterator[str]:
    if arm.forks:
        yield "baseline"
    if arm.is_control:
        yield next(row.id for row in plan.rows if row.kind == "imil" and row.reader == arm.reader)


class Queue:
    """The jobs that are left to do. Failed ones are tried again, once a session.

    Args:
        everything: every job of the study, in order.
        external: names of the sets that all of them are tested on.
    """

    def __init__(self, everything: list[Entry], external: Sequence[str]) -> None:
        self.everything = everything
        self._left = [one for one in everything if not one.is_done(external)]
        self._ended: dict[Job, State] = {
            one.job: "done" for one in everything if one not in self._left
        }

    @property
    def left(self) -> int:
        """How many are neither done nor given up."""
        return len(self._left)

    def ready(self) -> list[Entry]:
        """Those whose needs are met, in order."""
        return [
            one
            for one in self._left
            if all(self._ended.get(needed) == "done" for needed in one.needs)
        ]

    def take(self, entry: Entry) -> None:
        """It is being worked on."""
        self._left.remove(entry)

    def put_back(self, entry: Entry) -> None:
        """It was taken and not done: it is the next."""
        self._left.insert(0, entry)

    def end(self, entry: Entry, state: State) -> list[Entry]:
        """It has ended; returns those that can no longer be done because of it."""
        self._ended[entry.job] = state
        if state == "done":
            return []
        stuck = [one for one in self._left if entry.job in one.needs]
        for one in stuck:
            self._left.remove(one)
        return stuck  # whoever needs one of these needs this entry too
