"""The pictures a reader sees: the film, the heat-map over it, the numbered grid, the blackout.

Lines and numbers are drawn at the picture's own resolution, after it has been scaled, so they
are crisp on a thumbnail and on a 3000-pixel film alike.
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
from imil.images.montage import Panel, font, percent, sheet, squares_as_text

__all__ = [
    "case_panel",
    "colour_map",
    "fitted",
    "grid_lines",
    "overlay",
    "percent",
    "review_strip",
    "squares_as_text",
    "to_uint8",
]

LIGHT, DARK = (235, 235, 235), (12, 12, 14)
CHOSEN = (64, 200, 255)  # light blue: no grey of a film and no colour of the heat-map
WIDEST = 1.6  # times the height; a strip of film is made lower instead of wider
ROOM = 2  # times a number's own height and width, so that numbers never hide the film
READABLE = 22  # pixels a square needs for its number
NOT_TRUTH = "heat-map: the model's attention, not truth"


def fitted(image: Image, height: int) -> Picture:
    """The image at a height in pixels, uint8, its aspect ratio kept; lower if it is very wide.

    Args:
        image: uint8 or uint16, (H, W) or (H, W, 3).
        height: of the picture; its width is at most 1.6 times this.
    """
    rows, cols = image.shape[:2]
    scale = min(height / rows, WIDEST * height / cols)
    size = max(1, round(cols * scale)), max(1, round(rows * scale))
    how = Pillow.Resampling.LANCZOS if scale < 1 else Pillow.Resampling.BICUBIC
    return np.asarray(Pillow.fromarray(to_uint8(image)).resize(size, how))


def grid_lines(
    picture: Pillow.Image | Picture,
    grid: Grid,
    *,
    numbers: bool = True,
    squares: Sequence[int] | None = None,
) -> Pillow.Image:
    """A copy of the picture, in colour, with the grid drawn on it.

    Each line is a light one beside a dark one, so it shows on black and on white. Where not
    every square has room for its number, every second, fourth, ... is numbered.

    Args:
        picture: a Pillow image, or uint8 (H, W) or (H, W, 3).
        grid: the grid.
        numbers: whether the squares are numbered, from 1, row by row.
        squares: these are outlined.
    Source: paper 3.1, step 5.
    """
    if isinstance(picture, np.ndarray):
        picture = Pillow.fromarray(picture)
    drawn = picture.copy() if picture.mode == "RGB" else picture.convert("RGB")
    # in this mode, colours with a fourth value are blended
    _lines(ImageDraw.Draw(drawn, "RGBA"), grid, drawn.size)
    if squares:
        drawn = _outlined(drawn, grid, squares)
    if numbers:
        _numbers(ImageDraw.Draw(drawn), grid, drawn.size)
    return drawn


def case_panel(
    case: Case, *, squares: Sequence[int] | None = None, height: int = 720
) -> Pillow.Image:
    """One picture of a case: image, heat-map of the predicted class, numbered grid, caption.

    Args:
        case: the case.
        squares: outlined; None: those of an earlier round, if there are any.
        height: of each image, in pixels; more where the grid is fine, so that its numbers
            stay readable.
    Source: paper 3.1, step 5.
    """
    outlined = case.earlier if squares is None else tuple(squares)
    image = fitted(case.image, max(height, READABLE * case.grid.rows))
    note = f"squares 1-{case.grid.squares}" if case.grid.squares > 1 else "1 square"
    if outlined:
        when = "in an earlier round" if squares is None else "now"
        note += f"; outlined: chosen {when} ({squares_as_text(outlined)})"
    return sheet(
        _title(case),
        [
            Panel(Pillow.fromarray(image), "image"),
            Panel(_heat(case, image), f"{NOT_TRUTH} ({case.predicted_name})"),
            Panel(grid_lines(image, case.grid, squares=outlined), note),
        ],
    )


def review_strip(
    case: Case, squares: Sequence[int], verdict: Verdict | None, *, height: int = 320
) -> Pillow.Image:
    """What was asked, answered and done: image, heat-map, squares, blackout side by side.

    Args:
        case: the case.
        squares: those selected; none unless the verdict is `focus`.
        verdict: the reader's; None for a case that is unread.
        height: of each image, in pixels.
    Source: paper, figure 5.
    """
    image = fitted(case.image, height)
    focus = verdict == "focus"
    kept, note = (squares, "blackout") if focus else (case.earlier, "kept as before")
    done = blackout(image, case.grid.mask(kept, *image.shape[:2])) if kept else image
    chosen = grid_lines(image, case.grid, squares=squares if focus else None)
    return sheet(
        _title(case),
        [
            Panel(Pillow.fromarray(image), "image"),
            Panel(_heat(case, image), f"{NOT_TRUTH} ({case.predicted_name})"),
            Panel(chosen, f"squares {squares_as_text(squares)}" if focus else verdict or "unread"),
            Panel(Pillow.fromarray(done), note if kept else "unchanged"),
        ],
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
    # many lines would veil the film, so they are fainter
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


def _outlined(picture: Pillow.Image, grid: Grid, squares: Sequence[int]) -> Pillow.Image:
    """The picture with a border inside the squares; they are outlined together, as one shape."""
    pixels = np.array(picture)
    height, width = pixels.shape[:2]
    side = min(width // grid.cols, height // grid.rows)
    thick = min(max(side // 40, 2), 6) if side >= 12 else 1
    chosen = grid.mask(squares, height, width)
    pixels[chosen & ~_shrunk(chosen, thick + 1)] = DARK
    pixels[chosen & ~_shrunk(chosen, thick)] = CHOSEN
    return Pillow.fromarray(pixels)


def _shrunk(mask: NDArray[np.bool_], by: int) -> NDArray[np.bool_]:
    """The mask without the pixels that lie within `by` of its border or the picture's."""
    inner: NDArray[np.bool_] = np.pad(mask, by)
    for axis in (0, 1):
        inner = np.all(sliding_window_view(inner, 2 * by + 1, axis=axis), axis=-1)
    return inner


def _numbers(draw: ImageDraw.ImageDraw, grid: Grid, size: tuple[int, int]) -> None:
    """Each number in its square's upper left corner, where it hides the least."""
    width, height = size
    side = min(width / grid.cols, height / grid.rows)
    face = font(round(min(max(side * 0.2, 10), 22)))
    pad = 2 + round(side * 0.03)
    rows = _step(ROOM * (face.size + pad), height / grid.rows)
    cols = _step(ROOM * (face.getlength(str(grid.squares)) + pad), width / grid.cols)
    if rows > grid.rows or cols > grid.cols:
        return  # a picture of a few pixels: no number would be readable
    for row in range(0, grid.rows, rows):
        for col in range(0, grid.cols, cols):
            square = row * grid.cols + col + 1
            top, left, _, _ = grid.box(square, height, width)
            _number(draw, (left + pad, top + pad), str(square), face)


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
