"""Runs that end while readers read: whether one may go on, and what a person is told.

It loads no framework: `imil watch` holds nothing but this while it waits.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from imil.cases import Round
from imil.errors import RoundUnanswered, SettingsError
from imil.run_folder import RunFolder
from imil.settings import TrainSettings, load_config, resolve
from imil.store import Store, round_state, schema_version
from imil.store.clock import now
from imil.store.round_waiting import waiting_sentence
from imil.store_claim import recorded_name, store_place

Say = Callable[[str], None]
SHORTEST, LONGEST = 0.5, 15.0  # seconds between two queries of the store
GROWTH = 1.5


def how_to_go_on(path: Path, round_: Round, who: str) -> list[str]:
    """Lines for a person whose training has just parked.

    Args:
        who: is waited for.
    """
    run = shlex.quote(str(path))
    cases = "1 case" if round_.cases == 1 else f"{round_.cases} cases"
    state = f"the round after epoch {round_.epoch} is open, with {cases}"
    return [
        f"Training is parked: {state}. It waits for {who}.{_until(round_)}",
        f"  to serve it to readers   imil serve {run}",
        f'  to invite a reader       imil invite {run} "Dr. Lee"',
        f"  to go on once it is read imil resume {run}",
        f"  to wait, and then go on  imil watch {run}",
    ]


def check_answered(folder: RunFolder, settings: TrainSettings) -> None:
    """Check that no parked round of the run is unanswered. Changes nothing.

    Raises: RoundUnanswered: one is; StoreError: the store cannot be read.
    """
    if settings.wait != "park" or (found := _parked(folder, settings)) is None:
        return
    store, round_ = found
    try:
        if not round_state.is_answered(store, round_):
            raise RoundUnanswered(
                f"the round after epoch {round_.epoch} of {folder.path} waits for "
                f"{waiting_sentence(store, round_.id)}, and nothing was changed: resume the run "
                f"when it is answered, or let imil watch do so.{_until(round_)}".rstrip(".")
            )
    finally:
        store.close()


def wait_until_answered(
    path: Path, say: Say, *, sleep: Callable[[float], object] = time.sleep
) -> bool:
    """Wait until the run's parked round is answered; returns False where the run is finished.

    It returns at once where no round is open, such as of a run that was stopped in training.

    Args:
        path: the run's folder.
        say: receives a line at the start and whenever somebody else is waited for.
        sleep: waits for so many seconds.
    Raises: SettingsError: there is no such run, or its rounds are not parked.
    """
    folder = RunFolder(path)
    if not folder.config.exists():
        raise SettingsError(f"there is no run in {path}: name a folder that `imil train` made")
    if folder.metrics.exists():
        say(f"{path} is finished: see {folder.metrics}")
        return False
    settings = resolve(load_config(folder.config))
    if settings.wait != "park":
        raise SettingsError(
            f"{path} is not a parked run (wait is '{settings.wait}' in its {folder.config.name}): "
            f"continue it with `imil resume {shlex.quote(str(path))}`"
        )
    if (found := _parked(folder, settings)) is not None:
        store, round_ = found
        try:
            _wait(store, round_, say, sleep)
        finally:
            store.close()
    return True


def _wait(store: Store, round_: Round, say: Say, sleep: Callable[[float], object]) -> None:
    pause, told = SHORTEST, ""
    while not round_state.is_answered(store, round_):
        who = waiting_sentence(store, round_.id)
        if who != told:
            say(f"The round after epoch {round_.epoch} waits for {who}.{_until(round_)}")
            told, pause = who, SHORTEST  # somebody reads: the end may be near
        sleep(min(pause, _seconds_left(round_)))
        pause = min(LONGEST, GROWTH * pause)
        round_ = store.find_round(round_.run, round_.epoch) or round_  # reopened, it closes later


def _seconds_left(round_: Round) -> float:
    """Until its deadline; without end where it has none."""
    if round_.closes is None:
        return float("inf")
    left = datetime.fromisoformat(round_.closes) - datetime.fromisoformat(now())
    return max(0.0, left.total_seconds())


def _parked(folder: RunFolder, settings: TrainSettings) -> tuple[Store, Round] | None:
    """The run's store, to be closed, and its newest round, if that is open."""
    place = store_place(settings, folder)
    if schema_version(place) is None:
        return None
    store = Store(place, readonly=True)
    name = recorded_name(settings, folder, store)
    rounds = store.rounds(name)
    if rounds and rounds[-1].state == "open":
        return store, rounds[-1]
    store.close()
    return None


def _until(round_: Round) -> str:
    if round_.closes is None:
        return ""
    return f" It closes at {round_.closes[:16].replace('T', ' ')} UTC."
