"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from imil.permissions import share_with_group


def cache_option(panel: str | None = None) -> Any:
    """The option `--cache`, in that panel of the help."""
    return typer.Option(
        help="Folder of decoded images.",
        show_default="the user's cache folder",
        rich_help_panel=panel,
    )


def group_option(panel: str | None = None) -> Any:
    """The option `--group`, in that panel of the help."""
    return typer.Option(
        "--group",
        help="Let the user's group read and write what is made; else only the user may.",
        rich_help_panel=panel,
        callback=_share,
    )


def _share(given: bool) -> bool:
    if given:
        share_with_group()
    return given


Cache = Annotated[Path | None, cache_option()]
Group = Annotated[bool, group_option()]
