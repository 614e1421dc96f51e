"""Lengths of time as people write them: 30m, 48h, 7d."""

from __future__ import annotations

import re

from imil.errors import SettingsError

SECONDS = {"m": 60, "h": 3600, "d": 86_400}
LONGEST = 365 * SECONDS["d"]


def duration_seconds(text: object) -> int:
    """The number of seconds, at least 60 and at most those of 365 days.

    Raises: SettingsError: not a whole number of minutes, hours or days, zero, or too long.

    >>> duration_seconds("30m"), duration_seconds("48h"), duration_seconds("7d")
    (1800, 172800, 604800)
    """
    match = re.fullmatch(r"([0-9]{1,9})([mhd])", text) if isinstance(text, str) else None
    seconds = int(match[1]) * SECONDS[match[2]] if match else 0
    if not 0 < seconds <= LONGEST:
        shown = repr(text)[:40]
        raise SettingsError(
            f"invalid deadline {shown}: expected minutes, hours or days such as 30m, 48h or 7d, up "
            "to 365d"
        )
    return seconds
