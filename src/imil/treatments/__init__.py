"""What training does with the squares that readers selected.

To add a treatment, write a `Treatment` in a file of its own and add it to `TREATMENTS`.
"""

from __future__ import annotations

from collections.abc import Callable

from imil.errors import SettingsError
from imil.treatments.attention_loss import CamLoss, GradientLoss, ResLoss
from imil.treatments.batch import Batch
from imil.treatments.cover import Cover
from imil.treatments.square_mixes import SquareCutMix, SquareMixUp
from imil.treatments.treatment import Draw, Features, Treatment
from imil.treatments.up_weight import UpWeight

__all__ = [
    "TREATMENTS",
    "Batch",
    "CamLoss",
    "Cover",
    "Draw",
    "Features",
    "GradientLoss",
    "ResLoss",
    "SquareCutMix",
    "SquareMixUp",
    "Treatment",
    "UpWeight",
    "find_treatment",
]

TREATMENTS: dict[str, Callable[..., Treatment]] = {
    "imil": Cover,  # paper 3.1, step 7: black, in place of the original
    "cover": Cover,
    "attention-cam": CamLoss,
    "attention-gradients": GradientLoss,
    "attention-res": ResLoss,
    "square-cutmix": SquareCutMix,
    "square-mixup": SquareMixUp,
    "up-weight": UpWeight,
}


def find_treatment(name: str) -> Treatment:
    """The treatment of that name. Raises: SettingsError: it is not known."""
    if name not in TREATMENTS:
        raise SettingsError(f"unknown treatment '{name}': expected one of {', '.join(TREATMENTS)}")
    return TREATMENTS[name]()
