"""Conversion between the types of `imil.cases` and rows of the tables."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from isal import isal_zlib
from numpy.typing import NDArray
from sqlalchemy import RowMapping

from imil.cases import Case, HeatMap, Image, Reading, Round, RoundSettings, Which
from imil.errors import ImilError, StoreError
from imil.geometry import Geometry
from imil.store.clock import closing_time
from imil.store_address import Location

Row = dict[str, Any]
# of ISA-L: 3 to 8 % more bytes than zlib's level 1, in a fifth to an eighth of its time
COMPRESSION_LEVEL = 2
DAMAGED = cast("tuple[type[Exception], ...]", (isal_zlib.error, TypeError))  # its stub errs
DTYPES = ("uint8", "uint16", "float32")
MOST_BYTES = 4 * 1024**3  # of an image: 16 bits, colour, 26,000 pixels square


def deflate(array: NDArray[Any]) -> bytes:
    """Raw little-endian values, row by row, deflated."""
    return isal_zlib.compress(_little_endian(array), COMPRESSION_LEVEL)


def inflate(data: bytes, dtype: str, shape: Sequence[int]) -> NDArray[Any]:
    """The array that `deflate` wrote.

    Raises: ValueError: it wrote another dtype or shape, or the data are damaged.
    """
    size = _size(dtype, shape)
    try:
        # no more than is expected: a few bytes may inflate to gigabytes
        values = isal_zlib.decompressobj().decompress(data, size + 1)
    except DAMAGED as error:
        raise ValueError(f"the data are damaged ({error})") from error
    if len(values) != size:
        raise ValueError("the data do not have the size of their shape")
    raw = np.frombuffer(values, np.dtype(dtype).newbyteorder("<")).reshape(shape)
    return raw.astype(dtype)  # a copy: writable, and in the machine's own byte order


def _size(dtype: str, shape: Sequence[int]) -> int:
    """Bytes of the array. Raises: ValueError: no array of an image or of a heat-map."""
    sides = isinstance(shape, list | tuple) and len(shape) in (2, 3)
    if dtype not in DTYPES or not sides or not all(isinstance(n, int) and n > 0 for n in shape):
        raise ValueError(f"invalid array of {dtype} with shape {shape}")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > MOST_BYTES:
        raise ValueError(f"an array of {size} bytes is larger than any image")
    return size


@contextmanager
def damaged_rows(path: Location) -> Iterator[None]:
    """Turn what a damaged row raises into a `StoreError` that names the store."""
    try:
        yield
    except StoreError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, ImilError) as error:
        journal = ", imil.sqlite-wal included" if isinstance(path, Path) else ""
        raise StoreError(
            f"the store {path} is damaged ({error}): restore it from a backup{journal}"
        ) from error


def image_row(image: Image) -> Row:
    """The row of an image; its name is the hash of dtype, shape and values."""
    head = json.dumps([image.dtype.name, list(image.shape)]).encode()
    name = hashlib.sha256(head)
    name.update(_little_endian(image))
    return {
        "sha256": name.hexdigest(),
        "dtype": image.dtype.name,
        "shape": list(image.shape),
        "pixels": deflate(image),
        "low": int(image.min()),
        "high": int(image.max()),
    }


def _little_endian(array: NDArray[Any]) -> memoryview:
    """The raw little-endian values, row by row; copied only where they are not so already."""
    return np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data


def case_row(round_id: str, case: Case, image: str) -> Row:
    """The row of a case; `image` is the name of its image."""
    predicted = case.cam_predicted.astype(np.float32)
    return {
        "id": case.id,
        "round": round_id,
        "number": case.number,
        "key": case.key,
        "label": case.label,
        "predicted": case.predicted,
        "confidence": case.confidence,
        "image": image,
        "cam_shape": list(predicted.shape),
        "cam_predicted": deflate(predicted),
        "cam_true": deflate(case.cam_true.astype(np.float32)),
        "earlier": None if case.earlier is None else list(case.earlier),
        "geometry": case.geometry.as_dict(),
    }


def case_of(
    row: RowMapping, image: Callable[[str], Image], heat_map: Callable[[str, Which], HeatMap]
) -> Case:
    """The case of a row that was joined with its round and its run's class names.

    Args:
        image: returns an image by its name, when it is looked at.
        heat_map: returns a heat-map by the case's id, when it is looked at.
    """
    return Case(
        id=row["id"],
        run=row["run"],
        epoch=row["epoch"],
        round=row["round"],
        number=row["number"],
        key=row["key"],
        label=row["label"],
        predicted=row["predicted"],
        confidence=row["confidence"],
        class_names=tuple(row["class_names"]),
        grid=RoundSettings.from_dict(row["settings"]).grid,
        load_image=partial(image, row["image"]),
        load_heat_map=partial(heat_map, row["id"]),
        earlier=None if row["earlier"] is None else tuple(row["earlier"]),
        geometry=Geometry.from_dict(row["geometry"]),
    )


def round_of(row: RowMapping) -> Round:
    """The round of a row that carries the number of its cases."""
    settings = RoundSettings.from_dict(row["settings"])
    return Round(
        id=row["id"],
        run=row["run"],
        epoch=row["epoch"],
        settings=settings,
        state=row["state"],
        cases=row["cases"],
        closes=closing_time(row["opened"], settings.deadline),
    )


def reading_row(reading: Reading) -> Row:
    """The row of a reading."""
    before = reading.squares_before
    return asdict(reading) | {
        "squares": list(reading.squares),
        "misleading": list(reading.misleading),
        "squares_before": None if before is None else list(before),
    }


def reading_of(row: RowMapping) -> Reading:
    """The reading of a row."""
    values = {name: value for name, value in row.items() if name != "sequence"}
    before = values["squares_before"]
    return Reading(
        **values
        | {
            "squares": tuple(values["squares"]),
            "misleading": tuple(values["misleading"]),
            "squares_before": None if before is None else tuple(before),
        }
    )
