"""Templates of plans, which `imil study init` writes."""

from __future__ import annotations

from importlib.resources import files

import tomli_w

from imil.errors import SettingsError

NAMES = ("paper", "quick", "small", "shortcut", "method", "sweeps")
DATA = 'data = "films.csv"\n'  # the line of a template that names the data


def init(name: str, data: str) -> str:
    """The text of a plan, TOML with comments.

    Args:
        name: one of `NAMES`.
        data: the table or folder of images; taken from the plan's folder if it is relative.
    Raises: SettingsError: unknown name.
    """
    if name not in NAMES:
        raise SettingsError(f"unknown plan '{name}': expected one of {', '.join(NAMES)}")
    text = (files("imil.study") / "plans" / f"{name}.toml").read_text(encoding="utf-8")
    return text.replace(DATA, tomli_w.dumps({"data": data}), 1)
