"""The last layer of the trained model is fitted anew, with the corrected images among the others.

A model that relies on a shortcut has learnt other features too; what its last layer makes of them
is what a few images can change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from imil.cases import Reading, Samples
from imil.errors import SettingsError
from imil.grid import Grid
from imil.out_of_fold import fit_linear
from imil.treatments.option_checks import check_below_one, check_range
from imil.treatments.predicted import focused
from imil.treatments.trained_layer import set_layer
from imil.treatments.treatment import Treatment

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class LastLayer(Treatment):
    """Refits the last layer to the features of training images and of corrected images.

    Nothing changes before the last epoch is done. Then a logistic regression on the inputs of the
    last layer takes its place: of all training images as they are, and beside them the images that
    were read, black outside the selected squares. Each class counts the same.

    Args:
        share: of a class's weight that its corrected images have together, in [0, 1); 0: the
            layer is fitted to the originals alone, with classes balanced.
        penalty: of the squared weights of standardised features, above 0 to 1,000,000.
    Raises: SettingsError: an option is out of range.
    Source: Kirichenko et al. 2023 ("Last Layer Re-Training is Sufficient for Robustness to
        Spurious Correlations"); there, groups of the shortcut are balanced, which are not known
        here.
    """

    share: float = 0.5
    penalty: float = 1.0

    def __post_init__(self) -> None:
        check_below_one("share", self.share)
        check_range("penalty", self.penalty, 1e-6, 1e6)

    def check(self, model: Any, samples: Any, grid: Grid) -> None:
        """Raises: SettingsError: the model has no linear last layer."""
        model.last_layer(samples)

    def finish(
        self,
        readings: Mapping[int, Reading],
        grid: Grid,
        model: Any,
        samples: Samples,
        rng: np.random.Generator,
    ) -> dict[str, Any]:
        """Fit the last layer anew; returns the evidence.

        Raises: SettingsError: no reading selects squares.
        """
        focus = focused(readings)
        if not focus:
            raise SettingsError("no reading selects squares, so there is no corrected image")
        originals, labels = model.last_inputs(samples), np.asarray(samples.labels)
        rows = list(focus)

        def black_outside(views: torch.Tensor, start: int) -> torch.Tensor:
            part = [focus[i].kept_squares(grid) for i in rows[start : start + len(views)]]
            keep = np.stack([grid.mask(squares, *views.shape[2:]) for squares in part])
            return views.masked_fill(~torch.from_numpy(keep)[:, None].to(views.device), 0)

        corrected = model.last_inputs(samples, rows, black_outside)
        classes = len(samples.class_names)
        weights, intercepts = fit_linear(
            np.concatenate([originals, corrected]),
            np.concatenate([labels, labels[rows]]),
            classes,
            counts=balanced(labels, labels[rows], self.share, classes),
            penalty=self.penalty,
        )
        set_layer(model.last_layer(samples), weights, intercepts)
        return {
            "sentence": f"The last layer was fitted anew to {len(labels)} training images and "
            f"{len(rows)} corrected ones.",
            "images": len(labels),
            "corrected": len(rows),
        }


def balanced(
    originals: NDArray[np.int64], corrected: NDArray[np.int64], share: float, classes: int
) -> Floats:
    """As how many samples each counts, (N + R,); together as many as there are originals.

    Args:
        originals: labels (N,).
        corrected: labels (R,) of the corrected images.
        share: of a class's weight that its corrected images have together, if it has any.
        classes: K.

    >>> balanced(np.array([0, 0, 0, 1]), np.array([1, 1]), 0.5, 2).round(3).tolist()
    [0.667, 0.667, 0.667, 1.0, 0.5, 0.5]
    """
    present = len(np.unique(originals))
    result: list[Sequence[float]] = []
    for labels, part in ((originals, 1 - share), (corrected, share)):
        each = np.bincount(labels, minlength=classes)
        has_corrected = np.bincount(corrected, minlength=classes) > 0
        of_class = np.where(has_corrected, part, 1.0) * len(originals) / present
        result.append((of_class / np.maximum(each, 1))[labels].tolist())
    return np.concatenate(result)
