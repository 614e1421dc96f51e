"""What training does with the squares that readers selected.

To add a treatment, write a `Treatment` in a file of its own and add it to `TREATMENTS`.
"""

from __future__ import annotations

from collections.abc import Callable

from imil.treatments.attention_loss import CamLoss, GradientLoss, ResLoss
from imil.treatments.batch import Batch
from imil.treatments.cover import Cover
from imil.treatments.exchange import Exchange
from imil.treatments.field_of_view import FieldOfView
from imil.treatments.last_layer_refit import LastLayer
from imil.treatments.projection import Project
from imil.treatments.spec import parse_treatment
from imil.treatments.square_mixes import SquareCutMix, SquareMixUp
from imil.treatments.treatment import Draw, Features, Field, Selection, Treatment
from imil.treatments.up_weight import UpWeight

__all__ = [
    "TREATMENTS",
    "Batch",
    "CamLoss",
    "Cover",
    "Draw",
    "Exchange",
    "Features",
    "Field",
    "FieldOfView",
    "GradientLoss",
    "LastLayer",
    "Project",
    "ResLoss",
    "Selection",
    "SquareCutMix",
    "SquareMixUp",
    "Treatment",
    "UpWeight",
    "find_treatment",
]

TREATMENTS: dict[str, Callable[..., Treatment]] = {
    "imil": Cover,  # paper 3.1, step 7: black, in place of the original
    "cover": Cover,
    "field-of-view": FieldOfView,
    "best": FieldOfView,  # what our own measurements recommend, see docs/method.md
    "exchange": Exchange,
    "attention-cam": CamLoss,
    "attention-gradients": GradientLoss,
    "attention-res": ResLoss,
    "square-cutmix": SquareCutMix,
    "square-mixup": SquareMixUp,
    "up-weight": UpWeight,
    "last-layer": LastLayer,
    "project": Project,
}


def find_treatment(text: str) -> Treatment:
    """The treatment that `NAME` or `NAME:option=value,option=value` names.

    Raises: SettingsError: the name or an option is unknown, or a value is out of range.

    >>> find_treatment("field-of-view:irrelevant=0.05")
    FieldOfView(irrelevant=0.05, reliance=2.5, by='position', squares='readers', tokens=False)
    """
    return parse_treatment(text, TREATMENTS)
