"""Readings as tasks of Label Studio: rectangles in percent, as pre-annotations of each reader.

The labelling interface that shows them is `INTERFACE`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from imil.exports.answers import MISLEADING, RELEVANT, Answer

PREFIX = "/data/local-files/?d="  # of a file that Label Studio reads from its own disk
SQUARES, VERDICT, REASON, IMAGE = "squares", "verdict", "reason", "image"
INTERFACE = """\
<View>
  <Image name="image" value="$image"/>
  <RectangleLabels name="squares" toName="image">
    <Label value="relevant" background="#2a9d8f"/>
    <Label value="misleading" background="#f4a261"/>
  </RectangleLabels>
  <Choices name="verdict" toName="image" choice="single">
    <Choice value="focus"/>
    <Choice value="skip"/>
    <Choice value="wrong label"/>
    <Choice value="not assessable"/>
  </Choices>
  <TextArea name="reason" toName="image"/>
</View>
"""


def as_label_studio(given: Sequence[Answer], *, prefix: str = PREFIX) -> str:
    """The answers as the text of a JSON file: a task for each case, a prediction for each reader.

    Args:
        given: of `imil.exports.answers.answers`.
        prefix: put before each image's name to give the address from which Label Studio loads it.
    """
    tasks: dict[tuple[int, int], dict[str, Any]] = {}
    for answer in given:
        row = answer.row
        image = prefix + quote(row.key)
        data = {"image": image, "key": row.key, "epoch": row.epoch, "case": row.case}
        data |= {"truth": row.truth, "predicted": row.predicted, "confidence": row.confidence}
        task = tasks.setdefault((row.epoch, row.case), {"data": data, "predictions": []})
        task["predictions"].append(_prediction(answer))
    return json.dumps(list(tasks.values()), indent=1) + "\n"


def _prediction(answer: Answer) -> dict[str, Any]:
    result = [
        _rectangle(answer, box, kind, f"{kind}-{number}")
        for kind in (RELEVANT, MISLEADING)
        for number, box in zip(answer.squares(kind), answer.boxes(kind), strict=True)
    ]
    result.append(_result(answer, VERDICT, "choices", {"choices": [answer.row.verdict]}))
    if answer.row.reason:
        result.append(_result(answer, REASON, "textarea", {"text": [answer.row.reason]}))
    return {"model_version": answer.row.reader, "result": result}


def _rectangle(answer: Answer, box: tuple[int, ...], label: str, name: str) -> dict[str, Any]:
    left, top, width, height = box
    value = {
        "x": 100 * left / answer.width,
        "y": 100 * top / answer.height,
        "width": 100 * width / answer.width,
        "height": 100 * height / answer.height,
        "rotation": 0,
        "rectanglelabels": [label],
    }
    return _result(answer, SQUARES, "rectanglelabels", value) | {"id": name}


def _result(answer: Answer, name: str, kind: str, value: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": name,
        "from_name": name,
        "to_name": IMAGE,
        "type": kind,
        "original_width": answer.width,
        "original_height": answer.height,
        "image_rotation": 0,
        "value": value,
    }
