"""Predictions in bfloat16 from which a round chooses the same cases as from float32's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from imil.cases import HeatMap
from imil.predictions import Predictions, check_finite
from imil.pytorch import CorrectedDataset, TorchModel

if TYPE_CHECKING:
    from imil.training.ranks.sharded_model import ShardedModel

# bfloat16 moves a probability by 0.02 or so, and one class up as another goes down
CANDIDATE_MARGIN = 0.1
MIN_CANDIDATES = 20  # candidates, so that the rounding is seen in enough of them where n is small
EXTRA_CANDIDATES = 8  # candidates more than that at first
TINY = float(np.finfo(np.float64).tiny)

Maps = dict[tuple[int, int], HeatMap]


class Bfloat16Model:
    """A model that predicts in bfloat16, and in float32 again whatever may become a case.

    All samples are predicted in bfloat16, which takes half of the time, and whatever may be
    among the n most confident mistakes again in float32: n and a few more, then half as many more,
    until no other sample could be among the n even if its rounding were double the candidates'
    largest. Where roundings are larger than bfloat16's should be, or where most samples may be
    chosen, all are predicted in float32. So `imil.outliers.confident_mistakes` chooses what it
    would choose from float32's predictions.

    Args:
        model: predicts and explains.
        n: how many mistakes are to be chosen from the predictions.
        heat_maps: whether candidates are explained in the pass that predicts them in float32.
    """

    def __init__(self, model: TorchModel | ShardedModel, n: int, *, heat_maps: bool = True) -> None:
        self._model, self._n, self._heat_maps = model, n, heat_maps

    def predict(self, samples: CorrectedDataset) -> Predictions:
        """Predictions for the originals, with heat-maps of most of the cases to be.

        Raises: ShapeError: a probability is not a number: the training has diverged.
        """
        rough = Predictions.of(samples, self._model.probs(samples, bfloat16=True))
        check_finite(rough.probs, rough.keys)
        maps: Maps = {}
        exact = self._repeat(samples, rough, maps)
        if exact is None:
            probs = self._model.probs(samples)
        else:
            probs = rough.probs.copy()
            for i, row in exact.items():
                probs[i] = row
        return replace(rough, probs=probs, heat_maps=maps)

    def explain(
        self, samples: CorrectedDataset, indices: Sequence[int], classes: Sequence[int]
    ) -> list[HeatMap]:
        """Heat-maps in float32, as `TorchModel.explain` makes them."""
        return self._model.explain(samples, indices, classes)

    def _repeat(
        self, samples: CorrectedDataset, rough: Predictions, maps: Maps
    ) -> dict[int, NDArray[np.float64]] | None:
        """Position -> probabilities in float32 of whatever may be chosen; adds to `maps`.

        None where all should be predicted in float32: roundings are large, or most may be chosen.
        """
        candidates = _candidates(rough)
        exact: dict[int, NDArray[np.float64]] = {}
        count = max(self._n, MIN_CANDIDATES) + EXTRA_CANDIDATES
        # at least once, and never so often that all in float32 would be faster
        while not exact or count <= len(samples) // 2:
            now = candidates[:count].tolist()
            if not now:
                return exact
            new = [i for i in now if i not in exact]
            # explained are the first, for all could be too many: usually they are those chosen
            if exact or not self._heat_maps:
                exact |= zip(new, self._model.probs(samples, new), strict=True)
            else:
                exact |= zip(new, self._explained(samples, rough, new, maps), strict=True)
            rows = np.stack([exact[i] for i in now])
            if np.abs(rows - rough.probs[now]).max() > CANDIDATE_MARGIN / 2:
                return None
            if len(now) < count or self._is_enough(rows, rough, now):
                return exact
            count += count // 2
        return None

    def _is_enough(
        self, rows: NDArray[np.float64], rough: Predictions, candidates: list[int]
    ) -> bool:
        """Whether no sample beyond the candidates could be among the n.

        Args:
            rows: the candidates' probabilities in float32.
        """
        # logits are rounded: near certainty that changes a probability less
        odds = _log_odds(rows)
        rounding = np.abs(odds - _log_odds(rough.probs[candidates])).max()
        wrong = np.sort(odds[rows.argmax(axis=1) != rough.labels[candidates]])
        least = rough.probs[candidates[-1]].max()
        if len(wrong) < self._n or least >= 1:
            return False
        return bool(wrong[-self._n] > np.log(least / (1 - least)) + 2 * rounding)

    def _explained(
        self, samples: CorrectedDataset, rough: Predictions, rows: list[int], maps: Maps
    ) -> NDArray[np.float64]:
        """Probabilities in float32 of these rows; heat-maps of both classes go into `maps`."""
        pairs = np.stack([rough.probs[rows].argmax(axis=1), rough.labels[rows]], axis=1)
        probs, of_pairs = self._model.predict_and_explain(samples, rows, pairs)
        for i, pair, cams in zip(rows, pairs.tolist(), of_pairs, strict=True):
            maps |= {(i, of): cam for of, cam in zip(pair, cams, strict=True)}
        return probs


def _candidates(rough: Predictions) -> NDArray[np.intp]:
    """Positions of all samples that may be mistakes in float32, most confident first."""
    others = rough.probs.copy()
    others[np.arange(len(others)), rough.labels] -= CANDIDATE_MARGIN
    nearly = np.flatnonzero(others.argmax(axis=1) != rough.labels)
    return nearly[np.argsort(-rough.probs[nearly].max(axis=1), kind="stable")]


def _log_odds(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the highest of each row against the others."""
    ordered = np.sort(probs, axis=1)
    return np.log(ordered[:, -1]) - np.log(ordered[:, :-1].sum(axis=1) + TINY)
