"""A PyTorch module as a round sees it: predicts, explains, and is left as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imil.cases import HeatMap
from imil.pytorch.dataset import CorrectedDataset
from imil.pytorch.gradcam import grad_cam
from imil.pytorch.layers import LOOKED_AT, find_layer, look_for_layer
from imil.pytorch.logits import logits_of
from imil.pytorch.undisturbed import undisturbed

BATCHES = 16  # in a part of the predictions


class TorchModel:
    """A module that gives logits (B, K), or (B, 1) for two classes.

    Args:
        module: on the device where it is to run.
        batch_size: images at a time, for predicting and for explaining.
        layer: the layer to explain, as in `module.named_modules()`; found by itself if None.
    """

    def __init__(self, module: nn.Module, *, batch_size: int = 64, layer: str | None = None):
        self.module = module
        self._batch_size = batch_size
        self._layer = layer

    def check(self, samples: CorrectedDataset) -> None:
        """Find out, from one batch of two images, whether heat-maps can be made, and where.

        The layer that is found is remembered, so that a round need not look for it.

        Raises: SettingsError: the named layer gives no map, or no layer does. ShapeError: the
            module's output is no (B, K).
        """
        with undisturbed(self.module):
            for batch in self._batches(samples, range(len(samples))[:LOOKED_AT], LOOKED_AT):
                if self._layer is None:
                    found = look_for_layer(self.module, batch)
                    self._layer = found.name if found.lasting else None
                else:
                    first = np.zeros((len(batch), 1), np.int64)
                    grad_cam(self.module, batch, first, layer=self._layer)

    def predict(self, samples: CorrectedDataset) -> NDArray[np.float64]:
        """Probabilities (N, K) of the originals; each row sums to 1.

        In evaluation mode, without random transforms or mixed precision (paper 3.1, step 1).

        Raises: ShapeError: the module's output is no (B, K).
        """
        return np.concatenate(list(self.parts(samples)))

    def parts(self, samples: CorrectedDataset) -> Iterator[NDArray[np.float64]]:
        """The same in parts of sixteen batches; the module is left as it was between them."""
        size = self._batch_size * BATCHES
        for start in range(0, len(samples), size):
            yield self._predict(samples, range(start, min(start + size, len(samples))))

    def _predict(self, samples: CorrectedDataset, rows: range) -> NDArray[np.float64]:
        # confidences are compared across images: full precision, whatever training uses
        kind = next(self.module.parameters()).device.type
        with undisturbed(self.module), torch.no_grad(), torch.autocast(kind, enabled=False):
            logits = [
                logits_of(self.module(batch), len(batch))
                for batch in self._batches(samples, rows, self._batch_size)
            ]
        return _probabilities(torch.cat(logits)).numpy()

    def explain(
        self, samples: CorrectedDataset, indices: Sequence[int], classes: Sequence[int]
    ) -> list[HeatMap]:
        """One Grad-CAM heat-map per pair of sample and class, (h, w) of the view, in [0, 1]."""
        if not indices:
            return []
        asked: dict[int, list[int]] = {}  # all classes of a sample come from one pass
        for i, wanted in zip(indices, classes, strict=True):
            asked.setdefault(i, []).append(wanted)
        most = max(map(len, asked.values()))
        table = torch.tensor([of + of[-1:] * (most - len(of)) for of in asked.values()])
        maps: dict[int, Iterator[HeatMap]] = {}
        layer, every, size = self._layer, list(asked), self._batch_size
        with undisturbed(self.module):
            for start, batch in zip(
                range(0, len(every), size), self._batches(samples, every, size), strict=True
            ):
                layer = layer or find_layer(self.module, batch)
                cams = grad_cam(self.module, batch, table[start : start + size], layer=layer)
                maps |= zip(every[start : start + size], map(iter, cams), strict=True)
        return [np.asarray(next(maps[i]), np.float32) for i in indices]

    def _batches(
        self, samples: CorrectedDataset, indices: Sequence[int], size: int
    ) -> Iterator[torch.Tensor]:
        """Views of the samples, as the module takes them."""
        parameter = next(self.module.parameters())
        for start in range(0, len(indices), size):
            views = [samples.view(i) for i in indices[start : start + size]]
            # as it is, and converted there: fewer bytes travel
            yield torch.stack(views).to(parameter.device).to(parameter.dtype)


def _probabilities(logits: torch.Tensor) -> torch.Tensor:
    logits = logits.cpu().double()  # in this order: not every device knows doubles
    if logits.shape[1] == 1:  # one logit for two classes
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    return logits.softmax(dim=1)
