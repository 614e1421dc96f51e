"""What training does with the squares that readers selected.

To add a treatment, write a `Treatment` in a file of its own and add it to `TREATMENTS`.
"""

from __future__ import annotations

from imil.errors import SettingsError
from imil.fills import blackout
from imil.treatments.batch import Batch
from imil.treatments.cover import Cover
from imil.treatments.treatment import Draw, Features, Treatment

__all__ = ["TREATMENTS", "Batch", "Cover", "Draw", "Features", "Treatment", "find_treatment"]

TREATMENTS: dict[str, Treatment] = {
    "imil": Cover(blackout),  # paper 3.1, step 7: black, in place of the original
}


def find_treatment(name: str) -> Treatment:
    """The treatment of that name. Raises: SettingsError: it is not known."""
    if name not in TREATMENTS:
        raise SettingsError(f"unknown treatment '{name}': expected one of {', '.join(TREATMENTS)}")
    return TREATMENTS[name]
