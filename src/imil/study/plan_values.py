"""The values of a plan's file before they are a plan, and what is wrong with them in a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from imil.errors import SettingsError
from imil.settings import shown

HOW_TO_WRITE = {  # lists, a table, or several tables
    "arms": 'give a list, such as ["baseline", "mixup"]',
    "seeds": "give a list, such as [0, 1, 2]",
    "subgroups": 'give a list, such as ["sex"]',
    "training": "write [training] above its lines",
    "splits": "write [splits] above its lines",
    "readers": "write [[readers]] above the lines of each",
    "external": "write [external.NAME] above the line that names its data",
    "shortcut": "write [shortcut] above its lines",
    "treatments": "write [[treatments]] above the lines of each",
    "screening": "write [screening] above its lines",
}


def tables(values: Iterable[Any]) -> list[dict[str, Any]]:
    """The values that are tables; the plan's validation refuses the others."""
    return [one for one in values if isinstance(one, dict)]


def with_underscores(table: str, values: dict[str, Any]) -> dict[str, Any]:
    """The values by Python name; the file may write names with - as on the command line.

    Raises: SettingsError: a name is given in both ways.
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name in result:
            raise SettingsError(
                f"[{table}] contains '{name}' twice, once with - and once with _: give it once"
            )
        result[name] = value
    return result


def sentence(error: ValidationError) -> str:
    """The first error of a plan's validation, in one sentence."""
    first = error.errors()[0]
    where = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        return f"unknown setting '{where}' in the plan: see `imil study init paper`"
    if first["type"] == "missing":
        return f"the plan lacks '{where}': add it"
    remedy = f"{first['msg'][0].lower()}{first['msg'][1:]}"
    if first["type"] in ("tuple_type", "too_short", "dict_type", "model_type"):
        remedy = HOW_TO_WRITE[str(first["loc"][0])]
    return f"{where} is {shown(first['input'])}: {remedy}"
