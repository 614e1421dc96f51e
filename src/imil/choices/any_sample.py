"""Choices among all samples, whether they are predicted right or wrong.

The common parameters are those of `imil.choices.among_mistakes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import fsum

import numpy as np
from numpy.typing import NDArray

from imil.outliers import confident_mistakes, rank
from imil.predictions import HeatMap

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]

AT_A_TIME = 256  # heat-maps in memory


def auto(
    probs: Floats,
    labels: Labels,
    keys: Sequence[str],
    n: int,
    rng: np.random.Generator | None = None,
    *,
    out_of_fold_probs: Floats,
    say: Callable[[str], None],
) -> list[int]:
    """Confident mistakes; where they are fewer than n, mistakes out of fold after them.

    Where these are too few, too, the images follow whose class the models out of fold are least
    sure of, so that a reader has n cases: what is done for all images by a few readings
    (`best`) needs readings, not mistakes.

    Args:
        out_of_fold_probs: (N, K), as for `out_of_fold`.
        say: receives a line of text where mistakes are fewer than n.

    >>> probs = np.array([[.9, .1], [.2, .8], [.4, .6]])
    >>> other = np.array([[.9, .1], [.3, .7], [.6, .4]])
    >>> auto(probs, np.array([1, 1, 1]), list("abc"), 2, out_of_fold_probs=other, say=print)
    Choice auto: 1 mistake, fewer than 2 cases; 1 mistake out of fold is added.
    [0, 2]
    """
    chosen = confident_mistakes(probs, labels, keys, n)
    if len(chosen) == n:
        return chosen
    others = confident_mistakes(out_of_fold_probs, labels, keys, n)
    added = [i for i in others if i not in set(chosen)][: n - len(chosen)]
    missing = n - len(chosen) - len(added)
    known = {*chosen, *added}
    unsure = [i for i in uncertain(out_of_fold_probs, labels, keys, n) if i not in known][:missing]
    verb = "is" if len(added) == 1 else "are"
    and_unsure = f", and {_count(len(unsure), 'image')} of least certainty" if unsure else ""
    say(
        f"Choice auto: {_count(len(chosen), 'mistake')}, fewer than {n} cases; "
        f"{_count(len(added), 'mistake')} out of fold {verb} added{and_unsure}."
    )
    return chosen + added + unsure


def off_lung(
    probs: Floats,
    labels: Labels,
    keys: Sequence[str],
    n: int,
    rng: np.random.Generator | None = None,
    *,
    heat_maps: Callable[[Sequence[int], Sequence[int]], Sequence[HeatMap]],
    lung_masks: Mapping[int, Mask],
) -> list[int]:
    """Samples whose heat-map of the predicted class lies most outside the lungs.

    Samples without a mask, or with an empty heat-map, are left out.

    Args:
        heat_maps: positions and classes -> a heat-map (h, w) of each pair.
        lung_masks: position -> mask (H, W), for the samples that have one; of any size.
    Source: energy outside the region, after the energy-based pointing game, Wang et al. 2020.
    """
    predicted, known = probs.argmax(axis=1), sorted(lung_masks)
    positions: list[int] = []
    shares: list[float] = []
    for start in range(0, len(known), AT_A_TIME):
        part = known[start : start + AT_A_TIME]
        for i, heat_map in zip(part, heat_maps(part, predicted[part].tolist()), strict=True):
            if (total := float(heat_map.sum())) > 0:
                outside = heat_map[~_at_size(lung_masks[i], heat_map.shape)]
                positions.append(i)
                shares.append(float(outside.sum()) / total)
    return rank(np.array(positions, np.intp), np.array(shares), keys, n)


def likely_label_errors(
    probs: Floats,
    labels: Labels,
    keys: Sequence[str],
    n: int,
    rng: np.random.Generator | None = None,
    *,
    out_of_fold_probs: Floats,
) -> list[int]:
    """Samples whose label is likely wrong: the reader is asked whether it looks wrong.

    Out of fold, the probability of the sample's class is below that class's mean over its own
    samples, and that of another class is not below that class's mean. Ranked by how much higher
    the highest of these others is than that of the label.

    Args:
        out_of_fold_probs: (N, K), each row from a model that did not see it.
    Source: confident learning, Northcutt et al. 2021.

    >>> probs = np.array([[.9, .1], [.7, .3], [.2, .8], [.1, .9]])
    >>> likely_label_errors(probs, np.array([0, 0, 0, 1]), list("abcd"), 4, out_of_fold_probs=probs)
    []
    >>> probs[2] = [.05, .95]
    >>> likely_label_errors(probs, np.array([0, 0, 0, 1]), list("abcd"), 4, out_of_fold_probs=probs)
    [2]
    """
    rows, of_label = np.arange(len(labels)), out_of_fold_probs[np.arange(len(labels)), labels]
    means = np.full(probs.shape[1], np.inf)  # nobody is taken for a class without samples
    for label in np.unique(labels):
        own = of_label[labels == label]
        means[label] = fsum(own) / len(own)  # exact, whatever the samples' order
    reached = np.where(out_of_fold_probs >= means, out_of_fold_probs, -np.inf)
    reached[rows, labels] = -np.inf
    margin = reached.max(axis=1) - of_label
    likely = np.flatnonzero((of_label < means[labels]) & np.isfinite(margin))
    return rank(likely, margin[likely], keys, n)


def uncertain(
    probs: Floats,
    labels: Labels,
    keys: Sequence[str],
    n: int,
    rng: np.random.Generator | None = None,
) -> list[int]:
    """Samples of the smallest margin between the two highest probabilities.

    Source: margin sampling, Scheffer et al. 2001; Settles 2009, 3.1.

    >>> uncertain(np.array([[.9, .1], [.45, .55], [.7, .3]]), np.array([0, 0, 0]), list("abc"), 2)
    [1, 2]
    """
    ordered = np.sort(probs, axis=1)
    return rank(np.arange(len(labels)), ordered[:, -2] - ordered[:, -1], keys, n)


def random(
    probs: Floats, labels: Labels, keys: Sequence[str], n: int, rng: np.random.Generator
) -> list[int]:
    """Any samples, drawn with `rng`; the same ones in whatever order the samples are."""
    by_key = sorted(range(len(keys)), key=keys.__getitem__)
    return [by_key[i] for i in rng.permutation(len(keys))[:n]]


def _count(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _at_size(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """The mask with as many rows and columns, each the nearest to its centre."""
    rows, cols = (
        ((np.arange(n) + 0.5) * have / n).astype(int)
        for n, have in zip(shape, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, cols)]
