"""API responses from rows of the store: numbers and URLs, never sample keys."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from imil.cases import Reading, RoundSettings
from imil.geometry import NOT_STATED, Geometry
from imil.store.room_queries import Row
from imil.web.schemas import (
    CaseResponse,
    GridInfo,
    HeatMaps,
    ImageInfo,
    Opinion,
    ReadingResponse,
    RoundResponse,
    Selection,
    Size,
)


def round_response(
    row: Row, names: Sequence[str], cases: Sequence[Row], responses: list[CaseResponse]
) -> RoundResponse:
    """A round as sent to the page."""
    grid = grid_info(RoundSettings.from_dict(row["settings"]))
    height, width = cases[0]["cam_shape"][-2:] if cases else (1, 1)
    return RoundResponse(
        id=str(row["epoch"]),
        number=row["number"],
        epoch=row["epoch"],
        state=row["state"],
        grid=grid,
        class_names=list(names),
        model_view=Size(height=height, width=width),
        cases=responses,
    )


def grid_info(settings: RoundSettings) -> GridInfo:
    """The grid of a round as sent to the page."""
    grid = settings.grid
    return GridInfo(rows=grid.rows, cols=grid.cols, slabs=grid.slabs)


def case_response(
    case: Row,
    epoch: int,
    names: Sequence[str],
    reading: Reading | None,
    *,
    show_opinion: bool,
    first_look: Sequence[int] | None = None,
    selections: list[Selection] | None = None,
) -> CaseResponse:
    """A case as sent to the page; with the model's prediction only if it may be shown.

    Args:
        selections: other readers' answers, for an arbiter alone.
    """
    return CaseResponse(
        number=case["number"],
        label=case["label"],
        label_name=names[case["label"]],
        image=image_info(
            f"api/images/{case['image']}",
            case,
            Geometry.from_dict(case["geometry"]),
            is_volume=len(case["cam_shape"]) == 3,
        ),
        opinion=opinion(case, epoch, names) if show_opinion else None,
        earlier=case["earlier"],
        first_look=None if first_look is None else list(first_look),
        reading=None if reading is None else reading_response(reading),
        selections=selections,
    )


def image_info(
    url: str, row: Row, geometry: Geometry = NOT_STATED, *, is_volume: bool = False
) -> ImageInfo:
    """Format and URL of an image's pixels, and what is known of its geometry."""
    # null: the image is missing, and its URL answers 404
    shape: list[int] = list(row["shape"] or ((1, 1, 1) if is_volume else (1, 1)))
    slices = shape[0] if is_volume else None
    height, width, *color = shape[1:] if is_volume else shape
    channels: Literal[1, 3] = 3 if color else 1
    bits: Literal[8, 16] = 16 if row["dtype"] == "uint16" else 8
    value_range: dict[str, Any] = {"low": row["low"] or 0, "high": row["high"] or 0}
    return ImageInfo(
        url=url,
        slices=slices,
        height=height,
        width=width,
        channels=channels,
        bits=bits,
        **value_range,
        **asdict(geometry),
    )


def opinion(case: Row, epoch: int, names: Sequence[str]) -> Opinion:
    """The model's prediction for a case, and the URLs of its heat-maps."""
    base = f"api/rounds/{epoch}/cases/{case['number']}/heat-map"
    height, width = case["cam_shape"][-2:]
    # browsers cache heat-maps for good: another study at this address needs other URLs
    identity = f"{case['id']} {case['image']} {case['confidence']!r}"
    version = hashlib.sha256(identity.encode()).hexdigest()[:12]
    return Opinion(
        predicted=case["predicted"],
        predicted_name=names[case["predicted"]],
        confidence=case["confidence"],
        heat_maps=HeatMaps(
            predicted=f"{base}/predicted?v={version}",
            true=f"{base}/true?v={version}",
            height=height,
            width=width,
        ),
    )


def reading_response(reading: Reading) -> ReadingResponse:
    """A reading as sent to the page."""
    before = reading.squares_before
    return ReadingResponse(
        id=reading.id,
        verdict=reading.verdict,
        squares=list(reading.squares),
        squares_before=None if before is None else list(before),
        misleading=list(reading.misleading),
        reason=reading.reason,
        seconds=reading.seconds,
        created=reading.created,
    )
