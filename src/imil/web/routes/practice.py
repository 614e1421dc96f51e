"""The practice case: a synthetic radiograph with a finding, and a model that looks at a letter.

`tools/practice_film.py` draws the image; it shows no patient.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from numpy.typing import NDArray
from PIL import Image as Pillow

from imil.grid import Grid
from imil.images.resize import resize_to_square
from imil.store.room_queries import Packed, Which
from imil.store.row_mapping import deflate
from imil.web.case_schemas import image_info
from imil.web.routes.pixels import PNG, RAW, SquareList, pixel_response, preview_response
from imil.web.schemas import (
    ERROR_RESPONSES,
    CaseResponse,
    GridInfo,
    HeatMaps,
    Opinion,
    RoundResponse,
    Size,
)
from imil.web.sign_in import current_visitor

FILM = Path(__file__).parents[1] / "practice.jpg"  # the finding lies in squares 7 and 11
FINDING = [7, 11]  # squares
CACHE_FOREVER = "private, max-age=31536000, immutable"  # the film shows no patient
VIEW_SIZE = 224  # pixels of the model's view
GRID = Grid(4, 4)
CLASS_NAMES = ["normal", "tuberculosis"]
# row, column, radius (fractions of the side) and weight of the spots in the heat-map
ATTENTION: dict[Which, list[tuple[float, float, float, float]]] = {
    "predicted": [(0.09, 0.88, 0.10, 1.0), (0.78, 0.62, 0.13, 0.35)],
    "true": [(0.50, 0.67, 0.10, 0.8), (0.11, 0.86, 0.09, 1.0)],
}

router = APIRouter(prefix="/api", tags=["practice"], responses=ERROR_RESPONSES)


@router.get("/practice")
def practice(request: Request) -> RoundResponse:
    """A round with the practice case, whose reading is not stored."""
    current_visitor(request)
    film = _packed_film()
    tag = hashlib.sha256(film.data).hexdigest()[:16]
    base = f"api/practice/{tag}"
    row = {"shape": film.shape, "dtype": film.dtype} | _value_range()
    maps = HeatMaps(
        predicted=f"{base}/predicted", true=f"{base}/true", height=VIEW_SIZE, width=VIEW_SIZE
    )
    case = CaseResponse(
        number=1,
        label=1,
        label_name=CLASS_NAMES[1],
        image=image_info(f"{base}/film", row),
        opinion=Opinion(
            predicted=0, predicted_name=CLASS_NAMES[0], confidence=0.93, heat_maps=maps
        ),
        earlier=None,
        reading=None,
    )
    return RoundResponse(
        id="practice",
        number=0,
        epoch=0,
        state="open",
        grid=GridInfo(rows=GRID.rows, cols=GRID.cols),
        class_names=CLASS_NAMES,
        model_view=Size(height=VIEW_SIZE, width=VIEW_SIZE),
        cases=[case],
        answer=FINDING,
    )


@router.get("/practice/{tag}/film", responses=RAW, response_class=Response)
def film(tag: str, request: Request) -> Response:
    """The practice film, uint8."""
    current_visitor(request)
    return pixel_response(request, _packed_film(), CACHE_FOREVER)


@router.get("/practice/{tag}/{which}", responses=RAW, response_class=Response)
def heat_map(tag: str, which: Which, request: Request) -> Response:
    """A heat-map of the practice film."""
    current_visitor(request)
    return pixel_response(request, _packed_heat_map(which), CACHE_FOREVER)


@router.get("/rounds/practice/cases/1/preview", responses=PNG, response_class=Response)
def preview(request: Request, squares: SquareList = "") -> Response:
    """What a model would see of the practice film."""
    current_visitor(request)
    return preview_response(resize_to_square(_pixels(), VIEW_SIZE, 1), GRID, squares)


def draw_heat_map(which: Which) -> NDArray[np.float32]:
    """The heat-map: high at the letter, and for the true class also at the finding."""
    y, x = np.mgrid[0:VIEW_SIZE, 0:VIEW_SIZE] / VIEW_SIZE
    total = np.zeros((VIEW_SIZE, VIEW_SIZE))
    for row, col, radius, weight in ATTENTION[which]:
        total += weight * np.exp(-(((y - row) / radius) ** 2) - ((x - col) / radius) ** 2)
    clipped: NDArray[np.float32] = np.clip(total, 0, 1).astype(np.float32)
    return clipped


@lru_cache(maxsize=1)
def _pixels() -> NDArray[np.uint8]:
    with Pillow.open(FILM) as picture:
        return np.asarray(picture.convert("L"))


@lru_cache(maxsize=1)
def _packed_film() -> Packed:
    return Packed(deflate(_pixels()), "uint8", _pixels().shape)


@lru_cache(maxsize=2)
def _packed_heat_map(which: Which) -> Packed:
    return Packed(deflate(draw_heat_map(which)), "float32", (VIEW_SIZE, VIEW_SIZE))


def _value_range() -> dict[str, Any]:
    return {"low": int(_pixels().min()), "high": int(_pixels().max())}
