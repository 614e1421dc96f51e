"""What the model will learn from a reader's squares, as a picture at the end of a round."""

from __future__ import annotations

import io

import numpy as np
from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from imil.cases import RoundSettings
from imil.images.colours import to_uint8
from imil.images.relevance_map import relevance_map, selected_shares
from imil.shown_grids import check_is_shown
from imil.store import room_queries
from imil.web.routes.pixels import PNG
from imil.web.routes.reading import find_round
from imil.web.schemas import ERROR_RESPONSES, Epoch
from imil.web.sign_in import current_visitor, store_of

SIZE = 256  # pixels of the mean image
TITLE = "Where your squares lie, on the mean of the images that you read"

router = APIRouter(prefix="/api", tags=["reading"], responses=ERROR_RESPONSES)


@router.get("/rounds/{epoch}/learned", responses=PNG, response_class=Response)
def learned(epoch: Epoch, request: Request) -> Response:
    """The share of the visitor's readings that selected each square, on the round's mean image."""
    store, visitor = store_of(request), current_visitor(request)
    summary = find_round(store, visitor, epoch)
    readings = room_queries.readings(store, summary["id"], visitor.name)
    focused = [one.squares for one in readings.values() if one.squares]
    if not focused:
        raise HTTPException(404, "You have selected no squares in this round.")
    cases = room_queries.cases(store, summary["id"])
    grid = RoundSettings.from_dict(summary["settings"]).grid
    check_is_shown(grid)
    images = [case["image"] for case in cases if case["dtype"] is not None]  # else it is missing
    views = [to_uint8(request.app.state.view(image, SIZE)) for image in images]
    grey = [view if view.ndim == 2 else view.mean(axis=2) for view in views]
    mean = np.rint(np.mean(grey, axis=0)).astype(np.uint8)
    file = io.BytesIO()
    relevance_map(mean, grid, selected_shares(focused, grid), title=TITLE).save(file, "PNG")
    # a reading may be changed until the round is closed
    return Response(file.getvalue(), media_type="image/png", headers={"Cache-Control": "no-store"})
