"""A Keras model as the model of a round: predicts, explains, and is left as it was."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Literal, get_args

import keras
import numpy as np
from numpy.typing import NDArray

from imil.cases import HeatMap
from imil.errors import DataError, SettingsError, ShapeError
from imil.keras.dataset import CorrectedDataset
from imil.keras.gradients import gradient_of
from imil.predictions import Predictions, check_labels

Outputs = Literal["auto", "logits", "probabilities"]
KINDS = {"linear": "logits", "softmax": "probabilities", "sigmoid": "probabilities"}
TINY = float(np.finfo(np.float32).tiny)
POOLS = ("Pool", "Dropout", "Flatten", "Input")  # in the names of layers that are looked past


class KerasModel:
    """A functional or Sequential model that ends in class scores (B, K), or (B, 1) for two classes.

    Args:
        model: takes images (B, h, w, C).
        batch_size: images at a time, for predicting and for explaining.
        layer: name of the layer to explain; None: the last one whose output is a map of the image.
        outputs: `logits` or `probabilities`; `auto`: as the last layer's activation says.
    Raises: SettingsError: batch_size is below 1, or there are no such outputs.
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        batch_size: int = 64,
        layer: str | None = None,
        outputs: Outputs = "auto",
    ) -> None:
        if batch_size < 1:
            raise SettingsError(f"batch_size is {batch_size}: give 1 or more")
        if outputs not in get_args(Outputs):
            known = ", ".join(get_args(Outputs))
            raise SettingsError(f"outputs is '{outputs}': give one of {known}")
        self.model, self.batch_size = model, batch_size
        self._layer, self._outputs = layer, outputs
        self._parts: tuple[keras.Model, keras.Model] | None = None

    def check(self, samples: CorrectedDataset) -> None:
        """Check with two images that heat-maps can be made.

        Raises: SettingsError: no layer gives a map, or nobody says whether outputs are logits.
            ShapeError: the output is not (B, K), or a label is not one of its classes.
        """
        if not len(samples):
            return
        self._split()
        rows = range(len(samples))[:2]
        check_labels(samples.labels, _two_columns(self._raw_scores(samples, rows)).shape[1])
        self._kind()
        self.explain(samples, [0], [0])

    def predict(self, samples: CorrectedDataset) -> Predictions:
        """Predictions for the originals, without random transforms."""
        scores = self._raw_scores(samples, range(len(samples))).astype(np.float64)
        if self._kind() == "probabilities":
            probs = np.concatenate([1 - scores, scores], 1) if scores.shape[1] == 1 else scores
            return Predictions.of(samples, probs / probs.sum(axis=1, keepdims=True))
        logits = _two_columns(scores)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return Predictions.of(samples, powers / powers.sum(axis=1, keepdims=True))

    def explain(
        self, samples: CorrectedDataset, indices: Sequence[int], classes: Sequence[int]
    ) -> list[HeatMap]:
        """One Grad-CAM heat-map per pair of sample and class, (h, w) of the view, in [0, 1].

        Source: Selvaraju et al. 2017, eq. 1 and 2; enlarged bilinearly.
        """
        before, head = self._split()
        result: list[HeatMap] = []
        for start in range(0, len(indices), self.batch_size):
            rows = indices[start : start + self.batch_size]
            views = _views(samples, rows)
            maps = np.asarray(before.predict_on_batch(views), np.float32)
            chosen = np.array(classes[start : start + self.batch_size])
            slopes = gradient_of(partial(self._score, head, chosen), maps)
            result.extend(_heat_maps(maps, slopes, views.shape[1:3]))
        return result

    def _score(self, head: keras.Model, classes: NDArray[np.int64], maps: Any) -> Any:
        """The sum of the class scores to explain; an image's depends on that image alone."""
        ops, scores = keras.ops, head(maps, training=False)
        if self._kind() == "probabilities":
            log = ops.log(ops.maximum(scores, TINY))
            scores = log if scores.shape[1] > 1 else log - ops.log(ops.maximum(1 - scores, TINY))
        if scores.shape[1] == 1:  # it speaks for class 1, and as much against class 0
            return ops.sum(scores[:, 0] * ops.convert_to_tensor(2.0 * classes - 1, scores.dtype))
        wanted = np.eye(scores.shape[1])[classes]
        return ops.sum(scores * ops.convert_to_tensor(wanted, scores.dtype))

    def _raw_scores(self, samples: CorrectedDataset, rows: Sequence[int]) -> NDArray[np.float32]:
        parts = [
            np.asarray(
                self.model.predict_on_batch(_views(samples, rows[i : i + self.batch_size])),
                np.float32,
            )
            for i in range(0, len(rows), self.batch_size)
        ]
        scores = np.concatenate(parts) if parts else np.empty((0, 1), np.float32)
        if scores.ndim != 2 or len(scores) != len(rows):
            raise ShapeError(
                f"the model returns scores of shape {scores.shape} for {len(rows)} images: return "
                "one row of class scores per image, (batch, classes)"
            )
        return scores

    def _kind(self) -> str:
        """Raises: SettingsError: the last layer does not say, and nobody else does."""
        if self._outputs != "auto":
            return self._outputs
        last: Any = self.model
        while isinstance(last, keras.Model):
            last = last.layers[-1]
        activation = getattr(getattr(last, "activation", None), "__name__", "")
        kind = "probabilities" if isinstance(last, keras.layers.Softmax) else KINDS.get(activation)
        if kind is None:
            raise SettingsError(
                f"the last layer of {self.model.name}, '{last.name}', does not say whether it "
                'gives logits or probabilities: give outputs="logits" or outputs="probabilities"'
            )
        return kind

    def _split(self) -> tuple[keras.Model, keras.Model]:
        """The model up to the layer that is explained, and from there to the scores."""
        if self._parts is None:
            if not isinstance(self.model, keras.Sequential) and not hasattr(self.model, "inputs"):
                raise SettingsError(f"{type(self.model).__name__} {WHY_NOT}")
            if len(self.model.inputs) != 1 or len(self.model.outputs) != 1:
                raise SettingsError(
                    f"{self.model.name} has {len(self.model.inputs)} inputs and "
                    f"{len(self.model.outputs)} outputs: give a model of one image and its scores"
                )
            parts = (parts for one in self._mapped() for parts in _parts_at(self.model, one))
            self._parts = next(parts, None)
            if self._parts is None:
                raise SettingsError(
                    f"no layer of {self.model.name} gives a map of the image that the class scores "
                    "depend on: a heat-map needs one, such as a convolution's"
                )
        return self._parts

    def _mapped(self) -> list[Any]:
        """The layers that may be explained, the last one first.

        Raises: SettingsError: the model has no graph, or no such layer.
        """
        try:
            mapped = [one for one in reversed(self.model.layers) if _is_mapped(one)]
        except (AttributeError, ValueError):  # a class of the user's, whose layers have no graph
            raise SettingsError(f"{type(self.model).__name__} {WHY_NOT}") from None
        if self._layer is None:
            return mapped
        if named := [one for one in mapped if one.name == self._layer]:
            return named
        raise SettingsError(
            f"layer '{self._layer}' of {self.model.name} is unknown or gives no map of the image: "
            f"name one of {', '.join(one.name for one in mapped[:3])}"
        )


WHY_NOT = (
    "has no graph of layers and cannot be split for heat-maps: train a functional or a Sequential "
    "model"
)


def _parts_at(model: keras.Model, layer: Any) -> Iterator[tuple[keras.Model, keras.Model]]:
    """The model in two at each call of the layer in it: up to its output, and from there on."""
    for node in reversed(layer._inbound_nodes):
        try:  # a layer may be called in other models too, as one that is taken from them
            output = node.output_tensors[0]
            yield keras.Model(model.inputs[0], output), keras.Model(output, model.outputs[0])
        except ValueError:
            continue


def _is_mapped(layer: Any) -> bool:
    """Whether its output is a map of the image, before pooling."""
    if any(word in type(layer).__name__ for word in POOLS):
        return False
    shape = getattr(layer.output, "shape", ())
    return len(shape) == 4 and all(side is None or side > 1 for side in _sides(shape))


def _sides(shape: Sequence[Any]) -> Sequence[Any]:
    return shape[2:4] if keras.config.image_data_format() == "channels_first" else shape[1:3]


def _two_columns(scores: NDArray[Any]) -> NDArray[Any]:
    """The scores, with a column of zeros before a single one, which stands for two classes."""
    return np.concatenate([0 * scores, scores], 1) if scores.shape[1] == 1 else scores


def _views(samples: CorrectedDataset, rows: Sequence[int]) -> NDArray[np.float32]:
    """Views of these samples as one batch, (B, h, w, C)."""
    views = [samples.view(i) for i in rows]
    for i, view in zip(rows, views, strict=True):
        if view.shape != views[0].shape:
            raise DataError(
                f"the view of '{samples.key(i)}' is {view.shape} and that of "
                f"'{samples.key(rows[0])}' {views[0].shape}: give a `view` that brings all images "
                "to one size"
            )
    return np.stack(views)


def _heat_maps(
    maps: NDArray[np.float32], slopes: NDArray[np.float32], size: tuple[int, ...]
) -> list[HeatMap]:
    """ReLU of the channels weighted by their mean gradient, each (h, w) divided by its maximum."""
    if keras.config.image_data_format() == "channels_first":
        maps, slopes = np.moveaxis(maps, 1, 3), np.moveaxis(slopes, 1, 3)
    cams = (slopes.mean(axis=(1, 2), keepdims=True) * maps).sum(axis=3)
    if not np.isfinite(cams).all():
        raise ShapeError(
            "a heat-map is not a number: an image or the weights hold NaN or infinity; if training "
            "has diverged, lower the learning rate"
        )
    large = keras.ops.image.resize(
        np.maximum(cams, 0)[..., None], size, interpolation="bilinear", data_format="channels_last"
    )
    result = np.asarray(keras.ops.convert_to_numpy(large), np.float32)[..., 0]
    highest = result.max(axis=(1, 2), keepdims=True)
    return list(np.divide(result, highest, out=np.zeros_like(result), where=highest > 0))
