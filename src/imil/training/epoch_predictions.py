"""The probabilities of each training image in each epoch, as training computed them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imil.choices.among_mistakes import EARLY_EPOCHS
from imil.errors import DataError

if TYPE_CHECKING:
    from imil.training.ranks.team import Team

Floats = NDArray[np.float64]


class EpochPredictions:
    """Keeps what each training step predicts anyway, without a pass over the images.

    So an image is predicted as it is trained on: augmented, treated, in training mode, by the
    weights at that step. An image that an epoch leaves out keeps its probabilities of the epoch
    before, at first 1/K; of one that is drawn several times the last ones are kept.

    Memory: 4 · N · K bytes for each epoch, also in a checkpoint.

    Args:
        images: N.
        classes: K.
        last: completed epochs after which none are kept.
    """

    def __init__(self, images: int, classes: int, last: int) -> None:
        self._shape, self._last = (images, classes), last
        self._epochs: list[NDArray[np.float32]] = []  # (N, K) each
        self._steps: list[tuple[Tensor, Tensor]] = []  # of this epoch: positions and logits

    def add(self, rows: Tensor, logits: Tensor) -> None:
        """Take up a step's predictions; nothing is copied to the host.

        Args:
            rows: positions (B,).
            logits: (B, K), without gradients.
        """
        if self.keeps_more:
            self._steps.append((rows, logits))

    @property
    def keeps_more(self) -> bool:
        """Whether the next epoch is kept."""
        return len(self._epochs) < self._last

    def end_epoch(self, team: Team | None = None) -> None:
        """Complete the epoch, with what the steps of all ranks have predicted."""
        if not self._steps:
            return
        rows, logits = (torch.cat(parts) for parts in zip(*self._steps, strict=True))
        self._steps = []
        if team is not None:
            rows, logits = team.gather(rows), team.gather(logits)
        self.take(rows, logits)

    def take(self, rows: Tensor, logits: Tensor) -> None:
        """Take up the predictions of a whole epoch, as of `add`."""
        first = np.full(self._shape, 1 / self._shape[1], np.float32)
        probs = self._epochs[-1].copy() if self._epochs else first
        probs[rows.cpu().numpy()] = logits.float().softmax(dim=1).cpu().numpy()
        self._epochs.append(probs)

    def history(self) -> Floats:
        """Probabilities (E, N, K) of the completed epochs, the first one first."""
        return np.stack(self._epochs).astype(np.float64)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {"probs": [torch.from_numpy(probs) for probs in self._epochs]}

    def load_state_dict(self, state: dict[str, Any] | None, epoch: int) -> None:
        """Take up what a checkpoint after that epoch holds.

        Raises: DataError: it does not hold as many epochs.
        """
        probs = [] if state is None else [one.numpy().copy() for one in state["probs"]]
        if len(probs) != min(epoch, self._last):
            raise DataError(
                f"the checkpoint after epoch {epoch} has the predictions of {len(probs)} epochs, "
                f"and --choice needs those of {min(epoch, self._last)}: train anew with another "
                "--out"
            )
        self._epochs, self._steps = probs, []


def epochs_needed(choice: str, last_round: int) -> int:
    """How many epochs' predictions a choice needs, from the first on.

    Args:
        choice: its name.
        last_round: the latest epoch of any round.
    """
    return min(EARLY_EPOCHS, last_round) if choice == "early_mistakes" else last_round
