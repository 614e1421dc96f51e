"""The practice case: a drawn film with a finding, and a model that looks at the letter instead.

`tools/practice_film.py` draws the film; nobody's lungs are in it.
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

from imil.fills import blackout
from imil.grid import Grid
from imil.images.resize import resize_to_square
from imil.store.room_queries import Packed, Which
from imil.store.row_mapping import deflate
from imil.web.case_schemas import image_shape
from imil.web.routes.pixels import PNG, RAW, SquareList, blacked_out, raw
from imil.web.schemas import TROUBLES, CaseShape, GridShape, HeatMaps, Opinion, RoundShape, Size
from imil.web.sign_in import signed_in

FILM = Path(__file__).with_name("practice.jpg")  # the finding lies in squares 7 and 11
FINDING = [7, 11]  # squares
VIEW = 224  # pixels of the model's view
GRID = Grid(4, 4)
NAMES = ["normal", "tuberculosis"]
# row, column and radius in parts of the side, and weight, of what the model looks at
LOOKS: dict[Which, list[tuple[float, float, float, float]]] = {
    "predicted": [(0.09, 0.88, 0.10, 1.0), (0.78, 0.62, 0.13, 0.35)],
    "true": [(0.50, 0.67, 0.10, 0.8), (0.11, 0.86, 0.09, 1.0)],
}

router = APIRouter(prefix="/api", tags=["practice"], responses=TROUBLES)


@router.get("/practice")
def practice(request: Request) -> RoundShape:
    """A round of one case that does not count."""
    signed_in(request)
    film = _film()
    tag = hashlib.sha256(film.data).hexdigest()[:16]
    base = f"/api/practice/{tag}"
    row = {"shape": film.shape, "dtype": film.dtype} | _span()
    maps = HeatMaps(predicted=f"{base}/predicted", true=f"{base}/true", height=VIEW, width=VIEW)
    case = CaseShape(
        number=1,
        label=1,
        label_name=NAMES[1],
        image=image_shape(f"{base}/film", row),
        opinion=Opinion(predicted=0, predicted_name=NAMES[0], confidence=0.93, heat_maps=maps),
        earlier=None,
        reading=None,
    )
    return RoundShape(
        id="practice",
        number=0,
        epoch=0,
        state="open",
        grid=GridShape(rows=GRID.rows, cols=GRID.cols),
        class_names=NAMES,
        model_view=Size(height=VIEW, width=VIEW),
        cases=[case],
        answer=FINDING,
    )


@router.get("/practice/{tag}/film", responses=RAW, response_class=Response)
def film(tag: str, request: Request) -> Response:
    """The practice film, uint8."""
    signed_in(request)
    return raw(request, _film(), f"film-{_safe(tag)}")


@router.get("/practice/{tag}/{which}", responses=RAW, response_class=Response)
def heat_map(tag: str, which: Which, request: Request) -> Response:
    """A heat-map of the practice film."""
    signed_in(request)
    return raw(request, _heat(which), f"{which}-{_safe(tag)}")


@router.get("/rounds/practice/cases/1/preview", responses=PNG, response_class=Response)
def preview(request: Request, squares: SquareList = "") -> Response:
    """What a model would see of the practice film."""
    signed_in(request)
    return blacked_out(resize_to_square(_pixels(), VIEW, 1), GRID, squares, blackout)


def heat(which: Which) -> NDArray[np.float32]:
    """Where the model looks: at the letter, and for the true class also at the finding."""
    y, x = np.mgrid[0:VIEW, 0:VIEW] / VIEW
    total = np.zeros((VIEW, VIEW))
    for row, col, radius, weight in LOOKS[which]:
        total += weight * np.exp(-(((y - row) / radius) ** 2) - ((x - col) / radius) ** 2)
    clipped: NDArray[np.float32] = np.clip(total, 0, 1).astype(np.float32)
    return clipped


@lru_cache(maxsize=1)
def _pixels() -> NDArray[np.uint8]:
    with Pillow.open(FILM) as picture:
        return np.asarray(picture.convert("L"))


@lru_cache(maxsize=1)
def _film() -> Packed:
    return Packed(deflate(_pixels()), "uint8", _pixels().shape)


@lru_cache(maxsize=2)
def _heat(which: Which) -> Packed:
    return Packed(deflate(heat(which)), "float32", (VIEW, VIEW))


def _span() -> dict[str, Any]:
    return {"low": int(_pixels().min()), "high": int(_pixels().max())}


def _safe(tag: str) -> str:
    """The tag without anything that a header must not hold."""
    return "".join(letter for letter in tag[:16] if letter in "0123456789abcdef")
