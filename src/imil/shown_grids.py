"""Which grids have pictures of a whole round: those of images."""

from __future__ import annotations

from imil.errors import SettingsError
from imil.grid import Grid


def check_is_shown(grid: Grid) -> None:
    """Raises: SettingsError: the grid lies over volumes."""
    if grid.slabs is not None:
        raise SettingsError(
            f"the grid {grid} lies over volumes, of which there is no picture for a whole round: "
            "open the cases, or write the readings with imil export --as csv or masks-nifti"
        )
