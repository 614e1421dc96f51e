"""Out-of-fold predictions: of a logistic regression on features, which did not see the sample.

They are out of fold for the regression, not for the features: the network that gives these was
trained on all samples. That costs one pass and finds samples that their neighbours contradict;
predictions of networks that never saw the sample would cost as many trainings as there are folds.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

FOLDS = 5
PENALTY = 1.0  # of the squared weights, for features whose mean squared length is 1
STEPS = 200  # of the optimizer

Floats = NDArray[np.float64]


def out_of_fold_probs(
    features: NDArray[np.floating],
    labels: NDArray[np.int64],
    keys: Sequence[str],
    *,
    classes: int,
    groups: Sequence[Hashable] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> Floats:
    """Probabilities (N, K) of each sample by a regression that was fitted to the other folds.

    Args:
        features: (N, D).
        labels: (N,), in [0, K).
        keys: N stable names; the folds depend on them and the seed, not on the samples' order.
        classes: K.
        groups: of each sample, such as its patient: no group is in two folds. None: each alone.
        folds: at least 2; fewer are made where there are fewer groups.
    """
    fold_of = assign_folds(labels, keys, groups=groups, folds=folds, seed=seed)
    result = np.full((len(labels), classes), 1 / classes)
    if not len(fold_of) or fold_of.max() == 0:  # nothing to learn from
        return result
    for fold in range(int(fold_of.max()) + 1):
        own = fold_of == fold
        result[own] = fit_and_predict(features[~own], labels[~own], features[own], classes)
    return result


def assign_folds(
    labels: NDArray[np.int64],
    keys: Sequence[str],
    *,
    groups: Sequence[Hashable] | None = None,
    folds: int = FOLDS,
    seed: int = 0,
) -> NDArray[np.intp]:
    """The fold of each sample, (N,): groups of each class are dealt out evenly, at random.

    Args:
        labels, keys, groups, folds, seed: as for `out_of_fold_probs`.
    """
    members: dict[Hashable, list[int]] = {}
    for i in sorted(range(len(keys)), key=keys.__getitem__):
        members.setdefault(keys[i] if groups is None else groups[i], []).append(i)
    order = np.random.default_rng(seed).permutation(len(members))
    shuffled = [list(members.values())[i] for i in order]
    shuffled.sort(key=lambda group: int(labels[group[0]]))  # stable: still at random in a class
    result = np.zeros(len(keys), np.intp)
    for number, group in enumerate(shuffled):
        result[group] = number % folds
    return result


def fit_and_predict(
    train: NDArray[np.floating],
    labels: NDArray[np.int64],
    test: NDArray[np.floating],
    classes: int,
) -> Floats:
    """Probabilities (M, K) by multinomial logistic regression with squared penalty.

    Features are standardised by the training samples' mean and deviation, and scaled so that the
    penalty means the same for any number of them.

    Args:
        train: (N, D).
        labels: (N,), in [0, K).
        test: (M, D).
        classes: K.
    """
    from scipy.special import softmax  # imported late: it takes a quarter of a second

    mean, scale, weights = _fit(train, labels, classes, None, PENALTY)
    result: Floats = softmax((test - mean) / scale @ weights[:-1] + weights[-1], axis=1)
    return result


def fit_linear(
    train: NDArray[np.floating],
    labels: NDArray[np.int64],
    classes: int,
    *,
    counts: Floats | None = None,
    penalty: float = PENALTY,
) -> tuple[Floats, Floats]:
    """Weights (D, K) and intercepts (K,) of the regression, for features as they are.

    Args:
        train, labels, classes: as for `fit_and_predict`.
        counts: (N,): as how many samples each counts; None: as one.
        penalty: of the squared weights of standardised features.
    """
    mean, scale, weights = _fit(train, labels, classes, counts, penalty)
    slopes = weights[:-1] / scale[:, None]
    return slopes, weights[-1] - mean @ slopes


def _fit(
    train: NDArray[np.floating],
    labels: NDArray[np.int64],
    classes: int,
    counts: Floats | None,
    penalty: float,
) -> tuple[Floats, Floats, Floats]:
    """Mean and scale of the features (D,), and weights (D + 1, K), the last the intercepts."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    mean, deviation = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    scale = np.where(deviation > 0, deviation, 1) * np.sqrt(train.shape[1])
    inputs = (train - mean) / scale
    wanted = np.eye(classes)[labels]
    each = np.ones((len(labels), 1)) if counts is None else counts[:, None]
    shape = (train.shape[1] + 1, classes)  # the last row is the intercept, without a penalty

    def loss(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(shape)
        log_probs = log_softmax(inputs @ weights[:-1] + weights[-1], axis=1)
        error = each * (np.exp(log_probs) - wanted)
        slope = np.concatenate([inputs.T @ error + penalty * weights[:-1], [error.sum(axis=0)]])
        lost = penalty / 2 * float((weights[:-1] ** 2).sum())
        return lost - float((each * wanted * log_probs).sum()), slope.ravel()

    start = np.zeros(shape).ravel()
    fitted = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS})
    return mean, scale, fitted.x.reshape(shape)
