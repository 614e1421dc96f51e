"""Readings from a JSON export of Label Studio: rectangles, polygons, choices and comments.

What a person has annotated counts; of tasks without an annotation, the predictions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from imil.cases import VERDICTS
from imil.errors import DataError
from imil.exports.answers import MISLEADING
from imil.readers.marks import Marks, Polygon, Shape
from imil.readers.reading_row import Row, make_row

UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # put before the name of a file that was uploaded


def label_studio_rows(path: Path, tasks: Sequence[Mapping[str, Any]], share: float) -> list[Row]:
    """A row for each annotation, or prediction, of each task.

    Rectangles and polygons with the label `misleading` are misleading, all others relevant; a
    choice that is the name of a verdict is the verdict, a text the reason.

    Raises: DataError: the file is not as Label Studio writes it.
    """
    try:
        return list(_rows(path, tasks, share))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise DataError(
            f"{path} is not a valid export of Label Studio ({type(error).__name__}: {error}): "
            "export the project as JSON"
        ) from None


def is_label_studio(document: object) -> bool:
    """Whether a JSON document is a list of tasks."""
    return isinstance(document, list) and all(
        isinstance(task, dict)
        and isinstance(task.get("data"), dict)
        and ("annotations" in task or "predictions" in task)
        for task in document
    )


def _rows(path: Path, tasks: Sequence[Mapping[str, Any]], share: float) -> Iterator[Row]:
    for number, task in enumerate(tasks, start=1):
        place, data = f"{path}, task {number}", task["data"]
        done = [one for one in task.get("annotations") or () if not one.get("was_cancelled")]
        for answer in done or task.get("predictions") or ():
            results = answer["result"]
            relevant, misleading = _shapes(results, place)
            entry = {
                "key": data.get("key") or _name(data, place),
                "epoch": data.get("epoch"),
                "reader": _reader(answer),
                "verdict": _verdict(results),
                "reason": "\n".join(
                    line for one in results for line in _lines(one["value"].get("text"))
                ),
            }
            if relevant or misleading:
                yield make_row(
                    entry,
                    place,
                    Marks(tuple(relevant), tuple(misleading), share),
                    is_from_tool=True,
                )
            elif entry["verdict"] not in (None, "focus"):
                yield make_row(entry, place, is_from_tool=True)
            else:
                raise DataError(
                    f"{place}: an answer of '{entry['reader'] or 'nobody'}' has neither a mark nor "
                    "a verdict: add one, or remove the answer"
                )


def _lines(text: object) -> list[str]:
    return [text] if isinstance(text, str) else [str(line) for line in text or ()]  # type: ignore[attr-defined]


def _shapes(results: Sequence[Mapping[str, Any]], place: str) -> tuple[list[Shape], list[Shape]]:
    pair: tuple[list[Shape], list[Shape]] = ([], [])
    for result in results:
        value, kind = result["value"], result.get("type", "")
        labels = value.get(kind) or ()
        misleads = MISLEADING in [str(label).lower() for label in labels]
        if kind.startswith("rectangle"):
            pair[misleads].append(_rectangle(result, value))
        elif kind.startswith("polygon"):
            points = tuple((float(x) / 100, float(y) / 100) for x, y in value["points"])
            pair[misleads].append(Polygon(points))
        elif kind not in ("choices", "textarea"):
            raise DataError(
                f"{place} has a mark of the type '{kind}': only rectangles and polygons are read; "
                "export brush masks as PNG, and replay that folder"
            )
    return pair


def _rectangle(result: Mapping[str, Any], value: Mapping[str, Any]) -> Polygon:
    """The rectangle; it is turned about its upper left corner, in pixels."""
    left, top, wide, high = (float(value[name]) / 100 for name in ("x", "y", "width", "height"))
    turned = math.radians(float(value.get("rotation") or 0))
    if not turned:
        return Polygon.box(left, top, wide, high)
    width, height = float(result["original_width"]), float(result["original_height"])
    corners = ((0.0, 0.0), (wide * width, 0.0), (wide * width, high * height), (0.0, high * height))
    cos, sin = math.cos(turned), math.sin(turned)
    return Polygon(
        tuple(
            (left + (x * cos - y * sin) / width, top + (x * sin + y * cos) / height)
            for x, y in corners
        )
    )


def _verdict(results: Sequence[Mapping[str, Any]]) -> str | None:
    chosen = [str(one) for result in results for one in result["value"].get("choices") or ()]
    return next((one for one in chosen if one in VERDICTS), None)


def _reader(answer: Mapping[str, Any]) -> str:
    """The address or number of who annotated, or the version of a prediction."""
    by = answer.get("completed_by")
    if isinstance(by, dict):
        return str(by.get("email") or by.get("id") or "")
    return str(answer.get("model_version") or "") if by is None else f"user {by}"


def _name(data: Mapping[str, Any], place: str) -> str:
    """The name of the image, from the address from which Label Studio loads it."""
    address = next((data[name] for name in ("image", "img", "url") if data.get(name)), None)
    address = address or next((one for one in data.values() if isinstance(one, str)), None)
    if not isinstance(address, str):
        raise DataError(f"{place} names no image: its data has {', '.join(data) or 'nothing'}")
    parts = urlsplit(address)
    if local := parse_qs(parts.query).get("d"):
        return local[0]
    name = unquote(parts.path).lstrip("/")
    folder, _, file = name.rpartition("/")
    return UPLOADED.sub("", file) if folder.startswith("data/upload") else name
