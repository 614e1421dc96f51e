"""Which reader answers a run's cases: `--reader` on the command line, `reader` in a file."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from imil.errors import SettingsError
from imil.readers.marks import SHARE

Kind = Literal[
    "console", "web", "notebook", "simulated", "random", "inverted", "none", "replay", "control"
]
KINDS: tuple[Kind, ...] = get_args(Kind)
SIMULATED: tuple[Kind, ...] = ("simulated", "random", "inverted")  # programs that read from masks
NUMBERS = (
    "miss",
    "false",
    "threshold",
    "misleading",
)  # options of a simulated reader that take a number
SHARE_OPTION = re.compile(r",share=([^,/]*)$")  # after the file of a replay


@dataclass(frozen=True)
class ReaderSpec:
    """A reader as a person names it: `web`, `replay:FILE`, `simulated:miss=0.2,one-region`.

    After the file of a replay, `,share=0.3` may follow.

    Args:
        kind: `console`, `web` or `notebook` for a person, a kind in `SIMULATED`, `replay`, `none`,
            or `control`, which only a study gives.
        detail: what follows the colon: the file of a replay, the options of a simulated reader,
            the arm of a control.
    """

    kind: Kind
    detail: str = ""

    @classmethod
    def parse(cls, text: object) -> ReaderSpec:
        """The reader that the text names.

        Raises: SettingsError: unknown kind, a replay without a file, or an invalid option.

        >>> ReaderSpec.parse("replay:lee.csv")
        ReaderSpec(kind='replay', detail='lee.csv')
        >>> str(ReaderSpec.parse("simulated:miss=0.2"))
        'simulated:miss=0.2'
        """
        if isinstance(text, ReaderSpec):
            return text
        name, _, detail = text.partition(":") if isinstance(text, str) else ("", "", "")
        kind = next((kind for kind in KINDS if kind == name), None)
        takes_detail = kind in (*SIMULATED, "replay", "control")
        needs_detail = kind in ("replay", "control")
        if kind is None or (detail and not takes_detail) or (needs_detail and not detail):
            raise SettingsError(
                f"--reader is {text!r}: give console, web, notebook, simulated, random, inverted, "
                "none or replay:FILE"
            )
        spec = cls(kind, detail)
        if kind == "replay" and not 0 < spec.share <= 1:
            raise SettingsError(
                f"--reader is {text!r}: share is the part of a square that marks must cover, give "
                "more than 0 and at most 1, such as share=0.5"
            )
        if "misleading" in spec.options and kind != "simulated":
            raise SettingsError(
                f"--reader is {text!r}: its control of selected squares marks none as misleading; "
                "leave misleading out"
            )
        return spec

    def __str__(self) -> str:
        return f"{self.kind}:{self.detail}" if self.detail else self.kind

    @property
    def is_simulated(self) -> bool:
        """Whether a program reads from masks."""
        return self.kind in SIMULATED

    @property
    def file(self) -> Path | None:
        """The file or folder of a replay; None for other kinds."""
        return Path(SHARE_OPTION.sub("", self.detail)) if self.kind == "replay" else None

    @property
    def share(self) -> float:
        """The share of a square that marks must cover in a replay's file; NaN: not a number."""
        found = SHARE_OPTION.search(self.detail)
        try:
            return SHARE if found is None else float(found[1])
        except ValueError:
            return math.nan

    @property
    def options(self) -> dict[str, Any]:
        """The options of a simulated reader, as keyword arguments of `Simulated`."""
        return simulated_options(self.detail) if self.is_simulated else {}

    def with_absolute_file(self, base: Path) -> ReaderSpec:
        """The same reader, a relative file taken from the folder `base`."""
        if self.file is None:
            return self
        option = SHARE_OPTION.search(self.detail)
        path = str((base / self.file).absolute())
        return replace(self, detail=path + (option[0] if option else ""))


def simulated_options(text: str) -> dict[str, Any]:
    """The options of a simulated reader, as keyword arguments of `Simulated`.

    Args:
        text: such as `miss=0.2,one-region`; empty: none.
    Raises: SettingsError: unknown option, or a value that is not a number.

    >>> simulated_options("miss=0.2,one-region")
    {'miss': 0.2, 'one_region': True}
    """
    options: dict[str, Any] = {}
    for word in filter(None, text.split(",")):
        name, _, value = word.strip().partition("=")
        if name == "one-region" and not value:
            options["one_region"] = True
            continue
        try:
            options[NUMBERS[NUMBERS.index(name)]] = float(value)
        except ValueError:
            raise SettingsError(
                f"invalid option '{word}' of a simulated reader: give miss=0.2, false=0.05, "
                "threshold=0.1, misleading=2 or one-region"
            ) from None
    return options
