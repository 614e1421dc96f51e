"""Stored grey values of a DICOM file as a viewer shows them: modality LUT, VOI LUT, inversion."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imil.cases import Image
from imil.errors import DataError

Values = NDArray[Any]
TOP = 65535  # of the values shown, where they do not keep their steps


def displayed(stored: Values, dataset: Any, *, inverted: bool) -> Image:
    """The image that is shown, uint8 or uint16 (H, W); 0 is black.

    With a window or VOI LUT, 0 to 255 or 65535 is its range. Without one, whole values keep their
    steps, and others are scaled from the darkest to the brightest.

    Args:
        stored: whole numbers, (H, W).
        dataset: the header.
        inverted: whether low values are bright.
    """
    values, padding = modality_values(stored, dataset)
    depth = np.uint8 if int(dataset.get("BitsStored") or 16) <= 8 else np.uint16
    share = _voi(values, dataset)
    if share is None:
        shown = _own_range(values, padding, depth)
        top = int(shown[~padding].max()) if (~padding).any() else 0
    else:
        top = 255 if depth == np.uint8 else TOP
        shown = np.floor(share * top + 0.5).astype(depth)
    result: Image = (top - shown if inverted else shown).astype(shown.dtype)
    result[padding] = 0
    return result


def modality_values(stored: Values, dataset: Any) -> tuple[Values, NDArray[np.bool_]]:
    """The values after the modality LUT, and where the image has no content.

    Args:
        stored, dataset: as for `displayed`.
    """
    stored = _used_bits(stored, dataset)
    return _modality(stored, dataset), _padding(stored, dataset)


def _used_bits(stored: Values, dataset: Any) -> Values:
    """The values without the bits around them, where old files keep overlays."""
    allocated = stored.dtype.itemsize * 8
    bits = int(dataset.get("BitsStored") or allocated)
    high = int(dataset.get("HighBit", bits - 1))
    if not 1 <= bits <= allocated or not bits - 1 <= high < allocated:
        raise DataError(f"is damaged: {bits} bits up to bit {high} of {allocated}")
    return (stored << (allocated - 1 - high)) >> (allocated - bits)


def _padding(stored: Values, dataset: Any) -> NDArray[np.bool_]:
    """Where the image has no content: PixelPaddingValue, up to its limit."""
    value = dataset.get("PixelPaddingValue")
    if value is None or isinstance(value, bytes):
        return np.zeros(stored.shape, bool)
    limit = dataset.get("PixelPaddingRangeLimit", value)
    limit = value if isinstance(limit, bytes) else limit
    low, high = sorted((int(value), int(limit)))
    return (stored >= low) & (stored <= high)


def _modality(stored: Values, dataset: Any) -> Values:
    if tables := dataset.get("ModalityLUTSequence"):
        return _looked_up(stored, tables[0])[0]
    slope = _number(dataset.get("RescaleSlope"), 1.0)
    intercept = _number(dataset.get("RescaleIntercept"), 0.0)
    if slope == 1 and intercept == int(intercept):
        return stored.astype(np.int32) + int(intercept)
    return np.asarray(stored * slope + intercept)


def _voi(values: Values, dataset: Any) -> Values | None:
    """The share of the range that is shown, in [0, 1]; None without a VOI LUT.

    Source: PS3.3 C.11.2. The first table or window counts.
    """
    if tables := dataset.get("VOILUTSequence"):
        shown, bits = _looked_up(values, tables[0])
        return np.asarray(shown / (2**bits - 1))
    centre, width = (_number(dataset.get(name), None) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None:
        return None
    kind = str(dataset.get("VOILUTFunction") or "LINEAR").upper()
    if width <= 0 or (kind == "LINEAR" and width < 1):
        return None  # an empty window, as writers without one leave it
    if kind == "SIGMOID":
        # beyond 700, exp is infinite and the share 0 all the same
        return np.asarray(1 / (1 + np.exp(np.minimum(-4 * (values - centre) / width, 700))))
    if kind == "LINEAR_EXACT":
        return np.asarray(np.clip((values - centre) / width + 0.5, 0, 1))
    if kind != "LINEAR":
        raise DataError(f"has the VOI LUT function {kind[:16]!r}: expected LINEAR or SIGMOID")
    if width == 1:
        return np.asarray((values > centre - 0.5).astype(float))
    return np.asarray(np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1))


def _looked_up(values: Values, table: Any) -> tuple[Values, int]:
    """Entries of a lookup table, and their bits; PS3.3 C.11.1.1."""
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    count = count or 65536
    if first > 32767 and np.issubdtype(values.dtype, np.signedinteger) and values.min() < 0:
        first -= 65536
    data = table.LUTData
    if isinstance(data, bytes):
        data = np.frombuffer(data, np.uint8 if len(data) == count else "<u2")
    entries = np.asarray(data)
    if len(entries) < count or not 8 <= bits <= 16:
        raise DataError(f"is damaged: a lookup table has {len(entries)} of {count} entries")
    at = np.clip(np.floor(values).astype(np.int64) - first, 0, count - 1)
    return np.minimum(entries[at], 2**bits - 1), bits


def _own_range(values: Values, padding: NDArray[np.bool_], depth: Any) -> Values:
    """The values from 0 for the darkest."""
    inside = values[~padding] if padding.any() else values
    low, high = (inside.min(), inside.max()) if inside.size else (0, 0)
    values = np.clip(values, low, high)
    if np.issubdtype(values.dtype, np.integer) and int(high) - int(low) <= np.iinfo(depth).max:
        shown: Values = (values.astype(np.int64) - int(low)).astype(depth)
        return shown
    scale = TOP / max(float(high) - float(low), 1e-30)
    return np.floor((values - low) * scale + 0.5).astype(np.uint16)


def _number(value: Any, default: Any) -> Any:
    """The first of the values as a finite number."""
    if value is not None and not isinstance(value, str) and hasattr(value, "__len__"):
        value = value[0] if len(value) else None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return default
    return number if math.isfinite(number) else default
