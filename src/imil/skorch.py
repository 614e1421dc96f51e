"""IMIL as a callback of skorch's nets.

train = CorrectedDataset(raw, transform=augment, view=normalise)
rounds = imil.pytorch.IMIL(train, model, ask, store="run/imil.sqlite", imil_epoch=70)
net = NeuralNetClassifier(model, criterion=nn.CrossEntropyLoss, train_split=None,
                          callbacks=[imil.skorch.IMIL(rounds)])
net.fit(train, y=None)
"""

from __future__ import annotations

from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback

from imil import pytorch
from imil.pytorch.training_start import start_training

EVENT = "event_imil"  # of an epoch in the history: whether a round was held, printed as +
STATE = "imil"  # of the last batch of an epoch in the history, which is saved and not printed


class IMIL(Callback):
    """The paper's training callback (section 3.1), for a skorch net.

    A training that is continued (`partial_fit`, or `warm_start=True`) with the history of the
    earlier one finds its corrections in the store, and a round that was stopped goes on where it
    was.

    Args:
        imil: of the module that the net trains, which the net was given as an instance.
    """

    def __init__(self, imil: pytorch.IMIL) -> None:
        self.imil = imil

    def on_train_begin(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:  # noqa: N803
        """Have the next epoch begin as the first one of a training."""
        self._begun_ = False

    def on_epoch_begin(self, net: NeuralNet, dataset_train: Any = None, **kwargs: Any) -> None:
        """Before the first: put back what earlier rounds corrected, and hold a round that is due.

        Raises: as `imil.pytorch.training_start.start_training`.
        """
        if self._begun_:
            return
        done = len(net.history) - 1  # the epoch that begins has its row already
        # of the last epoch or, where that was saved before its round, of the one before it
        saved = [row["batches"][-1].get(STATE) for row in net.history[:done]]
        if found := list(filter(None, saved)):
            self.imil.load_state_dict(found[-1])
        start_training(
            self.imil, data=dataset_train, module=net.module_, epoch=done if done else None
        )
        self._begun_ = True

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Hold the round that is due after this epoch."""
        held = self.imil.after_epoch(len(net.history))
        net.history.record(EVENT, held is not None)
        net.history.record_batch(STATE, self.imil.state_dict())

    def on_train_end(self, net: NeuralNet, X: Any = None, y: Any = None, **kwargs: Any) -> None:  # noqa: N803
        """Let the treatment change the trained model, if it does."""
        self.imil.finish(len(net.history))
