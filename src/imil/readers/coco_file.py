"""Readings from a COCO JSON: polygons, run lengths or boxes, and attributes where it has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from imil.errors import DataError
from imil.exports.answers import MISLEADING
from imil.images.budget import check_budget
from imil.readers.marks import Covered, Marks, Pixels, Polygon, Shape
from imil.readers.reading_row import Row, make_row

TOLD = ("reader", "verdict", "epoch", "reason", "seconds")  # attributes that a reading has


def coco_rows(path: Path, document: Mapping[str, Any], share: float) -> list[Row]:
    """A row for each reader of each image; of readings without squares too, if it lists them.

    Annotations of one image with the same attributes `reader` and `epoch` are one reading. Those of
    the category or with the attribute `misleading` are misleading, all others relevant.

    Raises: DataError: the file is not as COCO describes it.
    """
    try:
        return list(_rows(path, document, share))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path} is not a valid COCO file ({type(error).__name__}: {error}): give images with "
            "id, file_name, width and height, and annotations with image_id and bbox"
        ) from None


def _rows(path: Path, document: Mapping[str, Any], share: float) -> Iterator[Row]:
    images = {image["id"]: image for image in document["images"]}
    names = {one["id"]: str(one["name"]) for one in document.get("categories", [])}
    told: dict[tuple[object, ...], dict[str, Any]] = {}
    for listed in document.get("readings", []):
        told[_identity(listed["image_id"], listed)] = {name: listed.get(name) for name in TOLD}
    shapes: dict[tuple[object, ...], tuple[list[Shape], list[Shape]]] = {}
    places: dict[tuple[object, ...], str] = {}
    for number, annotation in enumerate(document["annotations"], start=1):
        place = f"{path}, annotation {number}"
        image = images.get(annotation["image_id"])
        if image is None:
            raise DataError(f"{place}: there is no image {annotation['image_id']!r}: add it")
        attributes = annotation.get("attributes") or {}
        name = names.get(annotation.get("category_id"), "")
        misleads = attributes.get("misleading", name.lower() == MISLEADING)
        identity = _identity(annotation["image_id"], attributes)
        # an edited answer has squares now, whatever was listed
        told[identity] = told.get(identity, {}) | {
            name: attributes.get(name) for name in TOLD if name in attributes
        }
        pair = shapes.setdefault(identity, ([], []))
        pair[bool(misleads)].extend(_shapes(annotation, image, place))
        places.setdefault(identity, place)
    for identity, entry in told.items():
        relevant, misleading = shapes.get(identity, ([], []))
        marks = Marks(tuple(relevant), tuple(misleading), share)
        image = images[identity[0]]
        place = places.get(identity, f"{path}, image '{image['file_name']}'")
        if relevant or misleading:
            yield make_row(entry | {"key": image["file_name"]}, place, marks, is_from_tool=True)
        elif entry.get("verdict") not in (None, "", "focus"):
            yield make_row(entry | {"key": image["file_name"]}, place, is_from_tool=True)


def _identity(image: object, attributes: Mapping[str, Any]) -> tuple[object, ...]:
    epoch = attributes.get("epoch")
    return image, str(attributes.get("reader") or ""), "" if epoch is None else str(epoch)


def _shapes(annotation: Mapping[str, Any], image: Mapping[str, Any], place: str) -> list[Shape]:
    width, height = float(image["width"]), float(image["height"])
    if not (width >= 1 and height >= 1):
        raise DataError(f"{place}: its image has {width} × {height} pixels: correct them")
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, dict):
        return [Pixels(_run_lengths(segmentation, place))]
    if segmentation:
        return [_polygon(numbers, width, height) for numbers in segmentation]
    if annotation.get("bbox") is None:
        raise DataError(f"{place} has neither a segmentation nor a bbox: add one, or remove it")
    left, top, wide, high = map(float, annotation["bbox"])
    return [Polygon.box(left / width, top / height, wide / width, high / height)]


def _polygon(numbers: Sequence[float], width: float, height: float) -> Polygon:
    if len(numbers) < 6 or len(numbers) % 2:
        raise ValueError(f"a polygon of {len(numbers)} numbers")
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    return Polygon(tuple((float(x) / width, float(y) / height) for x, y in pairs))


def _run_lengths(segmentation: Mapping[str, Any], place: str) -> Covered:
    """The mask of run lengths, column by column, the first of what is not covered."""
    height, width = (int(side) for side in segmentation["size"])
    try:
        check_budget(height, width, 1)
    except DataError as error:
        raise DataError(f"{place}: its segmentation {error}") from None
    counts = segmentation["counts"]
    runs = _compressed_counts(counts) if isinstance(counts, str) else [int(one) for one in counts]
    if any(run < 0 for run in runs) or sum(runs) != height * width:
        raise DataError(f"{place}: its run lengths do not add up to {height} × {width} pixels")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.asarray(values.reshape((width, height)).T)


def _compressed_counts(text: str) -> list[int]:
    """Run lengths from COCO's text form: 5 bits a character, the third run on as differences."""
    runs: list[int] = []
    value = shift = 0
    for character in text.encode("ascii"):
        code = character - 48
        if not 0 <= code < 64 or shift > 30:
            raise ValueError("damaged run lengths")
        value |= (code & 0x1F) << shift
        shift += 5
        if code & 0x20:
            continue
        if code & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("damaged run lengths")
    return runs
