"""Text that fits a width in inches: wrapped, hyphenless, truncated in the middle."""

from __future__ import annotations

from functools import lru_cache

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

POINTS = 72  # in an inch
TITLE = 7.0  # points


def fit_text(
    text: str, inches: float, *, size: float = TITLE, max_lines: int = 2, bold: bool = False
) -> str:
    """The text in lines that fit; a word that is too long is broken, too many lines are cut.

    Args:
        inches: the width of a line.
        size: of the font, in points.
    """
    lines: list[str] = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if text_width(longer, size, bold) <= inches:
            lines[-1] = longer
            continue
        pieces = _break_word(word, inches, size, bold)
        lines = [*lines, *pieces] if lines[-1] else pieces
    if len(lines) > max_lines:
        rest = text
        for line in lines[: max_lines - 1]:
            rest = rest.removeprefix(line).lstrip()
        lines = [*lines[: max_lines - 1], _truncate(rest, inches, size, bold)]
    return "\n".join(lines)


@lru_cache(maxsize=10_000)
def text_width(text: str, size: float, bold: bool = False) -> float:
    """The width of a line of text, in inches."""
    font = FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    path = TextPath((0, 0), text, size=size, prop=font)
    # control points of the curves lie on the letters or slightly beyond
    return float(path.vertices[:, 0].max()) / POINTS + 0.01 if len(path.vertices) else 0.0


def _break_word(word: str, inches: float, size: float, bold: bool) -> list[str]:
    pieces = [""]
    for letter in word:
        if pieces[-1] and text_width(pieces[-1] + letter, size, bold) > inches:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _truncate(text: str, inches: float, size: float, bold: bool) -> str:
    """The text without its middle: names often differ at their ends."""
    head, tail = (len(text) + 1) // 2, len(text) // 2
    while head > 1 and text_width(f"{text[:head]}…{text[len(text) - tail :]}", size, bold) > inches:
        head, tail = (head - 1, tail) if head > tail else (head, tail - 1)
    return f"{text[:head]}…{text[len(text) - tail :]}"
