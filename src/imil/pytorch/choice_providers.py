"""What choices of cases need beyond predictions, as far as a model and its samples give it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from imil.choices import Provider
from imil.out_of_fold import out_of_fold_probs
from imil.predictions import Predictions
from imil.pytorch.dataset import CorrectedDataset
from imil.pytorch.model import TorchModel


def model_providers(
    model: TorchModel,
    samples: CorrectedDataset,
    *,
    seed: int,
    groups: Sequence[Hashable] | None = None,
) -> dict[str, Provider]:
    """Providers of `features` (N, D) and `out_of_fold_probs` (N, K), made when they are asked for.

    Args:
        model: its features are those of `TorchModel.features`.
        samples: the training set.
        seed: of the folds.
        groups: of each sample, such as its patient: no group is in two folds. None: each alone.
    """

    def features(_predictions: Predictions) -> Any:
        return model.features(samples)

    def out_of_fold(predictions: Predictions) -> Any:
        return out_of_fold_probs(
            model.features(samples),
            predictions.labels,
            predictions.keys,
            classes=predictions.probs.shape[1],
            groups=groups,
            seed=seed,
        )

    return {"features": features, "out_of_fold_probs": out_of_fold}
