"""What training does with the squares that readers selected.

To add a treatment, write a `Treatment` in a file of its own and add it to `TREATMENTS`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from imil.fills import blackout
from imil.treatments.batch import Batch
from imil.treatments.cover import Cover
from imil.treatments.field_of_view import FieldOfView
from imil.treatments.spec import parse_treatment
from imil.treatments.treatment import Draw, Features, Field, Treatment

__all__ = [
    "TREATMENTS",
    "Batch",
    "Cover",
    "Draw",
    "Features",
    "Field",
    "FieldOfView",
    "Treatment",
    "find_treatment",
]

TREATMENTS: dict[str, Callable[..., Treatment]] = {
    "imil": partial(Cover, blackout),  # paper 3.1, step 7: black, in place of the original
    "field-of-view": FieldOfView,
    "best": FieldOfView,  # what our own studies recommend, see docs/method.md
}


def find_treatment(text: str) -> Treatment:
    """The treatment that `NAME` or `NAME:option=value,option=value` names.

    Raises: SettingsError: the name or an option is unknown, or a value is out of range.

    >>> find_treatment("field-of-view:irrelevant=0.05")
    FieldOfView(irrelevant=0.05, reliance=2.5)
    """
    return parse_treatment(text, TREATMENTS)
