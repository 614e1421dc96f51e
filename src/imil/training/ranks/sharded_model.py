"""A model that predicts whole splits on all ranks, with the numbers of one process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from imil.cases import HeatMap
from imil.predictions import Predictions
from imil.pytorch import CorrectedDataset, TorchModel
from imil.training.ranks.leader import Leader
from imil.training.ranks.team import Team


class ShardedModel:
    """Predicts splits on all ranks, and all else, such as heat-maps of cases, on rank 0 alone.

    Args:
        model: of rank 0.
        leader: of all ranks.
        samples: the splits that all ranks have, by their names.
    """

    def __init__(
        self, model: TorchModel, leader: Leader, samples: Mapping[str, CorrectedDataset]
    ) -> None:
        self._model, self._leader, self._samples = model, leader, samples

    def predict(self, samples: CorrectedDataset) -> Predictions:
        """Predictions for the originals, as of `TorchModel.predict`."""
        return Predictions.of(samples, self.probs(samples))

    def probs(
        self,
        samples: CorrectedDataset,
        rows: Sequence[int] | None = None,
        *,
        bfloat16: bool = False,
    ) -> NDArray[np.float64]:
        """Probabilities (N, K), as of `TorchModel.probs`; of single rows, on rank 0 alone."""
        split = next((name for name, of in self._samples.items() if of is samples), None)
        if rows is not None or split is None:
            return self._model.probs(samples, rows, bfloat16=bfloat16)
        batch_size = self._model.batch_size
        self._leader.predict(split, bfloat16=bfloat16, batch_size=batch_size)
        team = self._leader.team
        team.share_weights(self._model.module)
        return predict_part(team, self._model, samples, batch_size=batch_size, bfloat16=bfloat16)

    def explain(
        self, samples: CorrectedDataset, indices: Sequence[int], classes: Sequence[int]
    ) -> list[HeatMap]:
        """Heat-maps, as of `TorchModel.explain`."""
        return self._model.explain(samples, indices, classes)

    def predict_and_explain(
        self, samples: CorrectedDataset, rows: Sequence[int], classes: NDArray[np.integer]
    ) -> tuple[NDArray[np.float64], list[NDArray[np.float32]]]:
        """Probabilities and heat-maps of rows, as of `TorchModel.predict_and_explain`."""
        return self._model.predict_and_explain(samples, rows, classes)


def predict_part(
    team: Team,
    model: TorchModel,
    samples: CorrectedDataset,
    *,
    batch_size: int,
    bfloat16: bool = False,
) -> NDArray[np.float64]:
    """Probabilities (N, K) of all samples on every rank, each of which predicts its part.

    Every batch holds the images that it holds in one process, so the numbers are the same.

    Args:
        batch_size: images at a time, the same on all ranks.
    """
    model.batch_size = batch_size
    rows = shard(len(samples), batch_size, team.rank, team.size)
    probs = model.probs(samples, rows, bfloat16=bfloat16)
    if not rows:
        probs = np.empty((0, len(samples.class_names)))
    return team.gather(torch.from_numpy(probs).to(team.device)).cpu().numpy()


def shard(n: int, batch_size: int, rank: int, size: int) -> range:
    """Which of n images a rank predicts: whole batches of one process, in order.

    >>> [shard(9, 2, rank, 3) for rank in range(3)], shard(3, 2, 2, 3)
    ([range(0, 4), range(4, 8), range(8, 9)], range(3, 3))
    """
    batches = -(-n // batch_size)
    each = -(-batches // size) * batch_size
    return range(min(rank * each, n), min((rank + 1) * each, n))
