"""Figures as part of the page, so that nothing has to be fetched."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from imil.study.figures import Drawn, LeftOut
from imil.study.report.html import Piece, el, items, join, scrolling, section

HEAVY = 400_000  # bytes; a drawing larger than this comes as pixels, if these are fewer
SCALE = 0.67  # of the pixels of a PNG, so that the smallest text is as tall as a footnote's
KINDS = {".svg": "image/svg+xml", ".png": "image/png"}


def figures_section(folder: Path, drawn: Sequence[Drawn], left: Sequence[LeftOut]) -> Piece:
    """Every figure with its caption, and those that could not be drawn with the reason."""
    made = [_figure(folder, number, one) for number, one in enumerate(drawn, 1)]
    said = [join(el("b", one.name), f": {one.reason}") for one in left]
    rest = [el("p", "Not drawn:"), items(said)] if said else []
    return section("Figures", *made, *rest)


def source(path: Path) -> str:
    """The file as an address that holds the file itself."""
    held = base64.b64encode(path.read_bytes()).decode()
    return f"data:{KINDS[path.suffix]};base64,{held}"


def _figure(folder: Path, number: int, one: Drawn) -> Piece:
    at = {
        "src": source(_lighter(folder, one.name)),
        "alt": f"{one.title}: described below.",  # the caption says what is to be seen
        "width": str(_width(folder / f"{one.name}.png")),
    }
    picture = scrolling(f"Figure {number}", el("img", at=at))
    said = join(el("b", f"Figure {number}. {one.title}."), f" {one.caption}")
    return el("figure", picture, el("figcaption", said), at={"id": f"figure-{number}"})


def _width(pixels: Path) -> int:
    """How wide the figure is shown, in CSS pixels: all figures at the same scale."""
    with Image.open(pixels) as picture:
        return round(picture.width * SCALE)


def _lighter(folder: Path, name: str) -> Path:
    """The drawing, which stays sharp at any size, unless it is heavy and pixels are lighter."""
    drawing, pixels = folder / f"{name}.svg", folder / f"{name}.png"
    if drawing.exists() and pixels.exists():
        heavy = drawing.stat().st_size > max(HEAVY, pixels.stat().st_size)
        return pixels if heavy else drawing
    return drawing if drawing.exists() else pixels
