"""Numbers as people say them."""

from __future__ import annotations


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
