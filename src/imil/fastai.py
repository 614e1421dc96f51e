"""IMIL as a callback of fastai's Learner.

train = CorrectedDataset(raw, transform=augment, view=normalise)
rounds = imil.pytorch.IMIL(train, model, ask, store="run/imil.sqlite", imil_epoch=70)
dls = DataLoaders(DataLoader(train, batch_size=64, shuffle=True), DataLoader(valid, batch_size=64))
Learner(dls, model, loss_func=nn.CrossEntropyLoss(), cbs=[imil.fastai.IMIL(rounds)]).fit(100)
"""

from __future__ import annotations

from imil.pytorch.torchvision_import import import_torchvision

import_torchvision()  # before fastai imports it: it would stop where it does not fit torch

from fastai.callback.core import Callback  # noqa: E402
from fastai.callback.training import SkipToEpoch  # noqa: E402

from imil import pytorch  # noqa: E402
from imil.errors import SettingsError  # noqa: E402
from imil.pytorch.training_start import start_training  # noqa: E402


class IMIL(Callback):
    """The paper's training callback (section 3.1), for a Learner.

    A training that is continued with `fit(..., start_epoch=epoch)` from the weights of that epoch
    finds its corrections in the store, and a round that was stopped goes on where it was. `lr_find`
    and `get_preds` hold no round.

    `Learner.save` keeps no state of a treatment that decides after a round: save the
    `state_dict()` of `imil` beside it, and load it before `fit`.

    Args:
        imil: of the model that the Learner trains.
    """

    order = 1  # after what moves the model to its device, before what saves it

    def __init__(self, imil: pytorch.IMIL) -> None:
        super().__init__()
        self.imil, self._completed, self._is_training = imil, 0, False

    def before_fit(self) -> None:
        """Put back what earlier rounds corrected, and hold a round that is due.

        Raises: as `imil.pytorch.training_start.start_training`.
        """
        learner = self.learn
        passing = ("lr_finder", "gather_preds")  # callbacks that fastai adds for the time being
        self._is_training = not any(hasattr(learner, name) for name in passing)
        if not self._is_training:
            return
        skips = [one._skip_to for one in learner.cbs if isinstance(one, SkipToEpoch)]
        self._completed = max(skips, default=0)
        self._check_earlier_rounds()
        start_training(
            self.imil,
            data=learner.dls.train,
            module=learner.model,
            epoch=self._completed or None,
            last=learner.n_epoch,
        )

    def _check_earlier_rounds(self) -> None:
        """Raises: SettingsError: the store lacks an earlier round; fastai's weights name none."""
        rounds = self.imil
        held = {one.epoch for one in rounds.store.rounds(rounds.run)}
        missing = sorted({one for one in rounds.imil_epoch if one < self._completed} - held)
        if missing:
            raise SettingsError(
                f"training goes on after epoch {self._completed}, and the store has no round after "
                f"epoch {missing[0]}: give the store and run of that training, or leave that epoch "
                "out of imil_epoch"
            )

    def after_train(self) -> None:
        """Count the epoch: one that is skipped comes to an end without a training."""
        self._completed = self.epoch + 1

    def after_epoch(self) -> None:
        """Hold the round that is due after this epoch."""
        if self._is_training and self._completed == self.epoch + 1:
            self.imil.after_epoch(self._completed)

    def after_fit(self) -> None:
        """Let the treatment change the trained model, if it does."""
        if self._is_training:
            self.imil.finish(self._completed)
