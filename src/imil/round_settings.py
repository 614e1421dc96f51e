"""The settings of a training's rounds together: whether they fit, and how many cases they give.

As `imil.settings`, it loads no framework.
"""

from __future__ import annotations

from collections.abc import Sequence

from imil.cases import Round
from imil.errors import SettingsError
from imil.notebook.kernel import check_in_notebook
from imil.reader_names import EVERYBODY
from imil.reader_panel import DISAGREEMENT, ReaderPanel
from imil.readers.spec import SIMULATED
from imil.round_options import NUM_OUTLIERS, cases_of_round, check_budget
from imil.settings import NO_ARBITER, PATIENCE, TrainSettings


def cases_at(settings: TrainSettings, held: Sequence[Round], rounds_left: int) -> int:
    """How many cases a round may have, given the rounds before it.

    Args:
        held: these rounds.
        rounds_left: rounds to come, this one included; at least 1.
    """
    if settings.budget == "none":
        return settings.num_outliers
    return cases_of_round(settings.budget, sum(one.cases for one in held), rounds_left)


def most_cases(settings: TrainSettings) -> int:
    """How many cases any round may have."""
    return settings.num_outliers if settings.budget == "none" else settings.budget


def check_rounds(settings: TrainSettings) -> None:
    """Check that the settings of the rounds, each of which is valid, fit together.

    Raises: SettingsError: they contradict each other, or one has no effect.
    """
    _check_budget(settings)
    _check_volumes(settings)
    _check_readers(settings)
    _check_page(settings)
    when, mix = settings.round_when, settings.mix
    if when == "schedule" and settings.patience != PATIENCE:
        raise SettingsError(
            f"--patience {settings.patience} has no effect with --round-when schedule: leave it "
            "out, or give --round-when stall"
        )
    if when != "few-mistakes" and settings.mistakes != "default":
        raise SettingsError(
            f"--mistakes {settings.mistakes} has no effect with --round-when {when}: leave it "
            "out, or give --round-when few-mistakes"
        )
    if when == "few-mistakes" and mix in ("mixup", "cutmix"):
        raise SettingsError(
            f"--round-when few-mistakes counts the mistakes of training, and --mix {mix} mixes "
            "images of two classes there: give --mix none or cutout, or another --round-when"
        )


def _check_volumes(settings: TrainSettings) -> None:
    """Check what volumes cannot be given."""
    slabs = settings.grid_size.count("x") == 2
    if settings.image_depth == 1:
        if slabs:
            raise SettingsError(
                f"--grid-size {settings.grid_size} has slabs, and images have no slices: give rows "
                "and columns alone, or volumes with --image-depth"
            )
        return
    if not slabs:
        raise SettingsError(
            f"--image-depth {settings.image_depth} trains on volumes, and --grid-size "
            f"{settings.grid_size} has no slabs: give rows x columns x slabs, such as 4x4x4"
        )
    refused = {
        f"--model {settings.model}": (
            not settings.model.startswith("monai:"),
            "a network of three dimensions, such as --model monai:DenseNet121",
        ),
        f"--channels {settings.channels}": (settings.channels != 1, "--channels 1"),
        f"--augment {','.join(settings.augment)}": (bool(settings.augment), "--augment none"),
        f"--mix {settings.mix}": (settings.mix != "none", "--mix none"),
        f"{settings.devices * settings.nodes} devices": (
            settings.devices * settings.nodes > 1,
            "one device",
        ),
    }
    for what, (given, instead) in refused.items():
        if given:
            raise SettingsError(
                f"--image-depth {settings.image_depth} trains on volumes, which {what} does not "
                f"allow: give {instead}"
            )


def _check_readers(settings: TrainSettings) -> None:
    kind = settings.reader.kind
    if kind == "notebook":
        check_in_notebook("give --reader web, whose link any browser opens")
    if settings.reader_name == EVERYBODY and kind != "replay":
        raise SettingsError(
            f"--reader-name {EVERYBODY} replays every reader of a file, and --reader is "
            f"{settings.reader}: give the reader's name, or --reader replay:FILE"
        )
    panel = reader_panel(settings)
    if panel.readers and kind not in ("web", "console", *SIMULATED):
        raise SettingsError(
            f"--readers names the readers of a round, and --reader is {settings.reader}: leave it "
            "out, or give --reader web, console or simulated"
        )
    if settings.quorum not in ("all", 1) and not panel.readers and kind not in ("web", "console"):
        raise SettingsError(
            f"--quorum {settings.quorum} waits for people, and --reader is {settings.reader}: "
            "leave it out, or give --reader web or console"
        )
    if panel.overlap < 1 and kind == "console":
        raise SettingsError(
            f"--overlap {panel.overlap:g} gives each reader other cases, and --reader is console, "
            "which asks for all of them: leave it out, or give --reader web"
        )
    if panel.arbiter and kind != "web":
        raise SettingsError(
            f"--arbiter {panel.arbiter} sees the selections of all readers at the page, and "
            f"--reader is {settings.reader}: leave it out, or give --reader web"
        )
    if not panel.arbiter and settings.disagreement != DISAGREEMENT:
        raise SettingsError(
            f"--disagreement {settings.disagreement:g} has no effect without --arbiter: leave it "
            "out, or name an arbiter"
        )


def reader_panel(settings: TrainSettings) -> ReaderPanel:
    """The readers together. Raises: SettingsError: the settings contradict each other."""
    return ReaderPanel(
        readers=settings.readers,
        quorum=None if settings.quorum == "all" else settings.quorum,
        overlap=settings.overlap,
        fusion=settings.fusion,
        flagged=settings.flagged,
        arbiter="" if settings.arbiter == NO_ARBITER else settings.arbiter,
        disagreement=settings.disagreement,
    )


def _check_page(settings: TrainSettings) -> None:
    """Check what only readers in the reading room can be given."""
    kind = settings.reader.kind
    if settings.wait != "here" and kind != "web":
        raise SettingsError(
            f"--wait {settings.wait} leaves a round to people in the reading room, and --reader is "
            f"{settings.reader}: give --reader web, or leave --wait out"
        )
    if settings.wait == "live":
        _check_live(settings)
    if settings.deadline != "none" and kind != "web":
        raise SettingsError(
            f"--deadline {settings.deadline} is for people in the reading room, and --reader is "
            f"{settings.reader}: give --reader web, or leave --deadline out"
        )


def _check_live(settings: TrainSettings) -> None:
    """Check that each reading can be taken up before a batch, alone and on one device."""
    ranks = settings.devices * settings.nodes
    left_out = {
        "--fusion soft": settings.fusion == "soft",
        "--flagged remove": settings.flagged == "remove",
        f"{ranks} devices": ranks > 1,
    }
    for what, given in left_out.items():
        if given:
            raise SettingsError(
                f"--wait live takes up each reading while training goes on, which {what} does not "
                "allow: give --wait here or park, or leave that out"
            )


def _check_budget(settings: TrainSettings) -> None:
    if settings.budget == "none":
        return
    if settings.num_outliers != NUM_OUTLIERS:
        raise SettingsError(
            f"--budget {settings.budget} and --num-outliers {settings.num_outliers} contradict "
            "each other: give one of them"
        )
    check_budget(settings.budget, len(settings.imil_epoch))
