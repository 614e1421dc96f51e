"""Pixels of images and heat-maps, and previews of the corrected image."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from numpy.typing import NDArray
from PIL import Image as Pillow

from imil.cases import RoundSettings
from imil.errors import NotFound, SquareError
from imil.fills import blackout
from imil.grid import MAX_SIDE, Grid
from imil.images.resize import resize_to_square
from imil.store import Store, room_queries
from imil.store.invitations import Visitor
from imil.store.room_queries import Packed, Which
from imil.store.round_waiting import asked
from imil.web.schemas import ERROR_RESPONSES, Epoch, Number
from imil.web.shared_films import SharedFilms, pieces
from imil.web.sign_in import current_visitor, store_of

NO_STORE = "no-store"  # films outlive no session: the page keeps them in its memory alone
MAX_LIST_LENGTH = 6 * MAX_SIDE * MAX_SIDE  # characters of a list of squares
Responses = dict[int | str, dict[str, Any]]
RAW: Responses = {
    200: {"content": {"application/octet-stream": {}}, "description": "raw pixels, deflated"}
}
PNG: Responses = {200: {"content": {"image/png": {}}, "description": "what the model will see"}}
Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
SquareList = Annotated[
    str, Query(max_length=MAX_LIST_LENGTH, description="numbers with commas between")
]

router = APIRouter(prefix="/api", tags=["pixels"], responses=ERROR_RESPONSES)


@router.get("/images/{sha256}", responses=RAW, response_class=Response)
def image(sha256: Sha256, request: Request) -> Response:
    """The pixels of an image, row by row, little-endian."""
    store, visitor = store_of(request), current_visitor(request)
    films: SharedFilms = request.app.state.films
    run = visitor.run
    pixels = films.get((run, sha256), lambda: room_queries.image(store, run, sha256))
    if pixels is None:
        raise NotFound(f"the store has no image {sha256[:12]}…")
    request.app.state.opened_films.record(store, visitor, sha256)
    return pixel_response(request, pixels)


@router.get(
    "/rounds/{epoch}/cases/{number}/heat-map/{which}", responses=RAW, response_class=Response
)
def heat_map(epoch: Epoch, number: Number, which: Which, request: Request) -> Response:
    """A heat-map, float32 in [0, 1], row by row; blind-first, only after the first look."""
    store, visitor = store_of(request), current_visitor(request)
    case = find_case(store, visitor, epoch, number)
    if not case["shown"]:
        raise HTTPException(403, "Select your squares first: the prediction is shown after that.")
    pixels = room_queries.heat_map(store, case["id"], which)
    return pixel_response(request, pixels)


@router.get("/rounds/{epoch}/cases/{number}/preview", responses=PNG, response_class=Response)
def preview(epoch: Epoch, number: Number, request: Request, squares: SquareList = "") -> Response:
    """What the model will see, at its input size, if only these squares are kept."""
    store, visitor = store_of(request), current_visitor(request)
    case = find_case(store, visitor, epoch, number)
    settings = RoundSettings.from_dict(case["settings"])
    model_view: NDArray[np.uint8] = request.app.state.view(case["image"], case["cam_shape"][0])
    return preview_response(model_view, settings.grid, squares)


def find_case(store: Store, visitor: Visitor, epoch: int, number: int) -> room_queries.Row:
    """A case of the visitor's run, or 404."""
    case = room_queries.case(store, visitor, epoch, number)
    if case is None or number not in asked_of(store, visitor, case["round"], case):
        raise HTTPException(404, f"No case {number} in round {epoch}: reload the page.")
    return case


def asked_of(store: Store, visitor: Visitor, round_id: str, row: room_queries.Row) -> Sequence[int]:
    """The numbers of the cases that a visitor is asked for, in their order; an owner for all.

    Args:
        row: of the round or of one of its cases, with `settings` and the number of `cases`.
    """
    panel = RoundSettings.from_dict(row["settings"]).panel
    if visitor.kind == "owner" or not (panel.readers or panel.arbiter):
        return range(1, row["cases"] + 1)
    return asked(store, round_id, visitor.name)


def model_view_loader(store: Store) -> Callable[[str, int], NDArray[np.uint8]]:
    """A function from an image's hash and the model's size to the image as the model gets it."""

    @lru_cache(maxsize=64)  # 50 KB each at 224×224; a preview is loaded at every click
    def view(sha256: str, size: int) -> NDArray[np.uint8]:
        original = store.image(sha256)
        return resize_to_square(original, size, 1 if original.ndim == 2 else 3)

    return view


def preview_response(model_view: NDArray[np.uint8], grid: Grid, squares: str) -> Response:
    """A PNG in which everything but the squares is black."""
    try:
        chosen = [int(word) for word in squares.split(",") if word]
    except ValueError:
        raise SquareError("invalid squares: expected numbers with commas, such as 2,3,6") from None
    keep = grid.mask(chosen, *model_view.shape[:2])
    file = io.BytesIO()
    Pillow.fromarray(blackout(model_view, keep).astype(np.uint8)).save(
        file, "PNG", compress_level=1
    )
    return Response(file.getvalue(), media_type="image/png")


def pixel_response(request: Request, packed: Packed, cache: str = NO_STORE) -> Response:
    """The deflated array of the store; inflated for a client that does not accept deflate.

    It is sent as fast as the browser takes it, and held in memory once for all browsers.
    """
    headers = {"Cache-Control": cache, "Vary": "Accept-Encoding"}
    if "deflate" not in request.headers.get("accept-encoding", ""):
        data = zlib.decompress(packed.data)
        return Response(data, media_type="application/octet-stream", headers=headers)
    headers |= {"Content-Encoding": "deflate", "Content-Length": str(len(packed.data))}
    return StreamingResponse(pieces(packed), media_type="application/octet-stream", headers=headers)
