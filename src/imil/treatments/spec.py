"""Which treatment a text names: `imil`, or `field-of-view:irrelevant=0.05,reliance=0`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

from imil.errors import SettingsError
from imil.treatments.treatment import Treatment


def parse_treatment(text: str, known: Mapping[str, Callable[..., Treatment]]) -> Treatment:
    """The treatment that the text names, with its options.

    Args:
        text: `NAME` or `NAME:option=value,option=value`.
        known: name -> dataclass whose fields are the options.
    Raises: SettingsError: the name or an option is unknown, or a value is out of range.
    """
    name, _, rest = text.partition(":")
    if name not in known:
        raise SettingsError(f"unknown treatment '{name}': expected one of {', '.join(known)}")
    types = option_types(known[name])
    values = {}
    for word in filter(None, rest.split(",")):
        option, _, value = word.strip().partition("=")
        if option not in types:
            expected = f"expected one of {', '.join(types)}" if types else "it has none"
            raise SettingsError(f"unknown option '{option}' of the treatment '{name}': {expected}")
        values[option] = _converted(name, option, value, types[option])
    return known[name](**values)


def option_types(treatment: Callable[..., Treatment]) -> dict[str, Any]:
    """The options of a treatment with their types, in order.

    >>> from imil.treatments.square_mixes import SquareCutMix
    >>> option_types(SquareCutMix)
    {'share': <class 'float'>, 'weight': <class 'int'>}
    """
    if not is_dataclass(treatment):
        return {}
    hints = get_type_hints(treatment)
    return {field.name: hints[field.name] for field in fields(treatment)}


def _converted(name: str, option: str, value: str, kind: Any) -> Any:
    """Raises: SettingsError: the value is not of the option's kind."""
    try:
        if kind is bool:
            return {"true": True, "false": False}[value.lower()]
        return kind(value) if kind in (int, float) else value
    except (KeyError, ValueError):
        what = {bool: "true or false", int: "a whole number"}.get(kind, "a number")
        raise SettingsError(
            f"invalid {option} '{value}' of the treatment '{name}': expected {what}"
        ) from None
