"""Pictures of a case whose image is a volume: one slice of each slab, with the slab's squares.

Of each slab the slice is shown in which the heat-map of the predicted class has most energy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from imil.cases import Case
from imil.fills import blackout
from imil.images.colours import Picture, overlay
from imil.images.montage import BACKGROUND, Panel, montage, squares_as_text
from imil.images.render import grid_lines, resize_to_height

WIDEST = 2400  # pixels of all slabs side by side


@dataclass(frozen=True, eq=False)
class Slab:
    """A slab of a case, as one of its slices.

    Args:
        number: from 1.
        slices: numbers of the first and the last, from 1 for the first of the volume.
        shown: number of the slice.
        image: the slice, (H, W).
        heat: its heat-map, float32 (h, w), in [0, 1] of the whole volume's highest.
        energy: the share of the heat-map that lies in the slab, in [0, 1].
        first: number of its first square.
    """

    number: int
    slices: tuple[int, int]
    shown: int
    image: NDArray[np.uint8] | NDArray[np.uint16]
    heat: NDArray[np.float32]
    energy: float
    first: int


def slabs_of(case: Case) -> list[Slab]:
    """The slabs of a case in order, the first slice of the volume in the first."""
    volume, heat = case.image, case.cam_predicted
    grid, depth = case.grid, len(volume)
    by_slice = heat.sum(axis=(1, 2), dtype=np.float64)
    total = max(float(by_slice.sum()), 1e-12)
    at = [min(z * len(heat) // depth, len(heat) - 1) for z in range(depth)]
    slabs = []
    for n in range(grid.slabs or 1):
        first = n * grid.plane.squares + 1
        start, _, _, end, _, _ = grid.box(first, depth, *volume.shape[1:])
        begin, _, _, stop, _, _ = grid.box(first, *heat.shape)
        if start == end:  # fewer slices than slabs
            continue
        shown = start + int(np.argmax([by_slice[at[z]] for z in range(start, end)]))
        slabs.append(
            Slab(
                n + 1,
                (start + 1, end),
                shown + 1,
                volume[shown],
                heat[at[shown]],
                float(by_slice[begin:stop].sum()) / total,
                first,
            )
        )
    return slabs


def volume_picture(
    title: str,
    case: Case,
    *,
    squares: Sequence[int] = (),
    misleading: Sequence[int] = (),
    kept: Sequence[int] | None = None,
    height: int = 360,
) -> Pillow.Image:
    """Rows of pictures, a column for each slab: slice, heat-map with squares, perhaps blackout.

    Args:
        title: above all of them.
        case: of a volume.
        squares, misleading: of the whole grid; outlined and hatched.
        kept: squares outside which the third row is black; None: no third row.
        height: of each picture, in pixels; lower where there are many slabs.
    """
    slabs = slabs_of(case)
    pictures = [resize_to_height(slab.image, height) for slab in slabs]
    widest = max(picture.shape[1] for picture in pictures)
    if widest * len(slabs) > WIDEST:
        lower = max(height * WIDEST // (widest * len(slabs)), 1)
        pictures = [resize_to_height(slab.image, lower) for slab in slabs]
    plain, marked, black = [], [], []
    for slab, picture in zip(slabs, pictures, strict=True):
        numbers = f"squares {slab.first}-{slab.first + case.grid.plane.squares - 1}"
        plain.append(Panel(Pillow.fromarray(picture), _caption(slab)))
        chosen, hatched = (_within(case, slab, some) for some in (squares, misleading))
        drawn = grid_lines(
            overlay(picture, slab.heat),
            case.grid.plane,
            squares=chosen,
            misleading=hatched,
            first=slab.first,
        )
        of_all = f"{100 * slab.energy:.0f} % of the model's attention"
        marked.append(Panel(drawn, f"{numbers}; {of_all}"))
        if kept is not None:
            black.append(Panel(Pillow.fromarray(_blackened(picture, case, slab, kept)), "blackout"))
    answer = f"squares {squares_as_text(squares)}" if squares else "attention, not ground truth"
    rows = [montage(title, plain), montage(answer, marked)]
    if kept is not None:
        rows.append(montage("what the model is trained on", black))
    return _stacked(rows)


def _caption(slab: Slab) -> str:
    first, last = slab.slices
    return f"slab {slab.number}: slices {first}-{last}, shown {slab.shown}"


def _within(case: Case, slab: Slab, squares: Sequence[int]) -> tuple[int, ...]:
    """Those of the squares that lie in the slab, numbered from 1 there."""
    size = case.grid.plane.squares
    return tuple(n - slab.first + 1 for n in squares if slab.first <= n < slab.first + size)


def _blackened(picture: Picture, case: Case, slab: Slab, kept: Sequence[int]) -> Picture:
    keep = case.grid.plane.mask(_within(case, slab, kept), *picture.shape[:2])
    result: Picture = blackout(picture, keep)
    return result


def _stacked(rows: Sequence[Pillow.Image]) -> Pillow.Image:
    width = max(row.width for row in rows)
    canvas = Pillow.new("RGB", (width, sum(row.height for row in rows)), BACKGROUND)
    top = 0
    for row in rows:
        canvas.paste(row, (0, top))
        top += row.height
    return canvas
