"""Pixels on their way out: images, heat-maps, and what the model will see."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from functools import lru_cache
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, HTTPException, Path, Query, Request
from fastapi.responses import Response
from numpy.typing import NDArray
from PIL import Image as Pillow

from imil.cases import RoundSettings
from imil.errors import NotFound, SquareError
from imil.fills import Fill, fill
from imil.grid import MOST, Grid
from imil.images.resize import squash
from imil.store import Store, room_queries
from imil.store.invitations import Visitor
from imil.store.room_queries import Packed, Which
from imil.web.schemas import TROUBLES, Epoch, Number
from imil.web.sign_in import signed_in, store_of

FOREVER = "private, max-age=31536000, immutable"
LONGEST = 6 * MOST * MOST  # characters of a list of squares
Responses = dict[int | str, dict[str, Any]]
RAW: Responses = {
    200: {"content": {"application/octet-stream": {}}, "description": "raw pixels, deflated"}
}
PNG: Responses = {200: {"content": {"image/png": {}}, "description": "what the model will see"}}
Sha256 = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]
SquareList = Annotated[str, Query(max_length=LONGEST, description="numbers with commas between")]

router = APIRouter(prefix="/api", tags=["pixels"], responses=TROUBLES)


@router.get("/images/{sha256}", responses=RAW, response_class=Response)
def image(sha256: Sha256, request: Request) -> Response:
    """The pixels of an image, row by row, little-endian."""
    store, who = store_of(request), signed_in(request)
    if unchanged(request, sha256):
        # whoever has the pixels already may keep them; who may see them was asked before
        return Response(status_code=304, headers={"ETag": f'"{sha256}"', "Cache-Control": FOREVER})
    found = room_queries.image(store, who.run, sha256)
    if found is None:
        raise NotFound(f"the store has no image {sha256[:12]}…")
    return raw(request, found, sha256)


@router.get(
    "/rounds/{epoch}/cases/{number}/heat-map/{which}", responses=RAW, response_class=Response
)
def heat_map(epoch: Epoch, number: Number, which: Which, request: Request) -> Response:
    """A heat-map, float32 in [0, 1], row by row; hidden until the first look, if there is one."""
    store, who = store_of(request), signed_in(request)
    case = find_case(store, who, epoch, number)
    if not case["shown"]:
        raise HTTPException(403, "Choose your squares first: the model's opinion comes after it.")
    found = room_queries.heat_map(store, case["id"], which)
    return raw(request, found, f"{epoch}-{number}-{which}-{case['image'][:16]}")


@router.get("/rounds/{epoch}/cases/{number}/preview", responses=PNG, response_class=Response)
def preview(epoch: Epoch, number: Number, request: Request, squares: SquareList = "") -> Response:
    """What the model will see, at its own size, when only these squares are kept."""
    store, who = store_of(request), signed_in(request)
    case = find_case(store, who, epoch, number)
    settings = RoundSettings.from_dict(case["settings"])
    seen: NDArray[np.uint8] = request.app.state.view(case["image"], case["cam_shape"][0])
    return blacked_out(seen, settings.grid, squares, fill(settings.fill))


def find_case(store: Store, who: Visitor, epoch: int, number: int) -> room_queries.Row:
    """A case of the visitor's run, or 404."""
    found = room_queries.case(store, who, epoch, number)
    if found is None:
        raise HTTPException(404, f"There is no case {number} in round {epoch}: reload the page.")
    return found


def views(store: Store) -> Callable[[str, int], NDArray[np.uint8]]:
    """A function that gives an image (its hash, the model's size) as the training has it."""

    @lru_cache(maxsize=64)  # 50 KB each at 224×224; a preview is asked for at every click
    def view(sha256: str, size: int) -> NDArray[np.uint8]:
        original = store.image(sha256)
        return squash(original, size, 1 if original.ndim == 2 else 3)

    return view


def blacked_out(seen: NDArray[np.uint8], grid: Grid, squares: str, cover: Fill) -> Response:
    """A PNG in which all but the squares is covered."""
    try:
        chosen = [int(word) for word in squares.split(",") if word]
    except ValueError:
        raise SquareError("the squares are no numbers: give them as in 2,3,6") from None
    keep = grid.mask(chosen, *seen.shape[:2])
    file = io.BytesIO()
    Pillow.fromarray(cover(seen, keep).astype(np.uint8)).save(file, "PNG", compress_level=1)
    return Response(file.getvalue(), media_type="image/png")


def raw(request: Request, packed: Packed, tag: str) -> Response:
    """The array as it lies in the store; unpacked for the rare client that cannot inflate."""
    headers = {"Cache-Control": FOREVER, "ETag": f'"{tag}"', "Vary": "Accept-Encoding"}
    if unchanged(request, tag):
        return Response(status_code=304, headers=headers)
    data = packed.data
    if "deflate" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "deflate"
    else:
        data = zlib.decompress(data)
    return Response(data, media_type="application/octet-stream", headers=headers)


def unchanged(request: Request, tag: str) -> bool:
    """Whether the browser has it already."""
    return f'"{tag}"' in request.headers.get("if-none-match", "")
