"""When rounds are due, and whether a store fits the training: for any framework."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from imil.asked_cases import open_cases
from imil.cases import Reader, Round
from imil.errors import SettingsError
from imil.rounds import Say
from imil.store import Store
from imil.store.round_waiting import waiting


def check_no_rounds(store: Store, run: str, epochs: Sequence[int]) -> None:
    """Check that a training which begins anew would not use another training's readings.

    Args:
        epochs: after which the run has rounds in the store.
    Raises: SettingsError: there is one.
    """
    if epochs:
        raise SettingsError(
            f"run '{run}' in {store.path} already has a round after epoch {epochs[0]}: to continue "
            "it, resume from your checkpoint (restore, or your framework's way, such as ckpt_path "
            "in Lightning); to train anew, give another run or store"
        )


def check_has_rounds(store: Store, run: str, epochs: Iterable[int]) -> None:
    """Check that a training which resumes has the store of its earlier rounds.

    Args:
        epochs: after which the checkpoint says that rounds were held.
    Raises: SettingsError: the store lacks one.
    """
    held = {round_.epoch for round_ in store.rounds(run)}
    for epoch in epochs:
        if epoch not in held:
            raise SettingsError(
                f"the checkpoint was saved after the round after epoch {epoch}, and run '{run}' in "
                f"{store.path} has no such round: give the store and the run of that training"
            )


def say_rounds_after(epochs: Iterable[int], last: int, say: Say) -> None:
    """Say which rounds will not be held because training ends after `last` epochs before them."""
    for epoch in epochs:
        if epoch > last:
            say(f"No round will be held after epoch {epoch}: training ends at {last}.")


def why_open(ask: Reader, store: Store, round_: Round) -> str:
    """Why a round is still open after the reader was asked, as the message of `RoundPaused`."""
    cases, readings = store.cases(round_.id), store.readings(round_.id)
    left = len(open_cases(ask, cases, readings))
    if left:
        return (
            f"the round after epoch {round_.epoch} is paused with {left} of {round_.cases} "
            "cases unread; every reading so far is stored"
        )
    still = waiting(store, round_.id, at_page=False)
    return (
        f"the round after epoch {round_.epoch} waits for {still}: each must answer all "
        f"{round_.cases} cases under a name of their own; every reading so far is stored"
    )
