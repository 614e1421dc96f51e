"""The progress of a study, as tables for a terminal."""

from __future__ import annotations

from collections import Counter

from rich.markup import escape
from rich.table import Table
from rich.text import Text

from imil.study.jobs.schedule import Entry, entries
from imil.study.phrases import duration
from imil.study.plan import Plan
from imil.study.study_folder import State, StudyFolder

STATES: tuple[State, ...] = ("done", "running", "failed", "waiting")


def status_table(plan: Plan, folder: StudyFolder) -> Table:
    """One line an arm: how many of its jobs are done, running, failed and waiting."""
    jobs = entries(plan, folder)
    states = folder.states(one.job for one in jobs)
    done = sum(state == "done" for state in states.values())
    title = escape(f"{plan.name}: {done} of {len(jobs)} jobs done")
    table = Table(title=title, title_justify="left")
    table.add_column("Arm")
    for column in (*STATES, "epochs", "time"):
        table.add_column(column, justify="right")
    for arm in plan.rows:
        of_arm = [one for one in jobs if one.arm == arm]
        counts = Counter(states[one.job] for one in of_arm)
        trained = sum(one.epochs_done() for one in of_arm)
        seconds = sum(float(one.job.status.get("seconds", 0)) for one in of_arm)
        cells = [str(counts[state] or "") for state in STATES]
        epochs = f"{trained}/{sum(one.epochs for one in of_arm)}"
        table.add_row(Text(arm.title), *cells, epochs, duration(seconds) if seconds else "")
    return table


def failures(plan: Plan, folder: StudyFolder) -> list[tuple[Entry, str]]:
    """Each failed job with the reason."""
    return [
        (one, str(one.job.status.get("error", "")))
        for one in entries(plan, folder)
        if one.job.state == "failed"
    ]


def time_left(plan: Plan, folder: StudyFolder) -> float | None:
    """The estimated seconds of work left, by the pace of the finished jobs; None without one."""
    jobs = entries(plan, folder)
    done = [one for one in jobs if one.job.state == "done"]
    epochs = sum(one.epochs for one in done)
    if not epochs:
        return None
    pace = sum(float(one.job.status["seconds"]) for one in done) / epochs
    return pace * sum(one.epochs - one.epochs_done() for one in jobs)
