"""The controls: what would the same cases have done without a reader's judgement?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from numpy.typing import NDArray

from imil.cases import Case, Reading
from imil.store import Store
from imil.training.classifier import EpochOrder

BOX = 50 / 224  # of the image's side; CutOut's box in the paper (Table 1)
TIMES = 5  # as often as the others is a favoured image drawn


class Recorded:
    """The squares that somebody selected in another run, by sample.

    Args:
        store: that run's store.
    """

    def __init__(self, store: Path) -> None:
        self._squares: dict[str, tuple[int, ...]] = {}
        opened = Store(store, readonly=True)
        try:
            for round_ in opened.rounds():
                keys = {case.id: case.key for case in opened.cases(round_.id)}
                for reading in opened.standing(round_.id).values():
                    if reading.verdict == "focus":
                        self._squares[keys[reading.case]] = reading.squares
        finally:
            opened.close()

    def squares(self, case: Case) -> tuple[int, ...]:
        """The squares selected of the sample; none where it was not read or not selected in."""
        return self._squares.get(case.key, ())


class RandomBox:
    """Covers a random box of each case, as CutOut would, and keeps the rest.

    The box has its centre anywhere and is cut off at the border (DeVries & Taylor 2017). It is
    laid on the squares of the case's grid: at 64×64, 14 of 64 squares a side, 49 pixels of 224
    where the paper has 50.

    Args:
        seed: of the places.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def __call__(self, cases: Sequence[Case]) -> Iterator[Reading]:
        """One reading per case, in order."""
        for case in cases:
            yield Reading(case.id, "random box", "focus", self.squares(case))

    def squares(self, case: Case) -> tuple[int, ...]:
        """What is left of the image."""
        rows, cols = case.grid.rows, case.grid.cols
        down, right = self._dice(case)
        kept = np.ones((rows, cols), bool)
        kept[_span(rows, down), _span(cols, right)] = False
        return tuple(int(i) + 1 for i in np.flatnonzero(kept))

    def _dice(self, case: Case) -> NDArray[np.float64]:
        digest = hashlib.sha256(json.dumps([self.seed, "box", case.key]).encode()).digest()
        return np.random.default_rng(int.from_bytes(digest[:16])).random(2)


def _span(length: int, dice: float) -> slice:
    side = max(1, round(length * BOX))
    first = int(dice * length) - side // 2
    return slice(max(0, first), min(length, first + side))


def leave_as_they_are(cases: Sequence[Case]) -> Iterator[Reading]:
    """The answers where images are not changed but drawn more often."""
    for case in cases:
        yield Reading(case.id, "nobody", "skip", reason=f"drawn {TIMES} times as often instead")


class DrawnOften(Callback):
    """After each round its cases are drawn `TIMES` times as often as other images.

    Args:
        order: the sampler of the training set.
        keys: the samples' keys by position.
        store: where the run's rounds are.
        run: name of the run in it.
    """

    def __init__(self, order: EpochOrder, keys: Sequence[str], store: Store, run: str) -> None:
        self._order, self._store, self._run = order, store, run
        self._at = {key: i for i, key in enumerate(keys)}

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the rounds before the checkpoint, and the one that was held at it."""
        self._favour(trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take up the round that followed this epoch."""
        self._favour(trainer.current_epoch + 1)

    def _favour(self, epoch: int) -> None:
        held = [one for one in self._store.rounds(self._run) if one.epoch <= epoch]
        cases = [case.key for one in held for case in self._store.cases(one.id)]
        self._order.favour([self._at[key] for key in cases], TIMES)
