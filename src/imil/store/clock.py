"""Time as the store writes it: UTC, ISO 8601, milliseconds; such texts sort as the times do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


def now(*, seconds: float = 0, days: float = 0) -> str:
    """The time now, or so much later (earlier, if negative)."""
    moment = datetime.now(UTC) + timedelta(seconds=seconds, days=days)
    return moment.isoformat(timespec="milliseconds")
