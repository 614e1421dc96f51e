"""STAPLE: the most probable selection behind those of several readers, and how good each reader is.

Source: Warfield, Zou and Wells 2004, "Simultaneous truth and performance level estimation (STAPLE):
an algorithm for the validation of image segmentation", IEEE Trans. Med. Imaging 23 (7), 903-921.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imil.errors import ShapeError

START = 0.99999  # sensitivity and specificity of every reader at first, as in ITK
CHANGE = 1e-9  # of any sensitivity or specificity, at which the iteration ends
ITERATIONS = 1000


@dataclass(frozen=True)
class Staple:
    """What STAPLE estimates.

    Args:
        truth: (N,), in [0, 1]: probability that each square is truly selected.
        sensitivity: (R,), in [0, 1]: of the squares that are, the share that each reader selected.
        specificity: (R,), in [0, 1]: of the others, the share that each reader left out.
    """

    truth: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    specificity: NDArray[np.float64]


def staple(votes: NDArray[np.float64]) -> Staple:
    """The probable truth of N squares and the performance of R readers.

    By expectation-maximisation. The prior probability of a square is the share of all votes that
    selected one.

    Args:
        votes: (R, N): 1 where a reader selected the square, 0 where not, NaN where the reader did
            not answer.
    Raises: ShapeError: not two-dimensional, or a square without a vote.
    """
    known = ~np.isnan(votes)
    if votes.ndim != 2 or not known.any(axis=0).all():
        raise ShapeError("STAPLE needs votes (R, N) and at least one for each square")
    chosen, left = known & (votes == 1), known & (votes == 0)
    prior = chosen.sum() / max(known.sum(), 1)
    sensitivity, specificity = np.full((2, len(votes)), START)
    truth = chosen.sum(axis=0) / known.sum(axis=0)
    for _ in range(ITERATIONS):
        truth = _expected(chosen, left, sensitivity, specificity, prior)
        before = sensitivity, specificity
        sensitivity = _share(chosen @ truth, known @ truth, sensitivity)
        specificity = _share(left @ (1 - truth), known @ (1 - truth), specificity)
        if np.abs(np.subtract(before, (sensitivity, specificity))).max(initial=0) < CHANGE:
            break
    return Staple(truth, sensitivity, specificity)


def _expected(
    chosen: NDArray[np.bool_],
    left: NDArray[np.bool_],
    sensitivity: NDArray[np.float64],
    specificity: NDArray[np.float64],
    prior: float,
) -> NDArray[np.float64]:
    """The probability of each square, given the readers' performance (eq. 14 to 16)."""
    with np.errstate(divide="ignore"):  # the logarithm of 0: impossible
        yes = np.where(chosen, np.log(sensitivity)[:, None], 0)
        yes += np.where(left, np.log1p(-sensitivity)[:, None], 0)
        no = np.where(chosen, np.log1p(-specificity)[:, None], 0)
        no += np.where(left, np.log(specificity)[:, None], 0)
        odds = np.log(prior) + yes.sum(axis=0), np.log1p(-prior) + no.sum(axis=0)
    most = np.maximum(*odds)
    if_yes, if_no = (np.exp(one - np.where(np.isfinite(most), most, 0)) for one in odds)
    total = if_yes + if_no
    # where neither is possible, the readers contradict each other with certainty
    return np.where(total > 0, if_yes / np.where(total > 0, total, 1), prior)


def _share(
    part: NDArray[np.float64], whole: NDArray[np.float64], before: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), before)
