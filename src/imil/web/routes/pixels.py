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
from imil.web.schemas import ERROR_RESPONSES, Energy, Epoch, Number
from imil.web.shared_films import SharedFilms, pieces
from imil.web.sign_in import current_visitor, store_of
from imil.web.stack_slices import (
    Stacks,
    model_view_of_slice,
    nearest_slice,
    slice_energy,
    squares_at,
)

NO_STORE = "no-store"  # films outlive no session: the page keeps them in its memory alone
MAX_LIST_LENGTH = 6 * MAX_SIDE * MAX_SIDE  # characters of a list of squares
Responses = dict[int | str, dict[str, Any]]
RAW: Responses = {
    200: {"content": {"application/octet-stream": {}}, "description": "raw pixels, deflated"}
}
PNG: Responses = {200: {"content": {"image/png": {}}, "description": "what the model will see"}}
Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
Slice = Annotated[int | None, Query(ge=1, le=100_000, alias="slice", description="of a volume")]
SquareList = Annotated[
    str, Query(max_length=MAX_LIST_LENGTH, description="numbers with commas between")
]

router = APIRouter(prefix="/api", tags=["pixels"], responses=ERROR_RESPONSES)


@router.get("/images/{sha256}", responses=RAW, response_class=Response)
def image(sha256: Sha256, request: Request, slice_: Slice = None) -> Response:
    """The pixels of an image, or of a slice of a volume, row by row, little-endian."""
    store, visitor = store_of(request), current_visitor(request)
    films: SharedFilms = request.app.state.films
    run = visitor.run
    if slice_ is not None:
        stacks: Stacks = request.app.state.stacks
        cut = stacks.slice((run, sha256), lambda: room_queries.image(store, run, sha256), slice_)
        request.app.state.opened_films.record(store, visitor, sha256)
        return pixel_response(request, cut)
    pixels = films.get((run, sha256), lambda: room_queries.image(store, run, sha256))
    if pixels is None:
        raise NotFound(f"the store has no image {sha256[:12]}…")
    request.app.state.opened_films.record(store, visitor, sha256)
    return pixel_response(request, pixels)


@router.get(
    "/rounds/{epoch}/cases/{number}/heat-map/{which}", responses=RAW, response_class=Response
)
def heat_map(
    epoch: Epoch, number: Number, which: Which, request: Request, slice_: Slice = None
) -> Response:
    """A heat-map, float32 in [0, 1], row by row; blind-first, only after the first look.

    Of a volume, that of one of its slices.
    """
    store, visitor = store_of(request), current_visitor(request)
    case = shown_case(store, visitor, epoch, number)
    if slice_ is not None:
        slices = volume_slices(store, visitor.run, case, request)
        at = nearest_slice(slice_, case["cam_shape"][0], slices)
        stacks: Stacks = request.app.state.stacks
        return pixel_response(request, stacks.slice(*heat_of(store, case, which), at))
    pixels = room_queries.heat_map(store, case["id"], which)
    return pixel_response(request, pixels)


@router.get("/rounds/{epoch}/cases/{number}/heat-map/{which}/energy")
def energy(epoch: Epoch, number: Number, which: Which, request: Request) -> Energy:
    """How the energy of a volume's heat-map is spread over its slices; as `heat_map`."""
    store, visitor = store_of(request), current_visitor(request)
    case = shown_case(store, visitor, epoch, number)
    slices = volume_slices(store, visitor.run, case, request)
    stacks: Stacks = request.app.state.stacks
    of_map = slice_energy(stacks.get(*heat_of(store, case, which)))
    of_volume = [of_map[nearest_slice(n, len(of_map), slices) - 1] for n in range(1, slices + 1)]
    most = max(of_volume)
    return Energy(energy=[round(one / most, 4) if most > 0 else 0.0 for one in of_volume])


@router.get("/rounds/{epoch}/cases/{number}/preview", responses=PNG, response_class=Response)
def preview(
    epoch: Epoch,
    number: Number,
    request: Request,
    squares: SquareList = "",
    slice_: Slice = None,
) -> Response:
    """What the model will see, at its input size, if only these squares are kept."""
    store, visitor = store_of(request), current_visitor(request)
    case = find_case(store, visitor, epoch, number)
    settings = RoundSettings.from_dict(case["settings"])
    if settings.grid.slabs is not None:
        volume = volume_of(store, visitor.run, case, request)
        at = slice_ or (len(volume) + 1) // 2
        view = model_view_of_slice(volume, at, case["cam_shape"][1])
        chosen = settings.grid.check(listed(squares))
        local = squares_at(settings.grid, list(chosen), at, len(volume))
        return preview_response(view, settings.grid.plane, ",".join(map(str, local)))
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
    keep = grid.mask(listed(squares), *model_view.shape[:2])
    file = io.BytesIO()
    Pillow.fromarray(blackout(model_view, keep).astype(np.uint8)).save(
        file, "PNG", compress_level=1
    )
    return Response(file.getvalue(), media_type="image/png")


def listed(squares: str) -> list[int]:
    """The squares of a list with commas. Raises: SquareError: it is none."""
    try:
        return [int(word) for word in squares.split(",") if word]
    except ValueError:
        raise SquareError("invalid squares: expected numbers with commas, such as 2,3,6") from None


def volume_of(store: Store, run: str, case: room_queries.Row, request: Request) -> NDArray[Any]:
    """The volume of a case. Raises: NotFound: its image is none, or is missing."""
    stacks: Stacks = request.app.state.stacks
    sha256 = case["image"]
    return stacks.get((run, sha256), lambda: room_queries.image(store, run, sha256))


def volume_slices(store: Store, run: str, case: room_queries.Row, request: Request) -> int:
    """How many slices the volume of a case has. Raises: NotFound: as `volume_of`; 404 of a film."""
    if len(case["cam_shape"]) != 3:
        raise HTTPException(404, "The image of this case is no volume: it has no slices.")
    return len(volume_of(store, run, case, request))


def heat_of(
    store: Store, case: room_queries.Row, which: Which
) -> tuple[tuple[str, str], Callable[[], Packed]]:
    """Key and loader of a volume's heat-map."""
    return (case["id"], which), lambda: room_queries.heat_map(store, case["id"], which)


def shown_case(store: Store, visitor: Visitor, epoch: int, number: int) -> room_queries.Row:
    """A case whose prediction the visitor may see; 403 before a blind reader's first look."""
    case = find_case(store, visitor, epoch, number)
    if not case["shown"]:
        raise HTTPException(403, "Select your squares first: the prediction is shown after that.")
    return case


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
