"""Readings as COCO JSON: an annotation for the relevant and one for the misleading squares.

A reading without squares (`skip`, `wrong label`, `not assessable`) has no annotation: COCO has none
without an area. All readings are listed under `readings`, which other tools ignore.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from imil.exports.answers import MISLEADING, RELEVANT, Answer

CATEGORIES = {RELEVANT: 1, MISLEADING: 2}


def as_coco(given: Sequence[Answer], run: str) -> str:
    """The answers as the text of a COCO file.

    Args:
        given: of `imil.exports.answers.answers`.
        run: name of the run, for the description.
    """
    images = {answer.row.key: answer for answer in given}
    ids = {key: number for number, key in enumerate(images, start=1)}
    annotations: list[dict[str, Any]] = []
    for reading, answer in enumerate(given, start=1):
        for kind in CATEGORIES:
            if answer.squares(kind):
                made = _annotation(answer, kind, len(annotations) + 1, ids[answer.row.key])
                made["attributes"]["reading"] = reading
                annotations.append(made)
    document = {
        "info": {"description": f"Readings of the run {run}, made with imil", "version": "1"},
        "licenses": [],
        "categories": [
            {"id": number, "name": name, "supercategory": "reading"}
            for name, number in CATEGORIES.items()
        ],
        "images": [
            {"id": ids[key], "file_name": key, "height": one.height, "width": one.width}
            for key, one in images.items()
        ],
        "annotations": annotations,
        "readings": [
            {"id": number, "image_id": ids[answer.row.key], **answer.attributes()}
            for number, answer in enumerate(given, start=1)
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def _annotation(answer: Answer, kind: str, number: int, image: int) -> dict[str, Any]:
    boxes = answer.boxes(kind)
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right = max(box[0] + box[2] for box in boxes)
    bottom = max(box[1] + box[3] for box in boxes)
    return {
        "id": number,
        "image_id": image,
        "category_id": CATEGORIES[kind],
        "bbox": [left, top, right - left, bottom - top],
        "segmentation": [
            [x, y, x + width, y, x + width, y + height, x, y + height]
            for x, y, width, height in boxes
        ],
        "area": sum(width * height for _, _, width, height in boxes),
        "iscrowd": 0,
        "attributes": answer.attributes() | {"misleading": kind == MISLEADING},
    }
