"""Simulated readers: one that knows the masks, and two that are controls for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from imil.cases import Case, Reading
from imil.errors import DataError, SettingsError

Masks = Callable[[str], Sequence[NDArray[np.bool_] | None]]
EVEN_SHARE = 0.8  # of the share of a square if the region covered the image evenly
NO_MASK = "the image has no mask"
NO_SQUARES = "the reference selects no square"


class Reference(Protocol):
    """A reader that a control is compared with."""

    def squares(self, case: Case) -> tuple[int, ...]:
        """The squares that it selects in the case; empty where it selects none."""


class Simulated:
    """A reader that selects the squares in which the sample's mask lies.

    Its readings depend only on the seed, its name, the sample and the epoch of the round, so a
    resumed round and a second run get the same readings. At least one square is selected wherever
    the mask has a pixel: the one with the greatest share, if no other is.

    On Shenzhen at 4×4 the default selects 3 squares of a lesion (median; 1 to 6 in nine of ten)
    that contain 99 % of it, and 8 to 9 squares of the lungs that contain 91 %.

    Args:
        masks: sample key -> masks in order of preference, such as lesion, then lungs; (H, W) of
            any size, (D, H, W) of volumes. None or an empty mask: the next one is used. No mask at
            all: the case is skipped.
        of: whether the threshold is a share of the region that lies in the square, or of the
            square that the region covers.
        threshold: a square with at least this share is selected, in [0, 1]. None: 0.05 of the
            square; 0.8 / number of squares of the region (0.05 at 4×4, scaled to other grids).
        miss: probability that a selected square is left out.
        false: probability that another square is added.
        one_region: use only the largest connected region.
        misleading: so many squares at most are marked as misleading; 0 marks none. They have no
            pixel of any mask, and more than an even share of the energy of the predicted class'
            heat-map, the most first: the model looks there, and nothing is there.
        seed: of misses and false squares.
        name: the reader's name in the readings.
    Raises: SettingsError: a share or probability outside [0, 1], or an invalid number of squares.
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
        misleading: float = 0,
        name: str = "simulated",
    ) -> None:
        if of not in ("square", "region"):
            raise SettingsError(f"of is '{of}': give 'square' or 'region'")
        for what, value in (("threshold", threshold), ("miss", miss), ("false", false)):
            if value is not None and not 0 <= value <= 1:
                raise SettingsError(f"{what} is {value}: give a number from 0 to 1")
        if not (misleading >= 0 and misleading % 1 == 0):
            raise SettingsError(f"misleading is {misleading}: give a number of squares, 0 or more")
        self.masks, self.seed, self.name, self.marks = masks, seed, name, int(misleading)
        self.threshold, self.of, self.one_region = threshold, of, one_region
        self.miss, self.false = miss, false

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """One reading per case, in order."""
        for case in cases:
            reading = _reading(case, self.name, self.squares(case), NO_MASK)
            if self.marks and reading.verdict == "focus":
                reading = replace(reading, misleading=self.misleading(case, reading.squares))
            yield reading

    def misleading(self, case: Case, selected: Sequence[int]) -> tuple[int, ...]:
        """The squares without a mask and not selected that have most of the heat-map's energy."""
        energy = _energy(case)
        for mask in map(_check_mask, self.masks(case.key)):
            if mask is not None:
                energy[case.grid.shares(mask) > 0] = 0
        energy[[square - 1 for square in selected]] = 0
        most = np.argsort(-energy, kind="stable")[: self.marks]
        return tuple(sorted(int(i) + 1 for i in most if energy[i] * case.grid.squares > 1))

    def squares(self, case: Case) -> tuple[int, ...]:
        """The squares that it selects; empty if there is no mask."""
        shares = self._shares(case)
        if shares is None:
            return ()
        selected = (shares >= self._min_share(case)) & (shares > 0)
        best = int(shares.argmax())
        selected[best] |= not selected.any()
        draws = _rng(self.seed, self.name, case).random(len(shares))
        selected = np.where(selected, draws >= self.miss, draws < self.false)
        selected[best] |= not selected.any()
        return _square_numbers(selected)

    def _shares(self, case: Case) -> NDArray[np.float64] | None:
        """The share of each square, or of the region in it; None if there is no mask."""
        usable = (mask for mask in map(_check_mask, self.masks(case.key)) if mask is not None)
        mask = next(usable, None)
        if mask is None:
            return None
        if self.one_region:
            mask = largest_region(mask)
        if self.of == "square":
            return case.grid.shares(mask)
        squares = case.grid.labels(*mask.shape)[mask] - 1
        return np.bincount(squares, minlength=case.grid.squares) / squares.size

    def _min_share(self, case: Case) -> float:
        if self.threshold is not None:
            return self.threshold
        return 0.05 if self.of == "square" else EVEN_SHARE / case.grid.squares


class RandomSquares:
    """The control that selects as many squares as the reference, at random.

    Args:
        seed: of the draw.
        reference: the reader whose number of squares is used; where it skips, so does this.
        count: the number of squares instead; all squares if the grid has fewer.
        name: the reader's name in the readings.
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
        """The squares that it selects; empty where the reference selects none."""
        count = self.count or 0
        if self.reference is not None:
            count = len(self.reference.squares(case))
        order = _rng(self.seed, self.name, case).random(case.grid.squares).argsort()
        return tuple(sorted(int(i) + 1 for i in order[:count]))


class Inverted:
    """The control that selects exactly the squares that the reference does not.

    Args:
        reference: the reader that is inverted; where it skips or selects every square, this
            skips.
        name: the reader's name in the readings.
    """

    def __init__(self, *, reference: Reference, name: str = "inverted") -> None:
        self.reference, self.name = reference, name

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """One reading per case, in order."""
        for case in cases:
            selected = self.reference.squares(case)
            others = set(range(1, case.grid.squares + 1)) - set(selected) if selected else ()
            reason = "the reference selects every square" if selected else NO_SQUARES
            yield _reading(case, self.name, tuple(sorted(others)), reason)


def _energy(case: Case) -> NDArray[np.float64]:
    """The share of the predicted class' heat-map that lies in each square, (squares,)."""
    heat = case.cam_predicted.astype(np.float64)
    index = case.grid.labels(*heat.shape).ravel() - 1
    energy = np.bincount(index, weights=heat.ravel(), minlength=case.grid.squares)
    return np.asarray(energy / max(energy.sum(), 1e-12))


def _reading(case: Case, reader: str, squares: tuple[int, ...], skip_reason: str) -> Reading:
    """`focus` on the squares, or `skip` with the reason if there are none."""
    if squares:
        return Reading(case.id, reader, "focus", squares)
    return Reading(case.id, reader, "skip", reason=skip_reason)


def largest_region(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask of its largest connected region; of two equally large ones the upper.

    Pixels that touch at a corner are connected.

    Args:
        mask: (H, W) or (D, H, W), at least one pixel True.
    Raises: SettingsError: SciPy is not installed.
    """
    try:
        from scipy import ndimage  # half a second, and only this option needs it
    except ModuleNotFoundError:
        raise SettingsError("one_region needs SciPy: pip install 'imil[train]'") from None
    labels, _ = ndimage.label(mask, structure=np.ones((3,) * mask.ndim))
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0  # the background; regions are numbered from the upper left
    return np.asarray(labels == sizes.argmax())


def _check_mask(mask: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """The mask as bool, or None if it is empty."""
    if mask is None or not mask.any():
        return None
    if mask.ndim not in (2, 3):
        raise DataError(
            f"a mask of shape {mask.shape} cannot be read: give (height, width), or with slices "
            "before them"
        )
    return mask.astype(bool, copy=False)


def _square_numbers(selected: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(i) + 1 for i in np.flatnonzero(selected))


def _rng(seed: int, name: str, case: Case) -> np.random.Generator:
    """The generator of this reader for this sample in this round, independent of other cases.

    The epoch identifies the round: with the run's name, every run would get other readings.
    """
    identity = json.dumps([seed, name, case.key, case.epoch])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(identity.encode()).digest()[:16]))
