"""Checks of a treatment's options."""

from __future__ import annotations

from collections.abc import Sequence

from imil.errors import SettingsError


def check_choice(name: str, value: str, known: Sequence[str]) -> None:
    """Raises: SettingsError: the value is not one of the known ones."""
    if value not in known:
        raise SettingsError(f"invalid {name} '{value}': expected one of {', '.join(known)}")


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raises: SettingsError: the value lies outside [low, high], or is not a number."""
    if not low <= value <= high:
        raise SettingsError(f"invalid {name} {value}: expected a number from {low:g} to {high:g}")


def check_whole(name: str, value: int, low: int, high: int) -> None:
    """Raises: SettingsError: the value is not a whole number in [low, high]."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise SettingsError(f"invalid {name} {value}: expected a whole number from {low} to {high}")


def check_below_one(name: str, value: float) -> None:
    """Raises: SettingsError: the value lies outside [0, 1), or is not a number."""
    if not 0 <= value < 1:
        raise SettingsError(f"invalid {name} {value}: expected a share from 0 to below 1")
