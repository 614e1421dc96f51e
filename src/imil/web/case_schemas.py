"""From rows of the store to what the page is told: numbers and addresses, never keys."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Literal

from imil.cases import Reading, RoundSettings
from imil.store.room_queries import Row
from imil.web.schemas import (
    CaseShape,
    GridShape,
    HeatMaps,
    ImageShape,
    Opinion,
    ReadingShape,
    RoundShape,
    Size,
)


def round_shape(
    line: Row, names: Sequence[str], cases: Sequence[Row], shapes: list[CaseShape]
) -> RoundShape:
    """A round as the page gets it."""
    grid = RoundSettings.from_dict(line["settings"]).grid
    height, width = cases[0]["cam_shape"] if cases else (1, 1)
    return RoundShape(
        id=str(line["epoch"]),
        number=line["number"],
        epoch=line["epoch"],
        state=line["state"],
        grid=GridShape(rows=grid.rows, cols=grid.cols),
        class_names=list(names),
        model_view=Size(height=height, width=width),
        cases=shapes,
    )


def case_shape(
    case: Row,
    epoch: int,
    names: Sequence[str],
    reading: Reading | None,
    *,
    shown: bool,
    look: Sequence[int] | None = None,
) -> CaseShape:
    """A case as the page gets it; without the model's opinion unless it may be shown."""
    return CaseShape(
        number=case["number"],
        label=case["label"],
        label_name=names[case["label"]],
        image=image_shape(f"/api/images/{case['image']}", case),
        opinion=opinion(case, epoch, names) if shown else None,
        earlier=case["earlier"],
        first_look=None if look is None else list(look),
        reading=None if reading is None else reading_shape(reading),
    )


def image_shape(url: str, row: Row) -> ImageShape:
    """How to read the pixels behind the address."""
    height, width, *more = row["shape"] or (1, 1)  # none: the image is gone, its address says so
    channels: Literal[1, 3] = 3 if more else 1
    bits: Literal[8, 16] = 16 if row["dtype"] == "uint16" else 8
    span: dict[str, Any] = {"low": row["low"] or 0, "high": row["high"] or 0}
    return ImageShape(url=url, height=height, width=width, channels=channels, bits=bits, **span)


def opinion(case: Row, epoch: int, names: Sequence[str]) -> Opinion:
    """What the model says of a case, and where its heat-maps are."""
    base = f"/api/rounds/{epoch}/cases/{case['number']}/heat-map"
    height, width = case["cam_shape"]
    # browsers keep heat-maps for good: another study at this address must not find these
    what = f"{case['id']} {case['image']} {case['confidence']!r}"
    mark = hashlib.sha256(what.encode()).hexdigest()[:12]
    return Opinion(
        predicted=case["predicted"],
        predicted_name=names[case["predicted"]],
        confidence=case["confidence"],
        heat_maps=HeatMaps(
            predicted=f"{base}/predicted?v={mark}",
            true=f"{base}/true?v={mark}",
            height=height,
            width=width,
        ),
    )


def reading_shape(reading: Reading) -> ReadingShape:
    """A reading as the page gets it."""
    before = reading.squares_before
    return ReadingShape(
        id=reading.id,
        verdict=reading.verdict,
        squares=list(reading.squares),
        squares_before=None if before is None else list(before),
        reason=reading.reason,
        seconds=reading.seconds,
        created=reading.created,
    )
