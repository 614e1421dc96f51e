"""Whether rows of a table can be ranked where every arm was trained once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise

from imil.study.statistics.measures import MEASURES
from imil.study.statistics.pvalues import holm, mcnemar
from imil.study.study_folder import Predictions

Pair = tuple[str, str]


@dataclass(frozen=True)
class Ranking:
    """Which rows of a table with one unit differ in accuracy.

    Args:
        order: the rows, most accurate first.
        ps: of each pair, the more accurate first: exact McNemar, Holm-adjusted over all pairs.
        images: how many were tested on.
        level: what p has to lie below.
    """

    order: tuple[str, ...]
    ps: Mapping[Pair, float]
    images: int
    level: float = 0.05

    @property
    def apart(self) -> tuple[Pair, ...]:
        """The neighbours in the order that differ."""
        return tuple(pair for pair in pairwise(self.order) if self.ps[pair] < self.level)

    @property
    def sentence(self) -> str:
        """What may be said of the order, in plain words."""
        design = f"With one seed and {self.images:,} images"
        if not self.apart:
            return f"{design} these rows cannot be ranked."
        if len(self.apart) == len(self.order) - 1:
            said = f"{design} each of these rows differs from the next"
        else:
            named = "; ".join(f"{one} and {other}" for one, other in self.apart)
            said = f"{design} these rows cannot be ranked, but for neighbours that differ: {named}"
        return f"{said}. Another seed may order them otherwise."


def ranking(rows: Mapping[str, Predictions]) -> Ranking:
    """Which rows of a table with one unit differ.

    Args:
        rows: title to predictions, all of the same images; two rows or more.
    Raises: ShapeError: of other images.
    """
    accuracy = MEASURES["accuracy"]
    order = sorted(rows, key=lambda row: -accuracy.of(rows[row].probs, rows[row].labels))
    pairs = list(combinations(order, 2))
    ps = holm([mcnemar(rows[one], rows[other]) for one, other in pairs])
    images = len(next(iter(rows.values())))
    return Ranking(tuple(order), dict(zip(pairs, ps, strict=True)), images)
