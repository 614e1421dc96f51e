"""Pieces of a page. Whatever is no piece is text, and cannot become one: names may be hostile."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal


class Piece(str):
    """Markup that was put together here."""

    __slots__ = ()


NO_ATTRIBUTES: Mapping[str, str] = {}
EMPTY = ("img", "br")


def el(name: str, *inside: str, at: Mapping[str, str] = NO_ATTRIBUTES) -> Piece:
    """An element; strings inside are text unless they are pieces.

    >>> el("p", "a < b ", el("b", "c"), at={"class": "x"})
    '<p class="x">a &lt; b <b>c</b></p>'
    """
    attributes = "".join(f' {key}="{html.escape(value)}"' for key, value in at.items())
    if name in EMPTY:
        return Piece(f"<{name}{attributes}>")
    return Piece(f"<{name}{attributes}>{join(*inside)}</{name}>")


def join(*inside: str) -> Piece:
    """The pieces one after the other."""
    return Piece("".join(map(text, inside)))


def text(said: str) -> Piece:
    """A piece as it is; anything else as text."""
    return said if isinstance(said, Piece) else Piece(html.escape(said))


def items(said: Iterable[str], kind: Literal["ul", "ol"] = "ul") -> Piece:
    """A list, or nothing."""
    lines = [el("li", one) for one in said]
    return el(kind, *lines) if lines else Piece()


def paragraphs(said: Iterable[str]) -> Piece:
    """A paragraph each."""
    return join(*(el("p", one) for one in said))


def section(title: str, *inside: str) -> Piece:
    """A section under a heading that can be linked to; nothing, if there is nothing in it."""
    if not any(inside):
        return Piece()
    name = anchor(title)
    heading = el("h2", title, at={"id": name})
    return el("section", heading, *inside, at={"aria-labelledby": name})


def anchor(title: str) -> str:
    """The heading's name in links.

    >>> anchor("Methods, to paste")
    'methods-to-paste'
    """
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))


@dataclass(frozen=True)
class Cell:
    """A cell with a kind: `n` for numbers, `faint` for what shows nothing."""

    inside: str
    kind: str = ""


@dataclass(frozen=True)
class Line:
    """A row of a table: its heading, cells, and whether a new group begins."""

    head: str
    cells: Sequence[str | Cell]
    begins: bool = False


def table(
    caption: str, heads: Sequence[str], lines: Iterable[Line], *, note: str = "", kind: str = ""
) -> Piece:
    """A table with a caption and scoped headings, in a frame that scrolls where it is too wide.

    Args:
        caption: a few words.
        note: how it is to be read; below the table, where it is never scrolled away.
        kind: its class in the style.
    """
    head = el("tr", *(el("th", one, at={"scope": "col"}) for one in heads))
    body = [
        el(
            "tr",
            el("th", line.head, at={"scope": "row"}),
            *map(_cell, line.cells),
            at={"class": "begins"} if line.begins else NO_ATTRIBUTES,
        )
        for line in lines
    ]
    inside = el(
        "table",
        el("caption", el("span", caption)),
        el("thead", head),
        el("tbody", *body),
        at={"class": kind} if kind else NO_ATTRIBUTES,
    )
    below = el("p", note, at={"class": "note"}) if note else ""
    return join(scrolling(caption, inside), below)


def scrolling(name: str, *inside: str) -> Piece:
    """A frame that scrolls where what it holds is too wide."""
    # a region that scrolls is reached by the keyboard too, and says what it is
    frame = {"class": "wide", "tabindex": "0", "role": "region", "aria-label": name}
    return el("div", *inside, at=frame)


def folded(title: str, *inside: str) -> Piece:
    """What is shown when its title is clicked; no script is needed."""
    return el("details", el("summary", title), *inside)


def _cell(cell: str | Cell) -> Piece:
    if isinstance(cell, Cell):
        return el("td", cell.inside, at={"class": cell.kind} if cell.kind else NO_ATTRIBUTES)
    return el("td", cell)


def lines(*inside: str) -> Piece:
    """What stands below each other in a cell."""
    return join(*(el("div", one) for one in inside if one))


def small(said: str) -> Piece:
    """Smaller text."""
    return el("small", said)
