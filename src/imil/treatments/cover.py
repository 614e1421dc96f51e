"""The paper's treatment: a fill covers what nobody selected, and takes the original's place."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from imil.fills import Fill
from imil.treatments.batch import Batch
from imil.treatments.treatment import Draw, Treatment


@dataclass(frozen=True)
class Cover(Treatment):
    """Corrected images are trained on with a fill outside the selected squares.

    Args:
        fill: what covers the rest, see `imil.fills`.
    """

    fill: Fill

    def batch(self, batch: Batch, draw: Draw, rng: torch.Generator) -> Batch:
        """The batch with its corrected images covered."""
        if batch.keep is None:
            return batch
        return replace(batch, images=self.fill(batch.images, batch.keep, draw, rng))
