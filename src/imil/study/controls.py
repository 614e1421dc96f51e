"""The controls: what would the same cases have done without a reader's judgement?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imil.cases import Case, Reading
from imil.grid import Grid
from imil.reader_names import NOBODY
from imil.readers.simulated import NO_SQUARES, Reference
from imil.store import Store
from imil.training.classifier import EpochOrder

BOX = 50 / 224  # of the image's side; CutOut's box in the paper (3.3.3)
TIMES = 5  # as often as the others is an oversampled image drawn


class Recorded:
    """The readings that somebody gave in another run, by sample.

    Args:
        store: that run's store.
    """

    def __init__(self, store: Path) -> None:
        self._readings: dict[str, Reading] = {}
        self._grids: dict[str, Grid] = {}
        opened = Store(store, readonly=True)
        try:
            for round_ in opened.rounds():
                cases = {case.id: case for case in opened.cases(round_.id)}
                for reading in opened.current_readings(round_.id).values():
                    case = cases[reading.case]
                    self._readings[case.key] = reading
                    self._grids[case.key] = case.grid
        finally:
            opened.close()

    def squares(self, case: Case) -> tuple[int, ...]:
        """The squares kept of the sample; none where it was not read, or not corrected.

        Where misleading squares alone were marked, all others are kept.
        """
        reading = self.reading(case)
        if reading is None or reading.verdict != "focus":
            return ()
        return reading.kept_squares(self._grids[case.key])

    def reading(self, case: Case) -> Reading | None:
        """The reading of the sample; None where it was not read."""
        return self._readings.get(case.key)


class Repeated:
    """The readings of another run again, for the same samples; a case without one is skipped.

    Args:
        recorded: those readings.
    """

    def __init__(self, recorded: Recorded) -> None:
        self.recorded = recorded

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """One reading per case, in order."""
        for case in cases:
            known = self.recorded.reading(case)
            if known is None:
                yield Reading(case.id, NOBODY, "skip", reason="not read in the other arm")
            else:
                yield Reading(
                    case.id,
                    known.reader,
                    known.verdict,
                    known.squares,
                    known.reason,
                    known.seconds,
                    known.squares_before,
                    known.misleading,
                )


class RandomBox:
    """Covers a random box of each case that the reader changed, as CutOut would.

    The box has its centre anywhere and is cut off at the border (DeVries & Taylor 2017). It is
    laid on the squares of the case's grid: at 64×64, 14 of 64 squares a side, 49 pixels of 224
    where the paper has 50.

    Args:
        seed: of the places.
        reference: the reader that this is the control of; where it skips, so does this.
    """

    def __init__(self, seed: int, reference: Reference) -> None:
        self.seed, self.reference = seed, reference

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """One reading per case, in order."""
        for case in cases:
            if self.reference.squares(case):
                yield Reading(case.id, "random box", "focus", self.squares(case))
            else:
                yield Reading(case.id, "random box", "skip", reason=NO_SQUARES)

    def squares(self, case: Case) -> tuple[int, ...]:
        """What is left of the image."""
        rows, cols = case.grid.rows, case.grid.cols
        down, right = self._rng(case)
        kept = np.ones((rows, cols), bool)
        kept[_span(rows, down), _span(cols, right)] = False
        return tuple(int(i) + 1 for i in np.flatnonzero(kept))

    def _rng(self, case: Case) -> NDArray[np.float64]:
        digest = hashlib.sha256(json.dumps([self.seed, "box", case.key]).encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16])).random(2)


def _span(length: int, position: float) -> slice:
    side = max(1, round(length * BOX))
    first = int(position * length) - side // 2
    return slice(max(0, first), min(length, first + side))


class SkipAll:
    """The answers where images are not changed but drawn more often.

    Args:
        reference: the reader that this is the control of.
    """

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """One reading per case, in order."""
        for case in cases:
            often = bool(self.reference.squares(case))
            why = f"drawn {TIMES} times as often instead" if often else NO_SQUARES
            yield Reading(case.id, NOBODY, "skip", reason=why)


class Oversample:
    """After each round the cases that the reader changed are drawn `TIMES` times as often.

    Args:
        order: the sampler of the training set.
        keys: the samples' keys by position.
        store: where the run's rounds are.
        run: name of the run in it.
        reference: the reader that this is the control of.
    """

    def __init__(
        self, order: EpochOrder, keys: Sequence[str], store: Store, run: str, reference: Reference
    ) -> None:
        self._order, self._store, self._run = order, store, run
        self._reference = reference
        self._at = {key: i for i, key in enumerate(keys)}

    def __call__(self, epoch: int) -> None:
        """Take up the rounds that were held after so many completed epochs, or before."""
        rounds = [round_ for round_ in self._store.rounds(self._run) if round_.epoch <= epoch]
        cases = [case for round_ in rounds for case in self._store.cases(round_.id)]
        changed = [self._at[case.key] for case in cases if self._reference.squares(case)]
        self._order.oversample(changed, TIMES)
