"""A PyTorch module as the model of a round: predicts, explains, and is left as it was."""

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
from imil.grid import Grid
from imil.heat_map_names import AUTO, check_heat_map
from imil.predictions import Predictions, check_labels
from imil.pytorch.dataset import CorrectedDataset
from imil.pytorch.eval_context import eval_context, full_precision, rounding
from imil.pytorch.features import pooled_features
from imil.pytorch.heat_maps import METHODS, method_of
from imil.pytorch.last_layer import find_last_layer, inputs_of
from imil.pytorch.layers import LOOKED_AT, find_finer_layer, find_layer, look_for_layer
from imil.pytorch.logits import Outputs, logits_of, probabilities, two_columns
from imil.pytorch.out_of_memory import ran_out
from imil.pytorch.outputs import (
    OutputsOrAuto,
    checked_outputs,
    kind_by_graph,
    look_like_probabilities,
    question,
)
from imil.pytorch.tokens import patch_mask

BATCHES = 16  # whose logits stay on the device until they are copied together
LOG = logging.getLogger(__name__)
Out = TypeVar("Out")


class TorchModel:
    """A module that gives logits or probabilities (B, K), or (B, 1) for two classes.

    Args:
        module: on the device where it is to run.
        batch_size: images at a time, for predicting and for explaining; reduced where the GPU's
            memory is too small for so many.
        layer: the layer to explain, as in `module.named_modules()`; None: found automatically.
        outputs: `logits`, or `probabilities` where the module ends in a sigmoid or softmax; `auto`
            takes logits, and asks where the outputs look like probabilities. An image whose
            probability is rounded to 0 or 1 has an empty heat-map.
        heat_map: the method, a name in `imil.pytorch.heat_maps.METHODS`; `auto`: `relevance` for
            vision transformers whose attention can be read, unless a layer is named, and
            `grad-cam` for all other models.
    Raises: SettingsError: batch_size is below 1, there are no such outputs, or no such method.
    """

    def __init__(
        self,
        module: nn.Module,
        *,
        batch_size: int = 64,
        layer: str | None = None,
        outputs: OutputsOrAuto = "auto",
        heat_map: str = AUTO,
    ):
        if batch_size < 1:
            raise SettingsError(f"batch_size is {batch_size}: give 1 or more")
        check_heat_map(heat_map, layer)
        self.module = module
        self.batch_size = batch_size
        self._layer = layer
        self._asked = heat_map if layer is None else "grad-cam"
        self._method: str | None = None
        self._ask = checked_outputs(outputs) == "auto"
        self._outputs: Outputs = "probabilities" if outputs == "probabilities" else "logits"
        self._checked: CorrectedDataset | None = None

    def check(self, samples: CorrectedDataset) -> None:
        """Check with one batch of two images that heat-maps can be made, and find their layer.

        The layer is remembered, so that a round need not search for it; a second check of the same
        samples does nothing.

        Raises: SettingsError: the named layer gives no map, or no layer does; or the module ends in
            a sigmoid or softmax and `outputs` is not given. ShapeError: the module's output is not
            (B, K), or a label is not one of its classes.
        """
        if not len(samples) or samples is self._checked:
            return
        with eval_context(self.module):
            batch = self.views(samples, range(len(samples))[:LOOKED_AT])
            self._ask_by_graph(batch)
            if self._layer is None:
                layer = look_for_layer(self.module, batch)
                self._layer, logits = layer.name if layer.lasting else None, layer.logits
                self._find_method(batch, layer.name)
            else:
                first = np.zeros((len(batch), 1), np.int64)
                logits, _ = self._logits_and_maps(batch, first, self._layer)
        check_labels(samples.labels, probabilities(logits).shape[1])
        self._checked = samples

    def _ask_by_graph(self, batch: torch.Tensor) -> None:
        """Raises: SettingsError: the module ends in a sigmoid or softmax, and nobody said so."""
        kind = kind_by_graph(self.module, batch) if self._ask else None
        if kind == "probabilities":
            raise question(self.module)
        self._ask = self._ask and kind is None  # of a linear layer there is nothing to ask

    def _logits_of(self, output: object, batch: int) -> torch.Tensor:
        return logits_of(output, batch, self._outputs)

    @property
    def heat_map(self) -> str | None:
        """The name of the method that draws the heat-maps; None before it is known.

        It is known after `check`, or after the first heat-map.
        """
        return self._method

    def _find_method(self, batch: torch.Tensor, layer: str) -> str:
        if self._method is None:
            self._method = method_of(self.module, batch, layer, self._asked)
        return self._method

    def _logits_and_maps(
        self, batch: torch.Tensor, classes: NDArray[np.integer[Any]], layer: str
    ) -> tuple[torch.Tensor, NDArray[np.float32]]:
        draw = METHODS[self._find_method(batch, layer)]
        return draw(self.module, batch, classes, layer=layer, outputs=self._outputs)

    def predict(self, samples: CorrectedDataset) -> Predictions:
        """Predictions for the originals, in evaluation mode and without random transforms.

        In float32, whatever the training's precision (paper 3.1, step 1).

        Raises: ShapeError: the module's output is not (B, K), or a label is not below K.
        """
        return Predictions.of(samples, self.probs(samples))

    def probs(
        self,
        samples: CorrectedDataset,
        rows: Sequence[int] | None = None,
        *,
        bfloat16: bool = False,
    ) -> NDArray[np.float64]:
        """Probabilities (N, K) of the originals, or of these rows of them; each row sums to 1.

        Args:
            rows: positions; None: all samples.
            bfloat16: multiply in bfloat16: rounded, and faster where the hardware has it.
        Raises: ShapeError: the module's output is not (B, K). SettingsError: all outputs look like
            probabilities, and `outputs` is not given.
        """

        def look(batch: torch.Tensor, _start: int) -> torch.Tensor:
            return self._logits_of(self.module(batch), len(batch))

        rows = range(len(samples)) if rows is None else rows
        size = self.batch_size * BATCHES
        # confidences are compared across images: full precision, unless rounding is asked for
        device = next(self.module.parameters()).device
        precision = rounding(device) if bfloat16 else full_precision(device)
        with eval_context(self.module), torch.no_grad(), precision:
            parts = [
                torch.cat(list(self._batches(samples, rows[i : i + size], look))).cpu()
                for i in range(0, len(rows), size)
            ]
        if not parts:
            return np.empty((0, 1))
        logits = torch.cat(parts)
        # a few logits may lie in [0, 1] by chance: all samples are looked at, or none
        if self._ask and len(rows) == len(samples) and look_like_probabilities(logits):
            raise question(self.module)
        return probabilities(logits).numpy()

    def explain(
        self, samples: CorrectedDataset, indices: Sequence[int], classes: Sequence[int]
    ) -> list[HeatMap]:
        """One heat-map per pair of sample and class, (h, w) of the view, in [0, 1]."""
        if not indices:
            return []
        by_sample: dict[int, list[int]] = {}  # all classes of a sample come from one pass
        for i, wanted in zip(indices, classes, strict=True):
            by_sample.setdefault(i, []).append(wanted)
        most = max(map(len, by_sample.values()))
        table = np.array([of + of[-1:] * (most - len(of)) for of in by_sample.values()])
        _, cams = self.predict_and_explain(samples, list(by_sample), table)
        maps = {i: iter(of_classes) for i, of_classes in zip(by_sample, cams, strict=True)}
        return [next(maps[i]) for i in indices]

    def predict_and_explain(
        self, samples: CorrectedDataset, rows: Sequence[int], classes: NDArray[np.integer[Any]]
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float32]]]:
        """Probabilities of these rows, as of `probs`, and heat-maps, from one pass.

        Args:
            rows: N positions, at least one.
            classes: (N, P): the classes to explain of each row.
        Returns: probabilities (N, K), and for each row its heat-maps (P, h, w), as of `explain`.
        """
        layer = self._layer

        def look(batch: torch.Tensor, start: int) -> tuple[torch.Tensor, NDArray[np.float32]]:
            nonlocal layer
            layer = layer or find_layer(self.module, batch)
            wanted = classes[start : start + len(batch)]
            return self._logits_and_maps(batch, wanted, layer)

        with eval_context(self.module):
            logits, maps = zip(*self._batches(samples, rows, look), strict=True)
        return probabilities(torch.cat(logits)).numpy(), list(chain.from_iterable(maps))

    def features(
        self,
        samples: CorrectedDataset,
        rows: Sequence[int] | None = None,
        *,
        grid: Grid | None = None,
    ) -> NDArray[np.float32]:
        """Mean activations (N, D) of the layer that heat-maps are drawn from, of the originals.

        With a grid, the means over each of its S squares, (N, S, D), in the squares' order. Where
        the layer's map is coarser than the grid, they come from the last earlier layer that is at
        least as fine; if there is none, the map is interpolated.

        Args:
            rows: positions; None: all samples.
            grid: None: one mean over the whole image.
        Raises: SettingsError: no layer gives a map of the image.
        """
        layer: str | None = None

        def look(batch: torch.Tensor, _start: int) -> NDArray[np.float32]:
            nonlocal layer
            if layer is None:
                layer = self._layer or find_layer(self.module, batch)
                if grid is not None:
                    layer = find_finer_layer(self.module, batch, layer, grid.rows, grid.cols)
            return pooled_features(self.module, batch, layer, grid)

        rows = range(len(samples)) if rows is None else rows
        with eval_context(self.module):
            parts = list(self._batches(samples, rows, look))
        return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)

    def check_tokens(self, samples: CorrectedDataset, grid: Grid) -> None:
        """Check that patches of the image can be left out of the model's attention by squares.

        Raises: SettingsError: it is no vision transformer that reads a class token, or a square is
            no whole number of patches.
        """
        patch_mask(self.module, grid, (), samples.view(0).shape[-1])

    def last_layer(self, samples: CorrectedDataset) -> nn.Linear:
        """The linear layer whose output are the logits.

        Raises: SettingsError: the model has none.
        """
        return find_last_layer(self.module, self.views(samples, range(len(samples))[:LOOKED_AT]))

    def last_inputs(
        self,
        samples: CorrectedDataset,
        rows: Sequence[int] | None = None,
        change: Callable[[torch.Tensor, int], torch.Tensor] | None = None,
    ) -> NDArray[np.float32]:
        """What the last layer is given for these originals, (N, D), in evaluation mode.

        Args:
            rows: positions; None: all samples.
            change: views of a batch, where in `rows` it starts -> the views to look at.
        Raises: SettingsError: the model has no linear last layer.
        """
        layer = self.last_layer(samples)

        def look(batch: torch.Tensor, start: int) -> NDArray[np.float32]:
            seen = batch if change is None else change(batch, start)
            array: NDArray[np.float32] = inputs_of(self.module, layer, seen).numpy()
            return array

        parts = list(self._batches(samples, range(len(samples)) if rows is None else rows, look))
        return np.concatenate(parts) if parts else np.empty((0, layer.in_features), np.float32)

    def _batches(
        self,
        samples: CorrectedDataset,
        indices: Sequence[int],
        look: Callable[[torch.Tensor, int], Out],
    ) -> Iterator[Out]:
        """The result of `look` for each batch, given its views and where in `indices` it starts.

        Where the device's memory runs out, the batch is halved and tried again.
        """
        start, size = 0, self.batch_size
        while start < len(indices):
            part = indices[start : start + size]
            result: Out | None = None
            try:
                result = look(self.views(samples, part), start)
            except RuntimeError as error:
                if len(part) == 1 or not ran_out(error):
                    raise
                size = len(part) // 2
            if result is None:  # not in the block above: the error keeps tensors alive
                torch.cuda.empty_cache()
                continue
            if size < self.batch_size:
                LOG.warning(
                    "The GPU's memory does not hold %d images at a time: the batch size is now %d.",
                    self.batch_size,
                    size,
                )
                self.batch_size = size
            yield result
            start += len(part)

    def logits(self, views: torch.Tensor) -> NDArray[np.float64]:
        """Logits (B, K) of images as `views` gives them, in evaluation mode and float32.

        Two columns where the module gives one logit for two classes; of probabilities, those of
        `logits_of`.
        """
        precise = full_precision(next(self.module.parameters()).device)
        with eval_context(self.module), torch.no_grad(), precise:
            parts = [
                two_columns(self._logits_of(self.module(part), len(part)).cpu().double())
                for part in views.split(self.batch_size)
            ]
        return torch.cat(parts).numpy()

    def views(self, samples: CorrectedDataset, indices: Sequence[int]) -> torch.Tensor:
        """Views of these samples as one batch, on the module's device and in its dtype."""
        parameter = next(self.module.parameters())
        views = [samples.view(i) for i in indices]
        for i, view in zip(indices, views, strict=True):
            if view.shape != views[0].shape:
                raise DataError(
                    f"the view of '{samples.key(i)}' is {tuple(view.shape)} and that of "
                    f"'{samples.key(indices[0])}' {tuple(views[0].shape)}: give a `view` that "
                    "brings all images to one size"
                )
        # converted on the device: fewer bytes to copy
        return torch.stack(views).to(parameter.device).to(parameter.dtype)
