"""Readers that need no person: one that knows the masks, and two that control for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from imil.cases import Case, Reading
from imil.errors import DataError, SettingsError
from imil.readers.regions import largest_region

Masks = Callable[[str], Sequence[NDArray[np.bool_] | None]]
EVEN = 0.8  # of what a square would hold if the region were spread evenly over the image
NO_MASK = "no mask shows where to look"
NO_SQUARES = "the reference selects no square"


class Reference(Protocol):
    """Whoever a control is compared with."""

    def squares(self, case: Case) -> tuple[int, ...]:
        """The squares it selects of the case; none where it selects none."""


class Simulated:
    """A reader that selects the squares in which the sample's mask lies.

    What it answers depends on the seed, its name, the sample and the epoch of the round alone,
    so a resumed round and a second run get the same answers. At least one square is selected
    wherever the mask has a pixel: the one with the greatest share, if no other is.

    On Shenzhen at 4×4 the default selects 3 squares of a lesion (median; 1 to 6 in nine of ten)
    that hold 99 % of it, and 8 to 9 squares of the lungs that hold 91 %.

    Args:
        masks: sample key -> masks in order of preference, such as lesion, then lungs; (H, W) of
            any size. None or an empty mask: not there. Nothing at all: the case is skipped.
        of: whether the threshold is a share of the region that lies in the square, or of the
            square that the region covers.
        threshold: a square with at least this share is selected, in [0, 1]. None: 0.05 of the
            square; 0.8 / number of squares of the region (0.05 at 4×4, as fair at any grid).
        miss: probability that a selected square is left out.
        false: probability that another square is added.
        one_region: attend to the largest connected region only.
        seed: of misses and false squares.
        name: who is said to have read.
    Raises: SettingsError: a share or probability outside [0, 1].
    Source: stands in for the reader of paper 3.1, step 6.
    """

    def __init__(
        self,
        *,
        masks: Masks,
        seed: int,
        threshold: float | None = None,
        of: Literal["square", "region"] = "region",
        miss: float = 0.0,
        false: float = 0.0,
        one_region: bool = False,
        name: str = "simulated",
    ) -> None:
        if of not in ("square", "region"):
            raise SettingsError(f"of is '{of}': give 'square' or 'region'")
        for what, value in (("threshold", threshold), ("miss", miss), ("false", false)):
            if value is not None and not 0 <= value <= 1:
                raise SettingsError(f"{what} is {value}: give a number from 0 to 1")
        self.masks, self.seed, self.name = masks, seed, name
        self.threshold, self.of, self.one_region = threshold, of, one_region
        self.miss, self.false = miss, false

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """One reading per case, in order."""
        for case in cases:
            yield _reading(case, self.name, self.squares(case), NO_MASK)

    def squares(self, case: Case) -> tuple[int, ...]:
        """The squares it selects; none if there is no mask."""
        shares = self._shares(case)
        if shares is None:
            return ()
        chosen = (shares >= self._least(case)) & (shares > 0)
        best = int(shares.argmax())
        chosen[best] |= not chosen.any()
        dice = _rng(self.seed, self.name, case).random(len(shares))
        chosen = np.where(chosen, dice >= self.miss, dice < self.false)
        chosen[best] |= not chosen.any()
        return _numbered(chosen)

    def _shares(self, case: Case) -> NDArray[np.float64] | None:
        """Of each square, or of the region in each square; None if there is no mask."""
        there = (m for m in map(_plane, self.masks(case.key)) if m is not None)
        mask = next(there, None)
        if mask is None:
            return None
        if self.one_region:
            mask = largest_region(mask)
        if self.of == "square":
            return case.grid.shares(mask)
        squares = case.grid.labels(*mask.shape)[mask] - 1
        return np.bincount(squares, minlength=case.grid.squares) / squares.size

    def _least(self, case: Case) -> float:
        if self.threshold is not None:
            return self.threshold
        return 0.05 if self.of == "square" else EVEN / case.grid.squares


class RandomSquares:
    """The control that selects as many squares as the reference would, but anywhere.

    Args:
        seed: of the draw.
        reference: the reader whose number of squares is taken; where it skips, so does this.
        count: the number of squares instead; all of them if the grid has fewer.
        name: who is said to have read.
    Raises: SettingsError: not exactly one of reference and count, or a count below 1.
    """

    def __init__(
        self,
        *,
        seed: int,
        reference: Reference | None = None,
        count: int | None = None,
        name: str = "random",
    ) -> None:
        if (reference is None) == (count is None):
            raise SettingsError("a random reader needs either a reference or a count of squares")
        if count is not None and count < 1:
            raise SettingsError(f"count is {count}: give 1 or more squares")
        self.seed, self.reference, self.count, self.name = seed, reference, count, name

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """One reading per case, in order."""
        for case in cases:
            yield _reading(case, self.name, self.squares(case), NO_SQUARES)

    def squares(self, case: Case) -> tuple[int, ...]:
        """The squares it selects; none where the reference selects none."""
        count = self.count or 0
        if self.reference is not None:
            count = len(self.reference.squares(case))
        order = _rng(self.seed, self.name, case).random(case.grid.squares).argsort()
        return tuple(sorted(int(i) + 1 for i in order[:count]))


class Inverted:
    """The control that selects exactly the squares that the reference would not.

    Args:
        reference: the reader that is contradicted; where it skips or selects every square,
            this skips.
        name: who is said to have read.
    """

    def __init__(self, *, reference: Reference, name: str = "inverted") -> None:
        self.reference, self.name = reference, name

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """One reading per case, in order."""
        for case in cases:
            theirs = self.reference.squares(case)
            rest = sorted(set(range(1, case.grid.squares + 1)) - set(theirs)) if theirs else ()
            why = "the reference selects every square" if theirs else NO_SQUARES
            yield _reading(case, self.name, tuple(rest), why)


def _reading(case: Case, reader: str, squares: tuple[int, ...], otherwise: str) -> Reading:
    """`focus` on the squares, or `skip` with the reason if there is none."""
    if squares:
        return Reading(case.id, reader, "focus", squares)
    return Reading(case.id, reader, "skip", reason=otherwise)


def _plane(mask: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """The mask, or None if it has no pixel."""
    if mask is None or not mask.any():
        return None
    if mask.ndim != 2:
        raise DataError(f"a mask of shape {mask.shape} cannot be read: give (height, width)")
    return mask.astype(bool, copy=False)


def _numbered(chosen: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) + 1 for i in np.flatnonzero(chosen))


def _rng(seed: int, name: str, case: Case) -> np.random.Generator:
    """Randomness of this reader on this sample in this round, whatever was asked before.

    The epoch stands for the round: the run's name would give every run other answers.
    """
    what = json.dumps([seed, name, case.key, case.epoch])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(what.encode()).digest()[:16]))
