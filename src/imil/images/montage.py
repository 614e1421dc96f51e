"""A dark montage of pictures side by side, a title above and a caption below each."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

BACKGROUND = (18, 18, 20)  # near black: a bright page would impair the view of a dark film
FRAME = (62, 62, 68)  # separates a black picture from the background
TITLE_COLOUR, CAPTION_COLOUR = (228, 228, 230), (160, 162, 168)
MIN_WIDTH = 240  # pixels; a narrower picture still gets a readable caption


@dataclass(frozen=True)
class Panel:
    """A picture with a caption below it."""

    picture: Pillow.Image
    caption: str


def montage(title: str, panels: Sequence[Panel]) -> Pillow.Image:
    """The panels side by side at their own size, RGB.

    Args:
        title: above all of them; wrapped where it is too long.
        panels: at least one.
    """
    tallest = max(panel.picture.height for panel in panels)
    large, small = _clamp(tallest // 26, 14, 26), _clamp(tallest // 32, 12, 20)
    gap = large * 2 // 3
    widths = [max(panel.picture.width, MIN_WIDTH) for panel in panels]
    width = sum(widths) + gap * (len(panels) + 1)
    head = wrap_text(title, font(large), width - 2 * gap)
    captions = [wrap_text(p.caption, font(small), w) for p, w in zip(panels, widths, strict=True)]
    top = 3 * gap // 2 + _line_height(large) * len(head)
    height = top + tallest + gap + _line_height(small) * max(map(len, captions))
    canvas = Pillow.new("RGB", (width, height), BACKGROUND)
    _draw_text(canvas, (gap, gap), head, large, TITLE_COLOUR)
    left = gap
    for panel, wide, caption in zip(panels, widths, captions, strict=True):
        _paste(canvas, panel.picture, left + (wide - panel.picture.width) // 2, top)
        _draw_text(
            canvas, (left, top + panel.picture.height + gap // 2), caption, small, CAPTION_COLOUR
        )
        left += wide + gap
    return canvas


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's built-in font, in pixels: the same picture on every machine."""
    face = ImageFont.load_default(size=size)
    assert isinstance(face, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return face


def wrap_text(text: str, face: ImageFont.FreeTypeFont, width: int, max_lines: int = 3) -> list[str]:
    """The text in lines that fit the width; what is left after `max_lines` lines is truncated."""
    lines = [""]
    for word in _to_ascii(text).split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if face.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > max_lines:
        lines = [*lines[: max_lines - 1], " ".join(lines[max_lines - 1 :])]
    return [_truncate(line, face, width) for line in lines]


def percent(share: float) -> str:
    """The share in percent; only 1 itself is printed as 100 %.

    >>> percent(0.98765), percent(0.99996), percent(1.0)
    ('98.8 %', '>99.9 %', '100.0 %')
    """
    return ">99.9 %" if 0.9995 <= share < 1 else f"{100 * share:.1f} %"


def squares_as_text(squares: Sequence[int]) -> str:
    """The squares as a reader types them; three or more in a row become a range.

    >>> squares_as_text([2, 3, 6, 7, 8])
    '2 3 6-8'
    """
    runs: list[list[int]] = []
    for square in sorted(set(squares)):
        if runs and square == runs[-1][-1] + 1:
            runs[-1].append(square)
        else:
            runs.append([square])
    return " ".join(
        f"{run[0]}-{run[-1]}" if len(run) > 2 else " ".join(map(str, run)) for run in runs
    )


def marks_as_text(squares: Sequence[int], misleading: Sequence[int]) -> str:
    """Selected and misleading squares in words.

    >>> marks_as_text([2, 3], []), marks_as_text([2], [4]), marks_as_text([], [4])
    ('squares 2 3', 'squares 2; misleading 4', 'misleading 4')
    """
    parts = [("squares", squares), ("misleading", misleading)]
    return "; ".join(f"{name} {squares_as_text(some)}" for name, some in parts if some)


def _to_ascii(text: str) -> str:
    """The text in letters of the built-in font: accents are removed, the rest becomes `?`."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    bare = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return bare.encode("ascii", "replace").decode()


def _truncate(line: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    if face.getlength(line) <= width:
        return line
    lengths = range(len(line))
    fits = bisect_right(lengths, float(width), key=lambda n: face.getlength(f"{line[:n]}..."))
    return f"{line[: max(fits - 1, 0)]}..."


def _paste(canvas: Pillow.Image, picture: Pillow.Image, left: int, top: int) -> None:
    frame = (left - 1, top - 1, left + picture.width, top + picture.height)
    ImageDraw.Draw(canvas).rectangle(frame, outline=FRAME)
    canvas.paste(picture, (left, top))


def _draw_text(
    canvas: Pillow.Image,
    at: tuple[int, int],
    lines: Sequence[str],
    size: int,
    colour: tuple[int, int, int],
) -> None:
    draw = ImageDraw.Draw(canvas)
    for i, line in enumerate(lines):
        draw.text((at[0], at[1] + i * _line_height(size)), line, colour, font(size))


def _line_height(size: int) -> int:
    """Distance between lines of text, in pixels."""
    return size * 4 // 3


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))
