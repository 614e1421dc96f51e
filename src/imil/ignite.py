"""IMIL for a trainer of Ignite, and so for MONAI's `SupervisedTrainer`.

train = CorrectedDataset(raw, transform=augment, view=normalise)
rounds = imil.pytorch.IMIL(train, model, ask, store="run/imil.sqlite", imil_epoch=70)
imil.ignite.IMIL(rounds).attach(trainer)
trainer.run(DataLoader(train, 64, shuffle=True), max_epochs=100)
"""

from __future__ import annotations

from collections.abc import Callable

from imil.pytorch.torchvision_import import import_torchvision

import_torchvision()  # MONAI imports it too, and would stop where it does not fit torch
from ignite.engine import Engine, Events  # noqa: E402

from imil import pytorch  # noqa: E402
from imil.errors import ImilError, SettingsError  # noqa: E402
from imil.pytorch.training_start import start_training  # noqa: E402

STATE = "imil"  # of the engine's state, which `engine.state_dict()` has too


class IMIL:
    """The paper's training callback (section 3.1), for an Ignite engine that trains.

    An engine whose state is loaded from a checkpoint after `attach` finds earlier corrections in
    the store, and a round that was stopped goes on where it was; so does one that is run again.

    Args:
        imil: of the model that the engine trains.
    """

    def __init__(self, imil: pytorch.IMIL) -> None:
        self.imil = imil

    def attach(self, engine: Engine) -> None:
        """Hold rounds in the engine's training from now on.

        Raises: SettingsError: it is attached to the engine already.
        """
        if engine.has_event_handler(self._start, Events.STARTED):
            raise SettingsError(
                "IMIL is attached to this engine already: attach it once, before the training runs"
            )
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._after_epoch)
        engine.add_event_handler(Events.COMPLETED, self._finish)
        engine.state_dict_user_keys.append(STATE)
        setattr(engine.state, STATE, self.imil.state_dict())

    def _start(self, engine: Engine) -> None:
        """Put back what earlier rounds corrected, and hold a round that is due."""
        resumed = engine.state.iteration > 0
        if resumed:
            self.imil.load_state_dict(getattr(engine.state, STATE))
        _run(
            engine,
            lambda: start_training(
                self.imil,
                data=engine.state.dataloader,
                module=getattr(engine, "network", None),  # MONAI says which
                epoch=engine.state.epoch if resumed else None,
                last=engine.state.max_epochs,
            ),
        )

    def _after_epoch(self, engine: Engine) -> None:
        """Hold the round that is due after this epoch."""
        _run(engine, lambda: self.imil.after_epoch(engine.state.epoch))
        setattr(engine.state, STATE, self.imil.state_dict())

    def _finish(self, engine: Engine) -> None:
        """Let the treatment change the trained model, if it does."""
        self.imil.finish(engine.state.epoch)


def _run(engine: Engine, step: Callable[[], object]) -> None:
    """Do it; after an error, the engine can be run again.

    Ignite 0.5.5 keeps the run that ended with an error: the next one would do nothing, in silence.
    """
    try:
        step()
    except ImilError:
        if hasattr(engine, "_internal_run_generator"):
            engine._internal_run_generator = None
        raise
