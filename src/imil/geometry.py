"""What is known of an image's place in the patient, and of its values: pixels, sides, units."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# towards the patient's left, right, front (anterior), back (posterior), head and feet
OPPOSITES = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
LATERALITIES = ("L", "R", "B", "U")  # left, right, both, unpaired
LARGEST_HU = 65535  # of what 16 bits hold
DIRECTION = re.compile(r"[LRAPHF]{1,3}")


@dataclass(frozen=True)
class Geometry:
    """Geometry of an image as its file states it; what is not stated is None or empty.

    Args:
        spacing: millimetres between rows, and between columns.
        at_detector: whether the spacing is the detector's, so that lengths in the patient are
            shorter, by the magnification, which is not stated.
        laterality: of a paired part of the body: `L`, `R`, `B` (both) or `U` (unpaired).
        right: direction in the patient towards the right edge of the image, such as `L`.
        bottom: direction in the patient towards the bottom edge, such as `F`.
        hounsfield: Hounsfield units of a pixel whose value is 0, where each step is one unit; None
            where values are no Hounsfield units, or have passed a window.
    """

    spacing: tuple[float, float] | None = None
    at_detector: bool = False
    laterality: str = ""
    right: str = ""
    bottom: str = ""
    hounsfield: int | None = None

    def as_dict(self) -> dict[str, Any] | None:
        """The geometry as plain JSON values; None if nothing is stated."""
        if self == NOT_STATED:
            return None
        units = {} if self.hounsfield is None else {"hounsfield": self.hounsfield}
        return units | {
            "spacing": None if self.spacing is None else list(self.spacing),
            "at_detector": self.at_detector,
            "laterality": self.laterality,
            "right": self.right,
            "bottom": self.bottom,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any] | None) -> Geometry:
        """The geometry that `as_dict` wrote. Raises: ValueError: it cannot have been written."""
        if values is None:
            return NOT_STATED
        spacing = values["spacing"]
        if spacing is not None and checked_spacing(*spacing) is None:
            raise ValueError(f"invalid pixel spacing {spacing}")
        laterality, right, bottom = (
            values["laterality"],
            checked_direction(values["right"]),
            checked_direction(values["bottom"]),
        )
        if laterality not in ("", *LATERALITIES):
            raise ValueError(f"invalid laterality {laterality!r}")
        size = None if spacing is None else (float(spacing[0]), float(spacing[1]))
        zero = values.get("hounsfield")
        if zero is not None and not (isinstance(zero, int) and abs(zero) <= LARGEST_HU):
            raise ValueError(f"invalid Hounsfield units {zero!r}")
        return cls(size, bool(values["at_detector"]), laterality, right, bottom, zero)


NOT_STATED = Geometry()


def checked_spacing(row: Any, column: Any) -> tuple[float, float] | None:
    """Millimetres between rows and columns; None where they cannot be the size of a pixel.

    >>> checked_spacing("0.2", 0.1), checked_spacing(0, 1)
    ((0.2, 0.1), None)
    """
    try:
        spacing = float(row), float(column)
    except (TypeError, ValueError):
        return None
    return spacing if all(math.isfinite(one) and 1e-6 < one < 1e3 for one in spacing) else None


def checked_direction(text: Any) -> str:
    """The direction, such as `L` or `AR`; empty where it is none.

    >>> checked_direction("L"), checked_direction("LE")
    ('L', '')
    """
    return text if isinstance(text, str) and DIRECTION.fullmatch(text) else ""
