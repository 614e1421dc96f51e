"""Size of a pixel, laterality and directions, from the header of a DICOM file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from imil.geometry import LATERALITIES, Geometry, checked_direction, checked_spacing

TAGS = [
    *("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"),
    *("EstimatedRadiographicMagnificationFactor", "ImageLaterality", "Laterality"),
    *("PatientOrientation", "ImageOrientationPatient"),
]
AXES = ("L", "P", "H")  # in which the coordinates of a patient grow
NEGATIVE = ("R", "A", "F")


def geometry_of(dataset: Any) -> Geometry:
    """The geometry of a file's image.

    Args:
        dataset: the header, with `TAGS`; of several frames, with those of the frame.
    """
    spacing, at_detector = _spacing(dataset)
    laterality = dataset.get("ImageLaterality") or dataset.get("Laterality") or ""
    right, bottom = _directions(dataset)
    return Geometry(
        spacing,
        at_detector,
        str(laterality) if str(laterality) in LATERALITIES else "",
        right,
        bottom,
    )


def _spacing(dataset: Any) -> tuple[tuple[float, float] | None, bool]:
    """Source: PS3.3 10.7.1.3: PixelSpacing is calibrated, ImagerPixelSpacing at the detector."""
    at_detector = _two(dataset.get("ImagerPixelSpacing"))
    for name in ("PixelSpacing", "NominalScannedPixelSpacing"):
        spacing = _two(dataset.get(name))
        # a PixelSpacing that repeats the detector's is not calibrated
        if spacing is not None and spacing != at_detector:
            return spacing, False
    if at_detector is None:
        return None, False
    try:
        magnification = float(dataset.get("EstimatedRadiographicMagnificationFactor"))
    except (TypeError, ValueError):
        return at_detector, True
    if not 1 <= magnification < 10:  # nothing that is between source and detector gets smaller
        return at_detector, True
    row, column = (one / magnification for one in at_detector)
    return checked_spacing(row, column), False


def _two(value: Any) -> tuple[float, float] | None:
    if isinstance(value, str) or not hasattr(value, "__len__") or len(value) != 2:
        return None
    return checked_spacing(*value)


def _directions(dataset: Any) -> tuple[str, str]:
    """Towards the right and the bottom edge: as stated, or of the image's plane."""
    stated = dataset.get("PatientOrientation")
    if not isinstance(stated, str) and stated is not None and len(stated) == 2:
        right, bottom = (checked_direction(str(one)) for one in stated)
        if right and bottom:
            return right, bottom
    plane = dataset.get("ImageOrientationPatient")
    if plane is None or isinstance(plane, str) or len(plane) != 6:
        return "", ""
    cosines = [float(one) for one in plane]
    return _direction(cosines[:3]), _direction(cosines[3:])


def _direction(cosines: Sequence[float]) -> str:
    """The axis that a direction is closest to."""
    at = max(range(3), key=lambda i: abs(cosines[i]))
    if abs(cosines[at]) < 0.5:  # no direction at all: a unit vector has more on one axis
        return ""
    return (AXES if cosines[at] > 0 else NEGATIVE)[at]
