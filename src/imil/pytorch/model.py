"""A PyTorch module as a round sees it: predicts, explains, and is left as it was."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from imil.cases import HeatMap
from imil.errors import DataError, SettingsError
from imil.outliers import check_labels
from imil.pytorch.dataset import CorrectedDataset
from imil.pytorch.eval_context import eval_context, full_precision, rounding
from imil.pytorch.gradcam import logits_and_maps
from imil.pytorch.layers import LOOKED_AT, find_layer, look_for_layer
from imil.pytorch.logits import logits_of
from imil.pytorch.out_of_memory import ran_out

BATCHES = 16  # in a part of the predictions
LOG = logging.getLogger(__name__)
Out = TypeVar("Out")


class TorchModel:
    """A module that gives logits (B, K), or (B, 1) for two classes.

    Args:
        module: on the device where it is to run.
        batch_size: images at a time, for predicting and for explaining; fewer from where a GPU's
            memory does not hold so many.
        layer: the layer to explain, as in `module.named_modules()`; found by itself if None.
    Raises: SettingsError: batch_size is below 1.
    """

    def __init__(self, module: nn.Module, *, batch_size: int = 64, layer: str | None = None):
        if batch_size < 1:
            raise SettingsError(f"batch_size is {batch_size}: give 1 or more")
        self.module = module
        self.batch_size = batch_size
        self._layer = layer
        self._checked: CorrectedDataset | None = None

    def check(self, samples: CorrectedDataset) -> None:
        """Find out, from one batch of two images, whether heat-maps can be made, and where.

        The layer that is found is remembered, so that a round need not look for it; the same
        samples are not looked at again.

        Raises: SettingsError: the named layer gives no map, or no layer does. ShapeError: the
            module's output is no (B, K), or a label is none of its classes.
        """
        if not len(samples) or samples is self._checked:
            return
        with eval_context(self.module):
            batch = self._views(samples, range(len(samples))[:LOOKED_AT])
            if self._layer is None:
                found = look_for_layer(self.module, batch)
                self._layer, logits = found.name if found.lasting else None, found.logits
            else:
                first = np.zeros((len(batch), 1), np.int64)
                logits, _ = logits_and_maps(self.module, batch, first, layer=self._layer)
        check_labels(samples.labels, _probabilities(logits).shape[1])
        self._checked = samples

    def predict(
        self, samples: CorrectedDataset, rows: Sequence[int] | None = None
    ) -> NDArray[np.float64]:
        """Probabilities (N, K) of the originals, or of these rows of them; each row sums to 1.

        In evaluation mode, without random transforms or mixed precision (paper 3.1, step 1).

        Raises: ShapeError: the module's output is no (B, K).
        """
        if rows is not None:
            return self._predict(samples, rows, half=False)
        return np.concatenate(list(self.parts(samples)))

    def parts(
        self, samples: CorrectedDataset, *, half: bool = False
    ) -> Iterator[NDArray[np.float64]]:
        """The same in parts of sixteen batches; the module is left as it was between them.

        With `half`, in bfloat16: rounded, and faster where the hardware has it.
        """
        size = self.batch_size * BATCHES
        for start in range(0, len(samples), size):
            yield self._predict(samples, range(start, min(start + size, len(samples))), half=half)

    def _predict(
        self, samples: CorrectedDataset, rows: Sequence[int], *, half: bool
    ) -> NDArray[np.float64]:
        def look(batch: torch.Tensor, _start: int) -> torch.Tensor:
            return logits_of(self.module(batch), len(batch))

        # confidences are compared across images: full precision, unless they are taken again
        device = next(self.module.parameters()).device
        precise = rounding(device) if half else full_precision(device)
        with eval_context(self.module), torch.no_grad(), precise:
            logits = list(self._looked_at(samples, rows, look))
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
        table = np.array([of + of[-1:] * (most - len(of)) for of in asked.values()])
        _, cams = self.predict_explained(samples, list(asked), table)
        maps = {i: iter(of_classes) for i, of_classes in zip(asked, cams, strict=True)}
        return [next(maps[i]) for i in indices]

    def predict_explained(
        self, samples: CorrectedDataset, rows: Sequence[int], classes: NDArray[np.integer[Any]]
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float32]]]:
        """What `predict` gives for these rows, and heat-maps, from one pass.

        Args:
            rows: at least one.
            classes: (N, P): which classes of each row are to be explained.
        Returns: probabilities (N, K), and of each row (P, h, w), as of `explain`.
        """
        layer = self._layer

        def look(batch: torch.Tensor, start: int) -> tuple[torch.Tensor, NDArray[np.float32]]:
            nonlocal layer
            layer = layer or find_layer(self.module, batch)
            asked = classes[start : start + len(batch)]
            return logits_and_maps(self.module, batch, asked, layer=layer)

        with eval_context(self.module):
            logits, maps = zip(*self._looked_at(samples, rows, look), strict=True)
        return _probabilities(torch.cat(logits)).numpy(), list(chain.from_iterable(maps))

    def _looked_at(
        self,
        samples: CorrectedDataset,
        indices: Sequence[int],
        look: Callable[[torch.Tensor, int], Out],
    ) -> Iterator[Out]:
        """What `look` finds in each batch, given its views and where in `indices` it starts.

        Where the device's memory runs out, the batch is halved and looked at again.
        """
        start, size = 0, self.batch_size
        while start < len(indices):
            part = indices[start : start + size]
            found: Out | None = None
            try:
                found = look(self._views(samples, part), start)
            except RuntimeError as error:
                if len(part) == 1 or not ran_out(error):
                    raise
                size = len(part) // 2
            if found is None:  # not in the block above: the error holds on to what was computed
                torch.cuda.empty_cache()
                continue
            if size < self.batch_size:
                LOG.warning(
                    "The GPU's memory does not hold %d images at a time: the model looks at %d.",
                    self.batch_size,
                    size,
                )
                self.batch_size = size
            yield found
            start += len(part)

    def _views(self, samples: CorrectedDataset, indices: Sequence[int]) -> torch.Tensor:
        """Views of these samples, as the module takes them."""
        parameter = next(self.module.parameters())
        views = [samples.view(i) for i in indices]
        for i, view in zip(indices, views, strict=True):
            if view.shape != views[0].shape:
                raise DataError(
                    f"the view of '{samples.key(i)}' is {tuple(view.shape)} and that of "
                    f"'{samples.key(indices[0])}' {tuple(views[0].shape)}: give a `view` that "
                    "brings all images to one size"
                )
        # as it is, and converted there: fewer bytes travel
        return torch.stack(views).to(parameter.device).to(parameter.dtype)


def _probabilities(logits: torch.Tensor) -> torch.Tensor:
    logits = logits.cpu().double()  # in this order: not every device knows doubles
    if logits.shape[1] == 1:  # one logit for two classes
        logits = torch.cat([torch.zeros_like(logits), logits], dim=1)
    return logits.softmax(dim=1)
