"""Readings as a folder that FiftyOne reads as FiftyOneImageDetectionDataset."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imil.atomic_files import atomic_write
from imil.exports.answers import MISLEADING, RELEVANT, Answer

LABELS, IMAGES = "labels.json", "data.json"


def write_fiftyone(given: Sequence[Answer], folder: Path, files: Mapping[str, Path]) -> None:
    """Write `labels.json`, the marks of each image, and `data.json`, where the images are.

    A box for each square, in shares of the image's width and height. A reading without squares is
    a box around the whole image, whose label is its verdict.

    Args:
        given: of `imil.exports.answers.answers`.
        folder: is made.
        files: key of each sample to its file; others are written by their keys.
    """
    keys = list(dict.fromkeys(answer.row.key for answer in given))
    ids = {key: f"{number:06}" for number, key in enumerate(keys, start=1)}
    labels: dict[str, list[dict[str, Any]]] = {ids[key]: [] for key in keys}
    for answer in given:
        labels[ids[answer.row.key]] += _detections(answer)
    _write(folder / LABELS, {"labels": labels})
    _write(folder / IMAGES, {ids[key]: str(files.get(key, key)) for key in keys})


def _detections(answer: Answer) -> list[dict[str, Any]]:
    boxes = [(kind, box) for kind in (RELEVANT, MISLEADING) for box in answer.boxes(kind)]
    boxes = boxes or [(answer.row.verdict, (0, 0, answer.width, answer.height))]
    return [
        {
            "label": label,
            "bounding_box": [
                left / answer.width,
                top / answer.height,
                width / answer.width,
                height / answer.height,
            ],
            "attributes": answer.attributes() | {"misleading": label == MISLEADING},
        }
        for label, (left, top, width, height) in boxes
    ]


def _write(path: Path, values: Any) -> None:
    with atomic_write(path) as half:
        half.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
