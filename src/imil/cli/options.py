"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def cache_option(panel: str | None = None) -> Any:
    """The option `--cache`, in that panel of the help."""
    return typer.Option(
        help="Folder of decoded images.",
        show_default="the user's cache folder",
        rich_help_panel=panel,
    )


Cache = Annotated[Path | None, cache_option()]
