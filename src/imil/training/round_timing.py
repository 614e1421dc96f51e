"""When the rounds of a run are held, and how many cases each may have.

Both follow from the settings, the history of the epochs and the rounds in the store alone, so
that a run that was stopped and goes on holds the same rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imil.cases import Round
from imil.errors import SettingsError
from imil.round_settings import cases_at
from imil.settings import TrainSettings

Rows = Sequence[Mapping[str, Any]]  # of history.csv: epoch, train_accuracy, val_loss …


@dataclass(frozen=True)
class RoundTiming:
    """Says after which epochs rounds are held.

    `schedule`: after each of the epochs. `stall`: once the validation loss has not been lower for
    `patience` epochs. `few-mistakes`: once at most `mistakes` training images were wrong in an
    epoch, as they were trained on. The latter two hold as many rounds as there are epochs, the
    i-th no later than after the i-th epoch. What came before a round does not count after it, and
    before a round that is due early there are at least `patience` epochs since the last one.

    Args:
        when: `schedule`, `stall` or `few-mistakes`.
        epochs: completed epochs, ascending.
        patience: in epochs, at least 1.
        mistakes: at least 0.
        images: in the training set, N.
    Source: stall is the criterion of early stopping, Prechelt 1998.
    """

    when: str
    epochs: tuple[int, ...]
    patience: int
    mistakes: int
    images: int

    def reason(self, rows: Rows, held: Sequence[int]) -> str | None:
        """Why a round is held after the last of these epochs, as a clause; None if none is.

        Args:
            rows: of all completed epochs, in order.
            held: completed epochs before each earlier round, ascending.

        >>> timing = RoundTiming("stall", (9,), patience=2, mistakes=0, images=0)
        >>> rows = [{"epoch": i + 1, "val_loss": loss} for i, loss in enumerate([.7, .5, .6, .5])]
        >>> timing.reason(rows[:3], []), timing.reason(rows, [])
        (None, 'the validation loss has not been lower for 2 epochs')
        """
        if not rows:
            return None
        epoch = rows[-1]["epoch"]
        if self.when == "schedule":
            return f"epoch {epoch} is completed" if epoch in self.epochs else None
        if len(held) >= len(self.epochs):
            return None
        latest, last = self.epochs[len(held)], held[-1] if held else 0
        if epoch >= latest:
            return f"{latest} is the latest epoch for it"
        if held and epoch - last < self.patience:
            return None
        since = [row for row in rows if row["epoch"] > last]
        return self._stalled(since) if self.when == "stall" else self._few_mistakes(since[-1])

    def _stalled(self, rows: Rows) -> str | None:
        best = min(rows, key=lambda row: row["val_loss"])  # the first of equal ones
        if rows[-1]["epoch"] - best["epoch"] < self.patience:
            return None
        unit = "epoch" if self.patience == 1 else "epochs"
        return f"the validation loss has not been lower for {self.patience} {unit}"

    def _few_mistakes(self, row: Mapping[str, Any]) -> str | None:
        wrong = round((1 - row["train_accuracy"]) * self.images)
        if wrong > self.mistakes:
            return None
        return f"{wrong} training images were wrong in this epoch, at most {self.mistakes} wanted"


class DueRounds:
    """The numbers of completed epochs after which a round is held: `epoch in due_rounds`.

    Only the newest epoch, and those of rounds that were held, are known.

    Args:
        timing: says when.
        rows: gives the history so far.
        held: gives the rounds in the store.
    """

    def __init__(
        self, timing: RoundTiming, rows: Callable[[], Rows], held: Callable[[], Sequence[Round]]
    ) -> None:
        self._timing, self._rows, self._held = timing, rows, held

    def __contains__(self, epoch: object) -> bool:
        return isinstance(epoch, int) and self.reason(epoch) is not None

    def reason(self, epoch: int) -> str | None:
        """Why a round is held after that many completed epochs, as a clause; None if none is."""
        if self._timing.when == "schedule":  # needs no history
            return self._timing.reason([{"epoch": epoch}], [])
        held = [round_.epoch for round_ in self._held()]
        if epoch in held:  # it is continued
            return "it was begun"
        rows = [row for row in self._rows() if row["epoch"] <= epoch]
        return self._timing.reason(rows, [one for one in held if one < epoch])

    def cases(self, epoch: int, settings: TrainSettings) -> int:
        """How many cases the round after that epoch may have."""
        held = [round_ for round_ in self._held() if round_.epoch < epoch]
        return cases_at(settings, held, len(self._timing.epochs) - len(held))


@dataclass(frozen=True)
class KeptEpochs:
    """Completed epochs after which everything is kept: given ones, and those of rounds."""

    marks: tuple[int, ...]
    due: DueRounds

    def __contains__(self, epoch: object) -> bool:
        return epoch in self.marks or epoch in self.due


def round_timing(settings: TrainSettings, epochs: tuple[int, ...], images: int) -> RoundTiming:
    """The timing that the settings describe.

    Args:
        epochs: of `--imil-epoch`, those before the last epoch of the training.
        images: in the training set.
    """
    first = cases_at(settings, [], max(1, len(epochs)))
    mistakes = first if settings.mistakes == "default" else settings.mistakes
    return RoundTiming(settings.round_when, epochs, settings.patience, mistakes, images)


def check_validation(settings: TrainSettings, splits: Sequence[str]) -> None:
    """Check that there is a validation set, if rounds wait for its loss.

    Args:
        splits: that have images.
    Raises: SettingsError: there is none.
    """
    if settings.round_when == "stall" and "val" not in splits:
        raise SettingsError(
            "--round-when stall follows the loss of a validation set, and there is none: give "
            "--val-share 0.1, or a column of splits with val"
        )
