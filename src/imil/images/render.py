"""The pictures that a reader sees: image, heat-map overlay, numbered grid, blackout.

Lines and numbers are drawn at the picture's own resolution, after scaling, so they are sharp on a
thumbnail and on a 3000-pixel image.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from imil.cases import Case, Image, Verdict
from imil.fills import blackout
from imil.grid import Grid
from imil.images.colours import Picture, colour_map, overlay, to_uint8
from imil.images.montage import (
    Panel,
    font,
    marks_as_text,
    montage,
    percent,
    squares_as_text,
)

__all__ = [
    "case_panel",
    "colour_map",
    "grid_lines",
    "overlay",
    "percent",
    "resize_to_height",
    "review_strip",
    "squares_as_text",
    "to_uint8",
]

LIGHT, DARK = (235, 235, 235), (12, 12, 14)
SELECTED = (64, 200, 255)  # light blue: neither a grey of an image nor a heat-map colour
MISLEADING = (255, 150, 60)  # orange, which is told from blue with every kind of colour blindness
STRIPES = 5  # across a square that is marked as misleading
MAX_ASPECT = 1.6  # width over height; a wider image is made lower instead
NUMBER_SPACING = 2  # times a number's own height and width, so that the image stays visible
MIN_SQUARE = 22  # pixels that a square needs for its number
HEAT_MAP_CAPTION = "heat-map: the model's attention, not ground truth"


def resize_to_height(image: Image, height: int) -> Picture:
    """The image at a height in pixels, uint8, with its aspect ratio; lower if it is very wide.

    Args:
        image: uint8 or uint16, (H, W) or (H, W, 3).
        height: of the picture; its width is at most 1.6 times this.
    """
    rows, cols = image.shape[:2]
    scale = min(height / rows, MAX_ASPECT * height / cols)
    size = max(1, round(cols * scale)), max(1, round(rows * scale))
    method = Pillow.Resampling.LANCZOS if scale < 1 else Pillow.Resampling.BICUBIC
    return np.asarray(Pillow.fromarray(to_uint8(image)).resize(size, method))


def grid_lines(
    picture: Pillow.Image | Picture,
    grid: Grid,
    *,
    numbers: bool = True,
    squares: Sequence[int] | None = None,
    misleading: Sequence[int] = (),
    first: int = 1,
) -> Pillow.Image:
    """A copy of the picture, RGB, with the grid drawn on it.

    Each line is a light one beside a dark one, so it is visible on black and on white. Where not
    every square has room for its number, every second, fourth, ... is numbered.

    Args:
        picture: a Pillow image, or uint8 (H, W) or (H, W, 3).
        grid: the grid.
        numbers: whether the squares are numbered, from 1, row by row.
        squares: these are outlined, in blue.
        misleading: these are hatched, in orange.
        first: the number that the first square is given in the picture.
    Source: paper 3.1, step 5.
    """
    if isinstance(picture, np.ndarray):
        picture = Pillow.fromarray(picture)
    drawn = picture.copy() if picture.mode == "RGB" else picture.convert("RGB")
    # in mode RGBA, colours with a fourth value are blended
    _lines(ImageDraw.Draw(drawn, "RGBA"), grid, drawn.size)
    if squares:
        drawn = _outline(drawn, grid, squares, SELECTED)
    if misleading:
        drawn = _outline(_hatch(drawn, grid, misleading), grid, misleading, MISLEADING)
    if numbers:
        _numbers(ImageDraw.Draw(drawn), grid, drawn.size, first)
    return drawn


def case_panel(
    case: Case,
    *,
    squares: Sequence[int] | None = None,
    misleading: Sequence[int] = (),
    height: int = 720,
) -> Pillow.Image:
    """One picture of a case: image, heat-map of the predicted class, numbered grid, caption.

    Args:
        case: the case.
        squares: outlined; None: those of an earlier round, if any.
        misleading: hatched.
        height: of each image, in pixels; more for a fine grid, so that its numbers stay readable.
    Source: paper 3.1, step 5.
    """
    outlined = case.earlier if squares is None else tuple(squares)
    if case.grid.slabs is not None:
        return _volume(case, outlined or (), misleading, None, height // 2)
    image = resize_to_height(case.image, max(height, MIN_SQUARE * case.grid.rows))
    note = f"squares 1-{case.grid.squares}" if case.grid.squares > 1 else "1 square"
    if outlined:
        when = "kept in an earlier round" if squares is None else "selected now"
        note += f"; outlined: {when} ({squares_as_text(outlined)})"
    if misleading:
        note += f"; hatched: misleading ({squares_as_text(misleading)})"
    return montage(
        _title(case),
        [
            Panel(Pillow.fromarray(image), "image"),
            Panel(_heat(case, image), f"{HEAT_MAP_CAPTION} ({case.predicted_name})"),
            Panel(grid_lines(image, case.grid, squares=outlined, misleading=misleading), note),
        ],
    )


def review_strip(
    case: Case,
    squares: Sequence[int],
    verdict: Verdict | None,
    *,
    misleading: Sequence[int] = (),
    height: int = 320,
) -> Pillow.Image:
    """A case with its reading: image, heat-map, squares, blackout side by side.

    Args:
        case: the case.
        squares: those selected; none unless the verdict is `focus`.
        verdict: the reader's; None for a case that is unread.
        misleading: those marked as misleading; without selected ones, these alone go black.
        height: of each image, in pixels.
    Source: paper, figure 5.
    """
    focus = verdict == "focus"
    if case.grid.slabs is not None:
        kept = (squares or case.grid.others(misleading)) if focus else case.earlier
        return _volume(case, squares, misleading, kept, height // 2)
    image = resize_to_height(case.image, height)
    selected = squares or case.grid.others(misleading)
    kept, caption = (selected, "blackout") if focus else (case.earlier, "kept as before")
    trained_on = blackout(image, case.grid.mask(kept, *image.shape[:2])) if kept else image
    answer = marks_as_text(squares, misleading) if focus else verdict or "unread"
    shown, hatched = (squares, misleading) if focus else ((), ())
    marked = grid_lines(image, case.grid, squares=shown, misleading=hatched)
    return montage(
        _title(case),
        [
            Panel(Pillow.fromarray(image), "image"),
            Panel(_heat(case, image), f"{HEAT_MAP_CAPTION} ({case.predicted_name})"),
            Panel(marked, answer),
            Panel(Pillow.fromarray(trained_on), caption if kept else "unchanged"),
        ],
    )


def _volume(
    case: Case,
    squares: Sequence[int],
    misleading: Sequence[int],
    kept: Sequence[int] | None,
    height: int,
) -> Pillow.Image:
    from imil.images.slab_pictures import volume_picture  # here: it draws with this module

    return volume_picture(
        _title(case), case, squares=squares, misleading=misleading, kept=kept, height=height
    )


def _title(case: Case) -> str:
    return (
        f"Case {case.number}    predicted: {case.predicted_name} "
        f"({percent(case.confidence)})    ground truth: {case.true_name}"
    )


def _heat(case: Case, image: Picture) -> Pillow.Image:
    return Pillow.fromarray(overlay(image, case.cam_predicted))


def _lines(draw: ImageDraw.ImageDraw, grid: Grid, size: tuple[int, int]) -> None:
    """The inner edges and the frame: the last pixel before an edge light, the first after dark."""
    width, height = size
    # many lines would hide the image, so they are fainter
    strength = round(min(max(4 * min(width / grid.cols, height / grid.rows), 90), 230))
    light, dark = (*LIGHT, strength), (*DARK, strength)
    for row in range(1, grid.rows):
        y = grid.box(row * grid.cols + 1, height, width)[0]
        draw.line((0, y - 1, width, y - 1), light)
        draw.line((0, y, width, y), dark)
    for col in range(1, grid.cols):
        x = grid.box(col + 1, height, width)[1]
        draw.line((x - 1, 0, x - 1, height), light)
        draw.line((x, 0, x, height), dark)
    draw.rectangle((0, 0, width - 1, height - 1), outline=light)


def _outline(
    picture: Pillow.Image, grid: Grid, squares: Sequence[int], colour: tuple[int, int, int]
) -> Pillow.Image:
    """The picture with the union of the squares outlined, inside its border."""
    pixels = np.array(picture)
    height, width = pixels.shape[:2]
    _, thick = _side_and_line(grid, height, width)
    selected = grid.mask(squares, height, width)
    pixels[selected & ~_erode(selected, thick + 1)] = DARK
    pixels[selected & ~_erode(selected, thick)] = colour
    return Pillow.fromarray(pixels)


def _hatch(picture: Pillow.Image, grid: Grid, squares: Sequence[int]) -> Pillow.Image:
    """The picture with diagonal lines in the squares, each beside a dark one."""
    pixels = np.array(picture)
    height, width = pixels.shape[:2]
    side, thick = _side_and_line(grid, height, width)
    place = np.add.outer(np.arange(height), np.arange(width)) % max(side // STRIPES, 4)
    marked = grid.mask(squares, height, width)
    pixels[marked & (place < thick)] = MISLEADING
    pixels[marked & (place == thick)] = DARK
    return Pillow.fromarray(pixels)


def _side_and_line(grid: Grid, height: int, width: int) -> tuple[int, int]:
    """The side of a square and the thickness of its outline, in pixels."""
    side = min(width // grid.cols, height // grid.rows)
    return side, min(max(side // 40, 2), 6) if side >= 12 else 1


def _erode(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """The mask without the pixels that lie within `by` of its border or the picture's."""
    inner: NDArray[np.bool_] = np.pad(mask, by)
    for axis in (0, 1):
        inner = np.all(sliding_window_view(inner, 2 * by + 1, axis=axis), axis=-1)
    return inner


def _numbers(draw: ImageDraw.ImageDraw, grid: Grid, size: tuple[int, int], first: int) -> None:
    """Each number in its square's upper left corner, where it hides least."""
    width, height = size
    side = min(width / grid.cols, height / grid.rows)
    face = font(round(min(max(side * 0.2, 10), 22)))
    pad = 2 + round(side * 0.03)
    rows = _step(NUMBER_SPACING * (face.size + pad), height / grid.rows)
    longest = face.getlength(str(grid.squares + first - 1))
    cols = _step(NUMBER_SPACING * (longest + pad), width / grid.cols)
    if rows > grid.rows or cols > grid.cols:
        return  # a picture of a few pixels: no number would be readable
    for row in range(0, grid.rows, rows):
        for col in range(0, grid.cols, cols):
            square = row * grid.cols + col + 1
            top, left, _, _ = grid.box(square, height, width)
            _number(draw, (left + pad, top + pad), str(square + first - 1), face)


def _number(
    draw: ImageDraw.ImageDraw,
    at: tuple[int, int],
    text: str,
    face: ImageFont.FreeTypeFont,
) -> None:
    halo = 2 if face.size > 12 else 1
    draw.text(at, text, LIGHT, face, anchor="lt", stroke_width=halo, stroke_fill=DARK)


def _step(needed: float, available: float) -> int:
    """1, 2, 4, ...: every how many squares there is room for a number."""
    step = 1
    while needed > step * available:
        step *= 2
    return step
