"""Time as the store writes it: UTC, ISO 8601, milliseconds; such texts sort as the times do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from imil.durations import duration_seconds


def now(*, seconds: float = 0, days: float = 0) -> str:
    """The time now, or so much later (earlier, if negative)."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds, days=days)
    return moment.isoformat(timespec="milliseconds")


def closing_time(opened: str, deadline: str | None) -> str | None:
    """When a round that was opened then is past its deadline; None where it has none.

    >>> closing_time("2026-01-01T12:00:00.000+00:00", "48h")
    '2026-01-03T12:00:00.000+00:00'
    """
    if deadline is None:
        return None
    end = datetime.fromisoformat(opened) + timedelta(seconds=duration_seconds(deadline))
    return end.isoformat(timespec="milliseconds")


def is_past(moment: str | None) -> bool:
    """Whether that time has come; never where there is none."""
    return moment is not None and moment <= now()
