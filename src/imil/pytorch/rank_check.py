"""Whether grid, images and treatment belong together: all of images, or all of volumes."""

from __future__ import annotations

from imil.errors import SettingsError
from imil.grid import Grid
from imil.treatments import Treatment


def check_rank(treatment: Treatment, grid: Grid, dimensions: int) -> None:
    """Check before training that the grid lies over such images, and that the treatment takes them.

    Args:
        dimensions: of an image without its channels: 2, or 3 of a volume.
    Raises: SettingsError: the grid has slabs and the images have no slices, or the other way round;
        or the treatment is for images alone.
    """
    if grid.rank == 2 and dimensions == 3:
        raise SettingsError(
            f"the training images are volumes and the grid {grid} has no slabs: give --grid-size "
            f"with rows, columns and slabs, such as {grid.rows}x{grid.cols}x4"
        )
    if grid.rank == 3 and dimensions == 2:
        raise SettingsError(
            f"the grid {grid} has slabs and the training images have no slices: give --grid-size "
            f"{grid.rows}x{grid.cols}, or volumes"
        )
    if dimensions == 3 and not treatment.takes_volumes:
        raise SettingsError(
            f"the treatment {treatment} is for images of two dimensions and the training images "
            "are volumes: give the treatment imil, cover or up-weight"
        )
