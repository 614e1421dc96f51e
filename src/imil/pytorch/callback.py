"""IMIL in a training loop of your own.

train = CorrectedDataset(raw, transform=augment, view=normalise)         # 1
imil = IMIL(train, model, ask, store="run/imil.sqlite", imil_epoch=70)   # 2
for epoch in range(100):
    ...                                                                  # train one epoch
    imil.after_epoch(epoch + 1)                                          # 3
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from imil.cases import HeatMap, Reader, Round, RoundSettings
from imil.errors import RoundPaused, SettingsError
from imil.grid import Grid
from imil.outliers import ROUNDING
from imil.pytorch.dataset import CorrectedDataset
from imil.pytorch.model import TorchModel
from imil.round_options import GRID_SIZE, IMIL_EPOCH, NUM_OUTLIERS, check_epochs
from imil.rounds import Say, restore, run_round
from imil.store import Store

Known = NDArray[np.float64] | Iterable[NDArray[np.float64]]
RECORDED = ("imil", "numpy", "pillow", "sqlalchemy", "torch", "torchvision", "timm", "lightning")


@dataclass(frozen=True)
class Foreseen:
    """What the model was found to see in the training images, before a round asks it.

    Args:
        probs: probabilities (N, K), whole or in parts.
        maps: (position, class) -> heat-map, as `TorchModel.explain` gives it; those that a round
            needs and that are not among them are made for it.
    """

    probs: Known
    maps: Mapping[tuple[int, int], HeatMap] = field(default_factory=dict)


Predicted = Callable[[int], Foreseen | Known | None]


class IMIL:
    """The paper's training callback (section 3.1), for a loop that you write.

    Nothing random is consumed and nothing in the model changes: with no outlier, training goes
    on bit for bit as without it.

    Args:
        samples: the training set that your `DataLoader` draws from.
        model: gives logits (B, K); anything on the device where it trains. Or a `TorchModel` of
            it, which has a layer and a batch_size of its own.
        ask: the reader, such as `imil.readers.Console("Dr. Lee", folder)`.
        store: file of the store, or an open `Store`. Each reading is on disk in it before
            the reader is asked for the next.
        run: name of this training in the store.
        imil_epoch: after how many completed epochs a round is held; one number, or several.
        num_outliers: mistakes put to the reader in a round (paper: 20).
        grid_size: 4 for 4×4, or "4x6" (paper: 4).
        layer: the layer to explain, as in `model.named_modules()`; found by itself if None.
        batch_size: images at a time when predicting.
        say: takes a line for the person who is watching.
        predicted: completed epochs -> probabilities (N, K) of the original training images, as
            `TorchModel.predict` gives them, where you have them already; whole, or in parts as
            `TorchModel.parts` gives them; or None. Saves the round a pass over the set. With
            heat-maps, where you have them too: `Foreseen`.
    Raises: SettingsError: a setting is out of range.

    A training that is begun anew needs a store, or a `run`, of its own: readings of another
    training's mistakes would correct this one unseen.
    """

    def __init__(
        self,
        samples: CorrectedDataset,
        model: nn.Module | TorchModel,
        ask: Reader,
        *,
        store: Store | Path | str,
        run: str = "run",
        imil_epoch: int | Sequence[int] = IMIL_EPOCH,
        num_outliers: int = NUM_OUTLIERS,
        grid_size: int | str | Grid = GRID_SIZE,
        layer: str | None = None,
        batch_size: int = 64,
        say: Say = print,
        predicted: Predicted | None = None,
    ) -> None:
        self.imil_epoch = check_epochs(imil_epoch)
        self.settings = RoundSettings(num_outliers, Grid.parse(grid_size))
        self.samples, self.ask, self.run, self.say = samples, ask, run, say
        self.predicted = predicted
        if isinstance(model, nn.Module):
            model = TorchModel(model, batch_size=batch_size, layer=layer)
        self.model = model
        self.store = store if isinstance(store, Store) else Store(store)
        self.store.add_run(
            run,
            class_names=samples.class_names,
            settings={"imil_epoch": list(self.imil_epoch), **self.settings.as_dict()},
            versions=versions(),
        )
        self._before = tuple(round_.epoch for round_ in self.store.rounds(run))
        self._goes_on = self._looked = False

    def begin(self) -> None:
        """Say now, rather than at the round, what a round would fail for.

        Raises:
            SettingsError: the run has rounds already, and they are not gone on with; the layer
                that was named gives no map of the image, or no layer of the model does.
            ShapeError: the model's output is no (B, K), or a label is none of its classes.
            DataError: the first image cannot be shown, or the first two have views of two sizes.
        """
        if self._before and not self._goes_on:
            raise SettingsError(
                f"run '{self.run}' in {self.store.path} has had its round after epoch "
                f"{self._before[0]}: to go on, resume from your checkpoint (restore, or ckpt_path "
                "in Lightning); to train anew, give another run or store"
            )
        if not self._looked:
            self.model.check(self.samples)
            if len(self.samples):
                self.samples.image(0)
            self._looked = True

    def after_epoch(self, epoch: int) -> Round | None:
        """The round held after `epoch` completed epochs, or None where none is due.

        Raises:
            RoundPaused: the reader stopped; call again with the same model to go on.
            SettingsError: the run has rounds from an earlier training, see `begin`; `predicted`
                gives no probabilities.
        """
        self.begin()
        if epoch not in self.imil_epoch:
            return None
        known = None if self.predicted is None else self.predicted(epoch)
        round_ = run_round(
            self.model if known is None else _Seen(self.model, known),
            self.samples,
            self.ask,
            self.store,
            run=self.run,
            epoch=epoch,
            settings=self.settings,
            say=self.say,
        )
        if round_.state == "open":
            left = len(self.store.unread(round_.id))
            raise RoundPaused(
                f"the round after epoch {epoch} is paused with {left} of {round_.cases} cases "
                "unread; every reading so far is stored"
            )
        return round_

    def restore(self, epoch: int) -> Round | None:
        """Go on after `epoch` completed epochs: earlier corrections, then the round due now.

        Raises: RoundPaused: the reader stopped before the round was read.
        """
        self._goes_on = True
        restore(self.samples, self.store, run=self.run, epoch=epoch)
        held = {round_.epoch for round_ in self.store.rounds(self.run)}
        for late in self.imil_epoch:
            if late < epoch and late not in held:
                self.say(f"No round will be held after epoch {late}: {epoch} are done already.")
        return self.after_epoch(epoch)


class _Seen:
    """A model that has predicted the samples before."""

    def __init__(self, model: TorchModel, known: Foreseen | Known) -> None:
        self._model = model
        self._known = known if isinstance(known, Foreseen) else Foreseen(known)

    def explain(
        self, samples: CorrectedDataset, indices: Sequence[int], classes: Sequence[int]
    ) -> list[HeatMap]:
        maps = dict(self._known.maps)
        missing = [one for one in zip(indices, classes, strict=True) if one not in maps]
        made = self._model.explain(samples, [i for i, _ in missing], [of for _, of in missing])
        maps |= zip(missing, made, strict=True)
        return [maps[one] for one in zip(indices, classes, strict=True)]

    def parts(self, _samples: CorrectedDataset) -> Iterator[NDArray[np.float64]]:
        probs = self._known.probs
        for part in [probs] if isinstance(probs, np.ndarray) else probs:
            if part.ndim == 2 and not _are_probabilities(part):
                raise SettingsError(
                    f"`predicted` gives {part.min():.3g} to {part.max():.3g} in rows that do not "
                    "all sum to 1: give probabilities, such as the softmax of the logits"
                )
            yield part


def _are_probabilities(part: NDArray[np.float64]) -> bool:
    # what is no number is named by the choice
    return not (part < 0).any() and not (np.abs(part.sum(axis=1) - 1) > ROUNDING).any()


def versions() -> dict[str, Any]:
    """Versions of Python and of the libraries that a run's numbers depend on."""
    found = {"python": platform.python_version()}
    for name in RECORDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
