"""Squares that the model may not use are black in every image, in training and in use.

Which they are takes two kinds of evidence. Readers say which squares are irrelevant: those that
almost nobody selected, or that several marked as misleading. Exchanging these squares between
training images shows on which of them the model relies. A square is covered where both agree, so
films without a shortcut lose nothing, and a corner letter is gone from every film, also in the
hospital where the model is used.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from imil.cases import Reading, Samples
from imil.errors import SettingsError
from imil.grid import Grid
from imil.treatments.option_checks import check_choice
from imil.treatments.predicted import (
    EVEN,
    evidence_of,
    misleading_squares,
    predict_relevance,
    relied_on,
    squares_where,
)
from imil.treatments.relevance import BY, Relevance
from imil.treatments.reliance import Reliance
from imil.treatments.treatment import Field, Treatment

MINORITY = 0.25  # of the readings: squares that more of them selected are never covered


@dataclass(frozen=True)
class FieldOfView(Treatment):
    """Covers what readers call irrelevant and the model relies on.

    Args:
        irrelevant: a square is irrelevant that at most this share of the readings selected,
            in [0, 1). So is one that at least two readings, and at least this share, mark as
            misleading, if fewer select it.
        reliance: how far the model must rely on an irrelevant square for it to be covered, in
            multiples of the share that each square would have if all counted the same; 0 covers
            every irrelevant square.
        by: what a square is known by: its `position`, since the field of view is one for all
            images, also for those in use, of which nothing was read.
        squares: `readers`, or `all`: every square counts as irrelevant, whatever was read. This is
            the control without a reader, which covers what the model relies on most.
        tokens: whether a vision transformer is not given the patches that are covered, rather than
            black ones; squares must be whole numbers of patches.
    Raises: SettingsError: a value out of range, or a field of view by features.
    """

    irrelevant: float = MINORITY
    reliance: float = EVEN
    by: str = "position"
    squares: str = "readers"
    tokens: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.irrelevant < 1:
            raise SettingsError(f"irrelevant is {self.irrelevant}: give a share from 0 to below 1")
        if not self.reliance >= 0:
            raise SettingsError(f"reliance is {self.reliance}: give 0 or more")
        check_choice("by", self.by, BY)
        check_choice("squares", self.squares, ("readers", "all"))
        if self.squares == "all" and self.reliance == 0:
            raise SettingsError(
                "squares=all contradicts reliance=0, which would cover the whole image: give a "
                "reliance above 0, or squares=readers"
            )
        if self.by != "position":
            raise SettingsError(
                f"by={self.by} tells the squares of each image apart, and a field of view is one "
                "for all images, in use too: give by=position, or the treatment "
                f"exchange:by={self.by}"
            )

    @property
    def leaves_out_tokens(self) -> bool:
        """Whether a vision transformer is not given the patches outside of the field."""
        return self.tokens

    def check(self, model: Any, samples: Samples, grid: Grid) -> None:
        """Raises: SettingsError: tokens are to be left out of a model that cannot do that."""
        if self.tokens:
            model.check_tokens(samples, grid)

    def field(
        self,
        readings: Mapping[int, Reading],
        grid: Grid,
        model: Any,
        samples: Samples,
        rng: np.random.Generator,
        previous: Field | None = None,
    ) -> Field:
        """The squares that stay, with the evidence.

        Raises: SettingsError: the readings do not say which squares are irrelevant.
        """
        relevance = None
        misleading = misleading_squares(readings, grid, self.irrelevant)
        chosen = np.ones(grid.squares, bool)
        if self.squares == "readers":
            relevance = predict_relevance(readings, grid, model, samples, rng)
            chosen = (relevance.squares[0] <= self.irrelevant) | misleading
        irrelevant = list(squares_where(chosen))
        measured = None
        covered = set(irrelevant)
        if self.reliance > 0 and irrelevant:
            measured, covered = relied_on(model, samples, grid, irrelevant, self.reliance, rng)
        every = set(range(1, grid.squares + 1))
        if previous is not None:  # a model cannot rely on what is covered: it stays so
            covered |= (every - set(previous.squares)) & set(irrelevant)
        evidence = _evidence(relevance, irrelevant, measured, tuple(sorted(covered)))
        if misleading.any():  # what nobody marked is not in the evidence
            evidence["misleading"] = list(squares_where(misleading))
        return Field(grid, tuple(sorted(every - covered)), evidence)


def _evidence(
    relevance: Relevance | None,
    irrelevant: list[int],
    measured: Reliance | None,
    covered: tuple[int, ...],
) -> dict[str, Any]:
    """What the decision rests on: plain JSON values, and a sentence for people."""
    names = ", ".join(map(str, covered))
    if not irrelevant:
        sentence = "Every square was selected in some of the readings: no square is covered."
    elif measured is None:
        sentence = f"Squares {names} are black in every image: the readings call them irrelevant."
    elif covered:
        sentence = (
            f"Square{'s' if len(covered) > 1 else ''} {names} black in every image from now on: "
            "the readings call what lies there irrelevant, and the model relied on it."
        )
    else:
        sentence = (
            f"The model relies on none of the {len(irrelevant)} squares that the readings call "
            "irrelevant: no square is covered."
        )
    if relevance is None:
        sentence = f"{_sentence_without_readers(names)} Control: no reading plays a part."
    return {
        "sentence": sentence,
        "selected": None if relevance is None else relevance.squares[0].round(4).tolist(),
        "relevance": None if relevance is None else evidence_of(relevance),
        "irrelevant": irrelevant,
        "reliance": None if measured is None else asdict(measured),
        "covered": list(covered),
    }


def _sentence_without_readers(names: str) -> str:
    if not names:
        return "The model relies on no square that much: none is covered."
    return f"Squares {names} are black in every image from now on: the model relied on them."
