"""Predictions in bfloat16 from which a round chooses what it would choose in float32.

What is predicted again in float32 is explained in the same pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imil.cases import HeatMap
from imil.outliers import Chosen, choose, mistakes
from imil.pytorch import CorrectedDataset, TorchModel
from imil.training.prediction_files import read_parts, write_parts

SLACK = 0.1  # bfloat16 moves a probability by 0.02 or so, and one class up as another goes down
FEWEST = 20  # candidates, so that a difference is seen of enough of them where n is small
MORE = 8  # candidates than that at first: the nearest of the others
TINY = float(np.finfo(np.float64).tiny)
# all whose float32 could be a mistake
NEARLY = partial(mistakes, slack=SLACK)


def write_rounded(
    path: Path,
    samples: CorrectedDataset,
    model: TorchModel,
    n: int,
    maps: dict[tuple[int, int], HeatMap] | None = None,
) -> None:
    """The table of `write_parts`, with the n most confident mistakes as float32 finds them.

    All samples are predicted in bfloat16, which takes half of the time, and whatever may be
    among the n again in float32: the n and a few more, then half as many more, until none of the
    others could come in, were it moved by double of what the candidates were. Where they were moved
    further than bfloat16 rounds, or where most may come in, all is predicted in float32.

    Args:
        path: of the table.
        samples: what is predicted.
        model: predicts.
        n: how many are to be chosen from the table.
        maps: (position, class) -> heat-map, into which those of most that will be chosen are put:
            of the class that is predicted and the true one, from the pass in float32 that found
            them. None: no heat-maps are made.
    """
    keys = [samples.key(i) for i in range(len(samples))]
    rough = path.with_suffix(".rounded")
    try:
        write_parts(rough, keys, samples.labels, model.parts(samples, half=True))
        exact = _in_question(rough, samples, model, n, maps)
        parts = model.parts(samples) if exact is None else _replaced(read_parts(rough), exact)
        write_parts(path, keys, samples.labels, parts)
    finally:
        rough.unlink(missing_ok=True)


def _in_question(
    rough: Path,
    samples: CorrectedDataset,
    model: TorchModel,
    n: int,
    maps: dict[tuple[int, int], HeatMap] | None,
) -> dict[int, NDArray[np.float64]] | None:
    """What may be chosen: position -> probabilities in float32. Heat-maps are put into `maps`.

    None where all had better be predicted so: roundings are large, or most may be chosen.
    """
    exact: dict[int, NDArray[np.float64]] = {}
    asked = max(n, FEWEST) + MORE
    # at least once, and never so often that all in float32 had been faster
    while not exact or asked <= len(samples) // 2:
        found = choose(NEARLY, read_parts(rough), samples.labels, samples.key, asked)
        if not found.positions:
            return exact
        new = [i for i in found.positions if i not in exact]
        # explained are the first, for all could be too many: as a rule they are those chosen
        if exact or maps is None:
            exact |= zip(new, model.predict(samples, new), strict=True)
        else:
            exact |= zip(new, _explained(samples, model, found, maps), strict=True)
        rows = np.stack([exact[i] for i in found.positions])
        if np.abs(rows - found.probs).max() > SLACK / 2:
            return None
        if len(found.positions) < asked:  # no other is left
            return exact
        # what is rounded are logits: near certainty they move a probability less
        odds = _log_odds(rows)
        moved = np.abs(odds - _log_odds(found.probs)).max()
        wrong = np.sort(odds[rows.argmax(axis=1) != samples.labels[found.positions]])
        least = found.probs[-1].max()
        if len(wrong) >= n and least < 1 and wrong[-n] > np.log(least / (1 - least)) + 2 * moved:
            return exact
        asked += asked // 2
    return None


def _explained(
    samples: CorrectedDataset,
    model: TorchModel,
    found: Chosen,
    maps: dict[tuple[int, int], HeatMap],
) -> NDArray[np.float64]:
    """Their probabilities in float32; heat-maps of both classes are put into `maps`."""
    pairs = np.stack([found.probs.argmax(axis=1), samples.labels[found.positions]], axis=1)
    rows, of_both = model.predict_explained(samples, found.positions, pairs)
    for i, pair, of_pair in zip(found.positions, pairs.tolist(), of_both, strict=True):
        maps |= {(i, of): cam for of, cam in zip(pair, of_pair, strict=True)}
    return rows


def _log_odds(probs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of the highest of each row against the others."""
    ordered = np.sort(probs, axis=1)
    return np.log(ordered[:, -1]) - np.log(ordered[:, :-1].sum(axis=1) + TINY)


def _replaced(
    parts: Iterator[NDArray[np.float64]], rows: Mapping[int, NDArray[np.float64]]
) -> Iterator[NDArray[np.float64]]:
    """The parts with these rows in place of their own."""
    start = 0
    for part in parts:
        for i, row in rows.items():
            if start <= i < start + len(part):
                part[i - start] = row
        yield part
        start += len(part)
