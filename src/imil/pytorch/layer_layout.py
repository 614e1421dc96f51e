"""How a layer's output lies over the image: channels first, channels last, or as tokens.

Grad-CAM needs a map (batch, channels, rows, columns). Convolutional networks give one; Swin
gives the channels last; vision transformers give a row of tokens, of which the first few
(class, distillation, registers) belong to no place in the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

MOST_PREFIX = 17  # a class token and 16 registers; with more left over, a grid is a guess


@dataclass(frozen=True)
class Layout:
    """What is known of a model's maps.

    Args:
        height, width: of the image that the model was given, in pixels.
        depth: slices of the volume that it was given; None: it was an image.
        prefix: number of tokens before the patches, where the model says so.
        grid: rows and columns of patches, where the model says so.
        channels_last: whether the model says that its maps are (batch, rows, columns, channels).
    """

    height: int
    width: int
    prefix: int | None = None
    grid: tuple[int, int] | None = None
    channels_last: bool = False
    depth: int | None = None

    def puts_channels_last(self, shape: Sequence[int]) -> bool:
        """Whether the image's proportion is found in (B, rows, cols, D), not (B, D, rows, cols)."""
        first, last = self._stretch(*shape[2:]), self._stretch(*shape[1:3])
        return last < first or (last == first and self.channels_last)

    def resembles(self, shape: Sequence[int]) -> bool:
        """Whether a 4-D output has about the image's proportion, within a factor of two."""
        return min(self._stretch(*shape[2:]), self._stretch(*shape[1:3])) <= math.log(2)

    def _stretch(self, rows: int, cols: int) -> float:
        """How far a map's proportion is from the image's, 0 if they are equal."""
        if not rows or not cols:
            return math.inf
        return abs(math.log(rows * self.width / (cols * self.height)))


def layout_of(module: nn.Module, layer: str, *size: int) -> Layout:
    """What the layer's nearest enclosing modules say of their maps, in timm's attributes.

    Args:
        size: height and width of the image, or slices, height and width.
    """
    *slices, height, width = size
    if slices:
        return Layout(height, width, depth=slices[0])
    parts = layer.split(".")
    paths = [".".join(parts[:n]) for n in range(len(parts), -1, -1)]
    owners = [module.get_submodule(path) for path in paths]
    prefix = _first_attribute(owners, "num_prefix_tokens")
    grid = getattr(_first_attribute(owners, "patch_embed"), "grid_size", None)
    form = _first_attribute(owners, "output_fmt")
    return Layout(
        height,
        width,
        prefix if isinstance(prefix, int) else None,
        (int(grid[0]), int(grid[1])) if isinstance(grid, tuple) and len(grid) == 2 else None,
        getattr(form, "value", form) == "NHWC",
    )


def _first_attribute(owners: Sequence[nn.Module], name: str) -> object:
    values = (getattr(owner, name, None) for owner in owners)
    return next((value for value in values if value is not None), None)


def as_map(tensor: torch.Tensor, layout: Layout) -> torch.Tensor | None:
    """The output of a layer as a map (B, D, rows, cols); None if it is not a map of the image.

    Of volumes, (B, D, slabs, rows, cols), and only an output of this form is one.

    Args:
        tensor: (B, D, rows, cols), (B, rows, cols, D) or tokens (B, N, D).
        layout: what is known of the model's maps.
    """
    if layout.depth is not None:
        return tensor if tensor.ndim == 5 and max(tensor.shape[2:]) > 1 else None
    if tensor.ndim == 4:
        result = tensor.movedim(3, 1) if layout.puts_channels_last(tensor.shape) else tensor
    elif tensor.ndim == 3 and (grid := token_grid(tensor.shape[1], layout)):
        patches = tensor[:, tensor.shape[1] - math.prod(grid) :]
        result = patches.transpose(1, 2).unflatten(2, grid)
    else:
        return None
    return result if min(result.shape[2:]) > 1 else None


def token_grid(tokens: int, layout: Layout) -> tuple[int, int] | None:
    """Rows and columns of the patches among so many tokens; None if they make no grid.

    >>> token_grid(197, Layout(224, 224))
    (14, 14)
    >>> token_grid(4 * 6 + 1, Layout(64, 96))
    (4, 6)
    """
    if layout.grid and tokens - math.prod(layout.grid) == (layout.prefix or 0):
        return layout.grid
    # what the model says, or none: a layer before the class token is added has none
    prefixes = range(MOST_PREFIX + 1) if layout.prefix is None else (layout.prefix, 0)
    for prefix in prefixes:
        patches = tokens - prefix
        for rows in range(2, patches // 2 + 1):
            if patches % rows == 0 and _is_tiling(rows, patches // rows, layout):
                return rows, patches // rows
    return None


def _is_tiling(rows: int, cols: int, layout: Layout) -> bool:
    """Whether squares of one size, cut off or padded at the border, tile the image so."""
    height, width = layout.height, layout.width
    cut = max(height / (rows + 1), width / (cols + 1)) < min(height / rows, width / cols)
    padded = max(height / rows, width / cols) < min(height / (rows - 1), width / (cols - 1))
    return cut or padded
