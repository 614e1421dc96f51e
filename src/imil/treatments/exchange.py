"""Irrelevant squares of every training image are exchanged with those of other training images.

What lies there then says nothing about the class, so the model learns not to use it. Images in
use stay whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray

from imil.cases import Reading, Samples
from imil.errors import SettingsError
from imil.grid import Grid
from imil.treatments.batch import Batch
from imil.treatments.cover import Cover
from imil.treatments.option_checks import check_below_one, check_choice, check_range
from imil.treatments.predicted import (
    IRRELEVANT,
    MOST_RELIANCE,
    evidence_of,
    focused,
    marked,
    misleading_squares,
    predict_relevance,
    relied_on,
    squares_where,
)
from imil.treatments.relevance import BY, By, Relevance
from imil.treatments.replacements import DONORS, check_donor
from imil.treatments.scattered import scattered
from imil.treatments.treatment import Draw, Selection, Treatment

TINY = 1e-9  # 1 - 0.9 is a little below 0.1


@dataclass(frozen=True)
class Exchange(Treatment):
    """Swaps what readers call irrelevant, in every training image, with another image's.

    In an image that was read, squares that were selected are never exchanged, and those that were
    marked as misleading always.

    Args:
        irrelevant: a square is irrelevant that at most this share of the readings selected, or
            that a reader would select with at most this predicted probability, in [0, 1).
        by: what a square is known by: its `position`, the model's `features`, or `both`.
        reliance: 0 exchanges every irrelevant square; above, those alone on which the model relies
            by at least so many times the share that each would have if all counted the same.
        squares: `readers`, or `random`: as many squares, drawn anew in each draw. This is the
            control without a reader: whose squares they are plays no part, and nothing is refused.
        probability: share of draws in which an image's squares are exchanged, 0 to 1.
        donor: the class of the other image: any, same or other.
        soft: width over which an edge fades, as a share of a square, 0 to 1.
        jitter: how far the edges move at random in each draw, as a share of a square, 0 to 1.
        clean: share of the training's epochs, the last ones, without exchange, in [0, 1).
    Raises: SettingsError: an option is out of range, or two contradict each other.
    Source: Xiao et al. 2021 ("Noise or Signal"), mixed-random backgrounds; Teso and Kersting 2019
        (CAIPI), counter-examples from a person's corrections.
    """

    irrelevant: float = IRRELEVANT
    by: str = "position"
    reliance: float = 0.0
    squares: str = "readers"
    probability: float = 0.5
    donor: str = "any"
    soft: float = 0.0
    jitter: float = 0.0
    clean: float = 0.0

    def __post_init__(self) -> None:
        for name in ("irrelevant", "clean"):
            check_below_one(name, getattr(self, name))
        check_choice("by", self.by, BY)
        check_range("reliance", self.reliance, 0, MOST_RELIANCE)
        check_choice("squares", self.squares, ("readers", "random"))
        check_choice("donor", self.donor, DONORS)
        for name in ("probability", "soft", "jitter"):
            check_range(name, getattr(self, name), 0, 1)
        if self.squares == "random" and (self.reliance or self.by != "position"):
            raise SettingsError(
                "squares=random contradicts reliance and by: as many squares as the readings call "
                "irrelevant are drawn anywhere; leave both out, or give squares=readers"
            )

    @property
    def needs_progress(self) -> bool:
        """Whether the last epochs differ from the others."""
        return self.clean > 0

    def check(self, model: Any, samples: Any, grid: Grid) -> None:
        """Raises: SettingsError: an image of another class is wanted, and there is one class."""
        check_donor(self.donor, samples.labels)

    def relevance(
        self,
        readings: Mapping[int, Reading],
        grid: Grid,
        model: Any,
        samples: Samples,
        rng: np.random.Generator,
        previous: Mapping[int, tuple[int, ...]] | None = None,
    ) -> Selection:
        """The squares of every training image that are not exchanged, with the evidence.

        Raises: SettingsError: the readings do not say which squares are irrelevant.
        """
        if self.squares == "random":
            return self._as_many(readings, grid, len(samples))
        relevance = predict_relevance(readings, grid, model, samples, rng, cast(By, self.by))
        misleading = misleading_squares(readings, grid, self.irrelevant)
        exchanged = (relevance.squares <= self.irrelevant) | misleading  # (N, S)
        candidates, measured = squares_where(np.asarray(exchanged.any(axis=0))), None
        if self.reliance and candidates:
            measured, chosen = relied_on(model, samples, grid, candidates, self.reliance, rng)
            # the model no longer relies on what is exchanged: it stays so
            chosen |= _exchanged_before(previous or {}, grid)
            exchanged &= np.isin(np.arange(1, grid.squares + 1), sorted(chosen))
        kept = _kept(exchanged, readings)
        mean = float(grid.squares - np.mean([len(squares) for squares in kept.values()]))
        evidence = {
            "sentence": self._sentence(mean, grid, relevance),
            "relevance": evidence_of(relevance),
            "exchanged": exchanged.mean(axis=0).round(4).tolist(),  # share of images, by square
            "reliance": None if measured is None else asdict(measured),
        }
        return Selection(grid, kept, evidence)

    def _as_many(self, readings: Mapping[int, Reading], grid: Grid, n: int) -> Selection:
        """As many squares as the readings would have exchanged; `batch` draws which."""
        selected = [r.squares for r in focused(readings).values() if r.squares]
        share = marked(selected, grid).sum(axis=0) / max(1, len(selected))
        irrelevant = (share <= self.irrelevant) & (len(selected) > 0)
        irrelevant |= misleading_squares(readings, grid, self.irrelevant)
        exchanged = int(irrelevant.sum())
        kept = tuple(range(1, grid.squares + 1 - exchanged))
        sentence = (
            f"{exchanged} of {grid.squares} squares, drawn at random each time, are exchanged with "
            f"those of other training images in {self.probability:.0%} of the draws."
        )
        evidence = {"sentence": sentence, "relevance": None, "exchanged": exchanged}
        return Selection(grid, dict.fromkeys(range(n), kept), evidence)

    def _sentence(self, mean: float, grid: Grid, relevance: Relevance) -> str:
        if mean == 0:
            which = "that the model relies on " if self.reliance else ""
            return (
                f"No square {which}is irrelevant by the readings: none is exchanged; {relevance}."
            )
        which = "irrelevant squares that the model relies on" if self.reliance else "irrelevant"
        return (
            f"On average {mean:.1f} of {grid.squares} squares of a training image ({which}) are "
            f"exchanged with those of other images in {self.probability:.0%} of the draws; "
            f"{relevance}."
        )

    def batch(self, batch: Batch, draw: Draw, rng: torch.Generator) -> Batch:
        """The batch with squares exchanged; `keep` is what may stay."""
        if batch.keep is None or batch.progress >= 1 - self.clean - TINY:
            return batch
        if self.squares == "random":
            batch = replace(batch, keep=scattered(batch.keep, batch.grids, rng))
        cover = Cover(
            fill="other",
            donor=self.donor,
            soft=self.soft,
            jitter=self.jitter,
            keep_original=1 - self.probability,
        )
        return cover.batch(batch, draw, rng)


def _kept(
    exchanged: NDArray[np.bool_], readings: Mapping[int, Reading]
) -> dict[int, tuple[int, ...]]:
    """The squares of each image that are not exchanged; those that were read have a say."""
    rest = exchanged.copy()
    for i, reading in focused(readings).items():
        rest[i, [square - 1 for square in reading.squares]] = False
        rest[i, [square - 1 for square in reading.misleading]] = True
    return {i: squares_where(~row) for i, row in enumerate(rest)}


def _exchanged_before(kept: Mapping[int, tuple[int, ...]], grid: Grid) -> set[int]:
    """Squares that were exchanged in some image until now."""
    every = set(range(1, grid.squares + 1))
    return set().union(*(every - set(squares) for squares in set(kept.values())))
