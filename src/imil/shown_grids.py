"""Which grids the reading room shows: those of images."""

from __future__ import annotations

from imil.errors import SettingsError
from imil.grid import Grid


def check_is_shown(grid: Grid) -> None:
    """Raises: SettingsError: the grid lies over volumes."""
    if grid.slabs is not None:
        raise SettingsError(
            f"the reading room shows images and the grid {grid} lies over volumes: read them with "
            "--reader console or a simulated reader, or train on slices, such as "
            "'ct.nii.gz#slice=40'"
        )
