"""The methods that draw heat-maps, by their names, and which one suits a model.

Another method is a function with the arguments of `Method`, its name here and its name for people
in `imil.heat_map_names.HEAT_MAP_NAMES`; `method_of` says which models take it without being asked.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imil.errors import SettingsError
from imil.pytorch.gradcam import logits_and_maps
from imil.pytorch.logits import Outputs
from imil.pytorch.relevance import has_relevance, logits_and_relevance


class Method(Protocol):
    """Draws heat-maps of several classes for a batch, and leaves the module as it was."""

    def __call__(
        self,
        module: nn.Module,
        inputs: torch.Tensor,
        classes: torch.Tensor | NDArray[np.integer[Any]],
        *,
        layer: str,
        outputs: Outputs,
    ) -> tuple[torch.Tensor, NDArray[np.float32]]:
        """Logits (B, K), and heat-maps (B, P, H, W) in [0, 1].

        Each map is divided by its own maximum, and is 0 where nothing speaks for its class. The
        maps of an image do not depend on the others in its batch.

        Args:
            module: returns logits or probabilities, as `outputs` says.
            inputs: (B, C, H, W), on the module's device; at least one image.
            classes: int (B, P), in [0, K).
            layer: the last one that gives a map of the image, or the one that the user named.
        Raises: ShapeError, SettingsError: as for `imil.pytorch.gradcam.grad_cam`.
        """
        ...


METHODS: dict[str, Method] = {
    "grad-cam": logits_and_maps,
    "relevance": logits_and_relevance,
}


def method_of(module: nn.Module, inputs: torch.Tensor, layer: str, asked: str) -> str:
    """The name of the method for a module: the one that is asked for, or `auto`'s choice.

    It depends on how the module computes, and not on its weights.

    Args:
        module, inputs: as for a `Method`; the first two images are used.
        layer: from `find_layer`.
        asked: `auto` or a name in `METHODS`.
    Raises: SettingsError: the method that is asked for cannot explain the module.
    """
    if asked == "auto":
        return "relevance" if has_relevance(module, inputs, layer) else "grad-cam"
    if asked == "relevance" and not has_relevance(module, inputs, layer):
        raise SettingsError(
            f"heat_map is 'relevance', and the attention of {type(module).__name__} cannot be "
            "read, or is not between all patches of an image: give auto or grad-cam"
        )
    return asked
