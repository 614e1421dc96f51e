"""Numbers, lists and durations as text."""

from __future__ import annotations

from collections.abc import Sequence


def count(n: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> count(1, "seed"), count(3, "seed"), count(2, "class", "classes"), count(1200, "image")
    ('1 seed', '3 seeds', '2 classes', '1,200 images')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def listed(words: Sequence[str], last: str = "and") -> str:
    """The words as a list in a sentence.

    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"], "or"), listed([])
    ('a', 'a and b', 'a, b or c', '')
    """
    *first, end = words or [""]
    return f"{', '.join(first)} {last} {end}" if first else end


def duration(seconds: float) -> str:
    """A time in one or two units.

    >>> duration(8.4), duration(100), duration(4000), duration(90000)
    ('8 s', '1 min 40 s', '1 h 7 min', '25 h')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        minutes, rest = divmod(whole, 60)
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if minutes and hours < 24 else f"{hours} h"
