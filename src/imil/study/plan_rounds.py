"""Whether the rounds of a plan's arms can be held, and fit together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imil.errors import SettingsError
from imil.round_settings import check_rounds
from imil.settings import TrainSettings

RIVALS = {"num_outliers": "budget", "budget": "num_outliers"}  # each says how many cases there are


def check_common_round(settings: TrainSettings) -> None:
    """Check that [training] has one device, and its round a fixed epoch and number of cases.

    Raises: SettingsError: it may not.
    """
    check_rounds(settings)
    if settings.devices * settings.nodes > 1:
        raise SettingsError(
            f"[training] contains devices {settings.devices} and nodes {settings.nodes}, but each "
            "training of a study has one device: take them out, and give `imil study run` --jobs"
        )
    if settings.round_when != "schedule":
        raise SettingsError(
            f"[training] contains round-when '{settings.round_when}', but the arms of a study "
            "share the training up to a fixed epoch: take it out, and set imil-epoch"
        )
    if settings.budget != "none" and len(settings.imil_epoch) > 1:
        raise SettingsError(
            f"[training] contains budget {settings.budget} and several rounds, but a study "
            "compares rounds of equally many cases: set num-outliers instead, or give one round"
        )


def check_own_round(name: str, settings: TrainSettings, common: TrainSettings) -> None:
    """Check the settings of a treatment that has rounds of its own.

    Args:
        name: of the treatment.
        settings: its own.
        common: those of [training].
    Raises: SettingsError: its rounds cannot be held.
    """
    try:
        settings.check_grid()
        check_rounds(settings)
    except SettingsError as error:
        raise SettingsError(f"the treatment '{name}' cannot be used: {error}") from error
    late = settings.imil_epoch[-1]
    if late >= settings.epochs:
        raise SettingsError(
            f"the treatment '{name}' has imil-epoch {late}, which is not before the last epoch, "
            f"{settings.epochs}: lower it"
        )
    if settings.reader.kind == "replay" and settings.grid_size != common.grid_size:
        raise SettingsError(
            f"the treatment '{name}' has the grid {settings.grid_size}, but its reader replays "
            f"squares that were selected on another, and [training] has {common.grid_size}: give "
            "the first reader as simulated, console or web, or take grid-size out"
        )


def replaced(training: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """[training] without what a treatment's own settings replace under another name.

    >>> replaced({"lr": 0.1, "budget": 20}, {"num_outliers": 40})
    {'lr': 0.1}
    """
    gone = {RIVALS[name] for name in own if name in RIVALS}
    return {name: value for name, value in training.items() if name not in gone}


def follows_images(settings: TrainSettings) -> bool:
    """Whether the choice of cases needs the predictions of the epochs before the round."""
    from imil.choices import choice, needs  # here: they need NumPy

    return "history" in needs(choice(settings.choice))
