"""Choices among the samples that are predicted wrong: now, earlier, or by other models.

The parameters that all have in common: probs (N, K), of the model at the round; labels (N,), in
[0, K); keys, N stable names; n, at most so many cases; rng, not used here. Equal ranks are ordered
by key. All return positions, the first case first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from imil.outliers import confident_mistakes

EARLY_EPOCHS = 5  # the first; of 20 to 100 epochs, so that few samples are memorised
DECAY = 0.6  # of an epoch's weight in each later one; Laine and Aila 2017
POOL = 5  # times n: how many confident mistakes `diverse` chooses from

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def out_of_fold(
    probs: Floats,
    labels: Labels,
    keys: Sequence[str],
    n: int,
    rng: np.random.Generator | None = None,
    *,
    out_of_fold_probs: Floats,
) -> list[int]:
    """Confident mistakes of models that were not fitted to the sample.

    Args:
        out_of_fold_probs: (N, K), each row from a model that did not see it.
    Source: k-fold cross-validation; cases that training has memorised are mistakes there.
    """
    return confident_mistakes(out_of_fold_probs, labels, keys, n)


def moving_average(
    probs: Floats,
    labels: Labels,
    keys: Sequence[str],
    n: int,
    rng: np.random.Generator | None = None,
    *,
    history: Floats,
) -> list[int]:
    """Confident mistakes of the moving average of the probabilities over the epochs.

    Args:
        history: (E, N, K), of the completed epochs, the first one first.
    Source: temporal ensembling, Laine and Aila 2017.
    """
    average = np.zeros_like(probs)
    for epoch in history:
        average = DECAY * average + (1 - DECAY) * epoch
    average /= 1 - DECAY ** len(history)  # as for the average of all epochs from the first on
    return confident_mistakes(average, labels, keys, n)


def early_mistakes(
    probs: Floats,
    labels: Labels,
    keys: Sequence[str],
    n: int,
    rng: np.random.Generator | None = None,
    *,
    history: Floats,
) -> list[int]:
    """Confident mistakes of the mean probabilities of the first five epochs.

    Args:
        history: (E, N, K), of the completed epochs, the first one first.
    Source: just train twice (JTT), Liu et al. 2021: the error set of an early model.
    """
    return confident_mistakes(history[:EARLY_EPOCHS].mean(axis=0), labels, keys, n)


def class_balanced(
    probs: Floats,
    labels: Labels,
    keys: Sequence[str],
    n: int,
    rng: np.random.Generator | None = None,
) -> list[int]:
    """Confident mistakes of each true class in turn; a class without one is passed over.

    >>> probs = np.array([[.1, .9], [.2, .8], [.7, .3]])
    >>> class_balanced(probs, np.array([0, 0, 1]), list("abc"), 2)
    [0, 2]
    """
    ranked = confident_mistakes(probs, labels, keys, len(labels))
    seen = np.zeros(probs.shape[1], int)
    turns = []
    for i in ranked:
        turns.append(seen[labels[i]])
        seen[labels[i]] += 1
    order = np.argsort(np.array(turns, int), kind="stable")
    return [ranked[i] for i in order[:n]]


def diverse(
    probs: Floats,
    labels: Labels,
    keys: Sequence[str],
    n: int,
    rng: np.random.Generator | None = None,
    *,
    features: Floats,
) -> list[int]:
    """Confident mistakes that lie far apart: the most confident one, then always the farthest.

    Args:
        features: (N, D); their Euclidean distance tells how far apart two samples are.
    Source: k-centre greedy, Sener and Savarese 2018, among the 5n most confident mistakes.
    """
    pool = confident_mistakes(probs, labels, keys, POOL * n)
    points = np.asarray(features, np.float64)[pool]
    distance = np.full(len(pool), np.inf)
    chosen: list[int] = []
    while len(chosen) < min(n, len(pool)):
        row = int(distance.argmax())  # of equal distances the most confident
        chosen.append(pool[row])
        distance = np.minimum(distance, np.linalg.norm(points - points[row], axis=1))
        distance[row] = -np.inf
    return chosen
