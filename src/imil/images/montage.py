"""A dark sheet with pictures side by side, a title above and a note under each."""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

BACKGROUND = (18, 18, 20)  # near black: a bright page would blind the eye to a dark film
FRAME = (62, 62, 68)  # tells a black picture from the sheet
TITLE, NOTE = (228, 228, 230), (160, 162, 168)
NARROWEST = 240  # pixels; a narrower picture still gets a note that can be read


@dataclass(frozen=True)
class Panel:
    """A picture with a note under it."""

    picture: Pillow.Image
    note: str


def sheet(title: str, panels: Sequence[Panel]) -> Pillow.Image:
    """The panels side by side, as large as they are, in colour.

    Args:
        title: above all of them; broken into lines where it is too long.
        panels: at least one.
    """
    tallest = max(panel.picture.height for panel in panels)
    large, small = _clamp(tallest // 26, 14, 26), _clamp(tallest // 32, 12, 20)
    gap = large * 2 // 3
    widths = [max(panel.picture.width, NARROWEST) for panel in panels]
    width = sum(widths) + gap * (len(panels) + 1)
    head = wrapped(title, font(large), width - 2 * gap)
    notes = [wrapped(p.note, font(small), w) for p, w in zip(panels, widths, strict=True)]
    top = 3 * gap // 2 + _line(large) * len(head)
    height = top + tallest + gap + _line(small) * max(map(len, notes))
    page = Pillow.new("RGB", (width, height), BACKGROUND)
    _write(page, (gap, gap), head, large, TITLE)
    left = gap
    for panel, wide, note in zip(panels, widths, notes, strict=True):
        _place(page, panel.picture, left + (wide - panel.picture.width) // 2, top)
        _write(page, (left, top + panel.picture.height + gap // 2), note, small, NOTE)
        left += wide + gap
    return page


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's built-in font, in pixels: the same picture on every machine."""
    found = ImageFont.load_default(size=size)
    assert isinstance(found, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return found


def wrapped(text: str, face: ImageFont.FreeTypeFont, width: int, most: int = 3) -> list[str]:
    """The text in lines that fit the width; what is left after `most` lines is cut off."""
    lines = [""]
    for word in _legible(text).split(" "):
        longer = f"{lines[-1]} {word}" if lines[-1] else word
        if face.getlength(longer) <= width or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    if len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [_cut(line, face, width) for line in lines]


def percent(share: float) -> str:
    """The share as a person reads it; certain is only what is certain.

    >>> percent(0.98765), percent(0.99996), percent(1.0)
    ('98.8 %', '>99.9 %', '100.0 %')
    """
    return ">99.9 %" if 0.9995 <= share < 1 else f"{100 * share:.1f} %"


def squares_as_text(squares: Sequence[int]) -> str:
    """The squares as a reader would type them; three or more in a row become a range.

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


def _legible(text: str) -> str:
    """The text in the letters that the built-in font has: accents go, the rest becomes `?`."""
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    bare = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return bare.encode("ascii", "replace").decode()


def _cut(line: str, face: ImageFont.FreeTypeFont, width: int) -> str:
    if face.getlength(line) <= width:
        return line
    lengths = range(len(line))
    fits = bisect_right(lengths, float(width), key=lambda n: face.getlength(f"{line[:n]}..."))
    return f"{line[: max(fits - 1, 0)]}..."


def _place(page: Pillow.Image, picture: Pillow.Image, left: int, top: int) -> None:
    frame = (left - 1, top - 1, left + picture.width, top + picture.height)
    ImageDraw.Draw(page).rectangle(frame, outline=FRAME)
    page.paste(picture, (left, top))


def _write(
    page: Pillow.Image,
    at: tuple[int, int],
    lines: Sequence[str],
    size: int,
    colour: tuple[int, int, int],
) -> None:
    draw = ImageDraw.Draw(page)
    for i, line in enumerate(lines):
        draw.text((at[0], at[1] + i * _line(size)), line, colour, font(size))


def _line(size: int) -> int:
    """From one line of text to the next, in pixels."""
    return size * 4 // 3


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))
