"""Whether the rows of a table with one training an arm can be ranked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise

from imil.predictions import Predictions
from imil.study.statistics.measures import MEASURES
from imil.study.statistics.pvalues import holm, mcnemar

Pair = tuple[str, str]


@dataclass(frozen=True)
class Ranking:
    """Which rows of a table with one unit differ in accuracy.

    Args:
        order: the rows, most accurate first.
        ps: of each pair, the more accurate first: exact McNemar, Holm-adjusted over all pairs.
        images: how many were tested on.
        level: p below it is a difference.
    """

    order: tuple[str, ...]
    ps: Mapping[Pair, float]
    images: int
    level: float = 0.05

    @property
    def different_neighbours(self) -> tuple[Pair, ...]:
        """The neighbours in the order that differ."""
        return tuple(pair for pair in pairwise(self.order) if self.ps[pair] < self.level)

    @property
    def sentence(self) -> str:
        """What can be said of the order."""
        design = f"With one seed and {self.images:,} images"
        if not self.different_neighbours:
            return f"{design} these rows cannot be ranked."
        if len(self.different_neighbours) == len(self.order) - 1:
            text = f"{design} each of these rows differs from the next"
        else:
            pairs = "; ".join(f"{one} and {other}" for one, other in self.different_neighbours)
            text = (
                f"{design} these rows cannot be ranked, except for neighbours that differ: {pairs}"
            )
        return f"{text}. Another seed may give another order."


def ranking(rows: Mapping[str, Predictions]) -> Ranking:
    """Which rows of a table with one unit differ.

    Args:
        rows: title to predictions, all of the same images; two rows or more.
    Raises: ShapeError: of other images.
    """
    accuracy = MEASURES["accuracy"]
    order = sorted(rows, key=lambda row: -accuracy.value(rows[row].probs, rows[row].labels))
    pairs = list(combinations(order, 2))
    ps = holm([mcnemar(rows[one], rows[other]) for one, other in pairs])
    images = len(next(iter(rows.values())))
    return Ranking(tuple(order), dict(zip(pairs, ps, strict=True)), images)
