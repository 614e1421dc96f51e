"""Leaving patches of the image out of a vision transformer's attention.

What no token attends to cannot reach the class token: the result is that of a model which was never
given the patches, and unlike paint, their absence has no colour that a model could learn.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imil.errors import SettingsError
from imil.grid import Grid
from imil.pytorch.layers import unwrapped


def patch_mask(
    module: nn.Module, grid: Grid, squares: Sequence[int], size: int
) -> NDArray[np.bool_]:
    """Which patches of the image lie in the squares, bool (rows, cols).

    Args:
        module: a vision transformer of timm, or a module around one.
        grid: of the squares.
        squares: numbers, from 1.
        size: height and width of the image, in pixels.
    Raises: SettingsError: the module is no vision transformer that reads a class token, or a square
        is no whole number of patches.
    """
    transformer = _transformer(module)
    rows, cols = _patches(transformer)
    inside = grid.mask(squares, size, size)
    if rows % grid.rows or cols % grid.cols or size % rows or size % cols:
        raise SettingsError(
            f"tokens=true leaves whole patches out, and {rows}×{cols} patches do not lie evenly in "
            f"a {grid} grid: give a --grid-size whose rows and columns divide theirs, or "
            "tokens=false"
        )
    tiles = inside.reshape(rows, size // rows, cols, size // cols)
    result: NDArray[np.bool_] = np.asarray(tiles.all(axis=(1, 3)))
    return result


def leave_out(module: nn.Module, keep: NDArray[np.bool_]) -> Callable[[], None]:
    """From now on, no token attends to patches outside `keep` (rows, cols); returns what undoes it.

    Args:
        module: as for `patch_mask`.
    """
    transformer = _transformer(module)
    patches = torch.from_numpy(keep.ravel().copy())
    # the class token, and others that belong to no place, stay
    prefix = torch.ones(int(transformer.num_prefix_tokens), dtype=torch.bool)
    mask = torch.cat([prefix, patches])[None, None, None]

    def attend(part: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        return args, kwargs | {"attn_mask": mask.to(args[0].device)}

    blocks: Any = transformer.blocks
    hooks = [block.register_forward_pre_hook(attend, with_kwargs=True) for block in blocks]

    def undo() -> None:
        for hook in hooks:
            hook.remove()

    return undo


def _transformer(module: nn.Module) -> Any:
    """The vision transformer. Raises: SettingsError: there is none that reads a class token."""
    for part in unwrapped(module).modules():
        if not _is_transformer(part):
            continue
        if part.global_pool == "token" and part.num_prefix_tokens:
            return part
        raise SettingsError(
            "tokens=true needs a vision transformer that reads a class token, and this one "
            f"reads its patches ({part.global_pool}): give another --model, or tokens=false"
        )
    raise SettingsError(
        "tokens=true leaves patches out of a vision transformer's attention, and the model is "
        "none: give a --model such as vit_tiny_patch16_224, or tokens=false"
    )


def _is_transformer(part: nn.Module) -> bool:
    """Whether it is one as timm makes them, whose blocks take a mask of the attention."""
    names = ("blocks", "num_prefix_tokens", "global_pool")
    if not all(hasattr(part, name) for name in names):
        return False
    if not hasattr(getattr(part, "patch_embed", None), "grid_size"):
        return False
    blocks: Any = part.blocks
    return all("attn_mask" in inspect.signature(block.forward).parameters for block in blocks)


def _patches(transformer: Any) -> tuple[int, int]:
    rows, cols = transformer.patch_embed.grid_size
    return int(rows), int(cols)
