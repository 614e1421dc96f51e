"""Options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder of decoded images.",
        show_default="the user's cache folder",
        rich_help_panel="Output",
    ),
]
