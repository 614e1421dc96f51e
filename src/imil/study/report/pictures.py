"""Figures as part of the page, so that nothing has to be fetched."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from imil.study.report.html import Piece, el, items, join, section

HEAVY = 400_000  # bytes; a drawing larger than this comes as pixels, if these are fewer
SCALE = 0.67  # of the pixels of a PNG, so that the smallest text is as tall as a footnote's
KINDS = {".svg": "image/svg+xml", ".png": "image/png"}

Drawn = tuple[str, str, str]  # name, title, caption
Left = tuple[str, str]  # name, reason


def figures_section(folder: Path, drawn: Sequence[Drawn], left: Sequence[Left]) -> Piece:
    """Every figure with its caption, and those that could not be drawn with the reason."""
    made = [_figure(folder, number, *one) for number, one in enumerate(drawn, 1)]
    said = [join(el("b", name), f": {reason}") for name, reason in left]
    rest = [el("p", "Not drawn:"), items(said)] if said else []
    return section("Figures", *made, *rest)


def source(path: Path) -> str:
    """The file as an address that holds the file itself."""
    held = base64.b64encode(path.read_bytes()).decode()
    return f"data:{KINDS[path.suffix]};base64,{held}"


def _figure(folder: Path, number: int, name: str, title: str, caption: str) -> Piece:
    at = {
        "src": source(_lighter(folder, name)),
        "alt": f"{title}: described below.",  # the caption says what is to be seen
        "width": str(_width(folder / f"{name}.png")),
    }
    said = join(el("b", f"Figure {number}. {title}."), f" {caption}")
    return el("figure", el("img", at=at), el("figcaption", said), at={"id": f"figure-{number}"})


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
