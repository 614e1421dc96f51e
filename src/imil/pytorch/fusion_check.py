"""Whether a treatment can use what several readers' squares are fused to."""

from __future__ import annotations

from imil.cases import RoundSettings
from imil.errors import SettingsError
from imil.pytorch.corrections import check_shares
from imil.treatments import Treatment


def check_fusion(treatment: Treatment, settings: RoundSettings) -> None:
    """Check before training that the treatment takes shares of readers, where they are asked for.

    Raises: SettingsError: it takes squares alone, or the grid has too many of them.
    """
    if settings.panel.fusion != "soft":
        return
    if not treatment.takes_shares:
        raise SettingsError(
            f"the treatment {treatment} needs squares that are selected or not, and the fusion "
            "'soft' gives the share of readers for each: give another fusion such as majority, or "
            "the treatment imil, cover, square-cutmix, square-mixup or up-weight"
        )
    check_shares(settings.grid)
