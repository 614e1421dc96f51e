"""The page of the report: its sections as data, put into the templates beside this file."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from imil.html_templates import html_templates
from imil.study.figures import Drawn, LeftOut
from imil.study.report.table_types import Table

TEMPLATES = Path(__file__).parent / "templates"
MAX_SVG = 400_000  # bytes; above this a figure is shown as PNG, if that is smaller
SCALE = 0.67  # CSS pixels per pixel of a PNG: the smallest text is as tall as a footnote's
MIME_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


class Term(NamedTuple):
    """A line of a list of facts: name, text, and whether the text is set as code."""

    name: str
    text: str
    code: bool = False


@dataclass(frozen=True)
class Block:
    """A part of a section; what is empty is left out.

    Args:
        items: a bulleted list.
        quote: paragraphs to be copied.
        folded: tables shown when `folded_title` is clicked.
    """

    heading: str = ""
    paragraphs: Sequence[str] = ()
    items: Sequence[str] = ()
    quote: Sequence[str] = ()
    terms: Sequence[Term] = ()
    tables: Sequence[Table] = ()
    folded_title: str = ""
    folded: Sequence[Table] = ()


@dataclass(frozen=True)
class Figure:
    """A figure of the page.

    Args:
        source: a data URI.
        width: in CSS pixels.
    """

    number: int
    title: str
    caption: str
    source: str
    width: int


@dataclass(frozen=True)
class Section:
    """A section under a heading: of blocks, or of figures."""

    title: str
    blocks: Sequence[Block] = ()
    figures: Sequence[Figure] = ()
    not_drawn: Sequence[LeftOut] = ()

    @property
    def anchor(self) -> str:
        """The heading's id in links.

        >>> Section("Software, seeds, data").anchor
        'software-seeds-data'
        """
        return "-".join(re.findall(r"[a-z0-9]+", self.title.lower()))

    @property
    def template(self) -> str:
        """The template that shows it."""
        return "figures.html" if self.figures or self.not_drawn else "blocks.html"

    def __bool__(self) -> bool:
        return bool(self.blocks or self.figures or self.not_drawn)


class Status(NamedTuple):
    """How far the study is: trainings done, planned, and what is missing, a line each."""

    finished: bool
    done: int
    total: int
    missing: Sequence[str]


def render_page(title: str, subtitle: str, status: Status, sections: Sequence[Section]) -> str:
    """The whole document; sections without content are left out."""
    return (
        html_templates(TEMPLATES)
        .get_template("report.html")
        .render(title=title, subtitle=subtitle, status=status, sections=[s for s in sections if s])
    )


def figures_section(folder: Path, drawn: Sequence[Drawn], left_out: Sequence[LeftOut]) -> Section:
    """Every figure with its caption, and those that could not be drawn with the reason."""
    figures = [
        Figure(
            number,
            figure.title,
            figure.caption,  # also says what can be seen, for those who cannot see it
            data_uri(_smaller_file(folder, figure.name)),
            _width(folder / f"{figure.name}.png"),
        )
        for number, figure in enumerate(drawn, 1)
    ]
    return Section("Figures", figures=figures, not_drawn=left_out)


def data_uri(path: Path) -> str:
    """The file as a URI that contains it."""
    content = base64.b64encode(path.read_bytes()).decode()
    return f"data:{MIME_TYPES[path.suffix]};base64,{content}"


def _width(png: Path) -> int:
    """The width in CSS pixels: all figures have the same scale."""
    with Image.open(png) as picture:
        return round(picture.width * SCALE)


def _smaller_file(folder: Path, name: str) -> Path:
    """The SVG, which is sharp at any size, unless it is large and the PNG is smaller."""
    svg, png = folder / f"{name}.svg", folder / f"{name}.png"
    if svg.exists() and png.exists():
        too_large = svg.stat().st_size > max(MAX_SVG, png.stat().st_size)
        return png if too_large else svg
    return svg if svg.exists() else png
