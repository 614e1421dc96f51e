"""IMIL for Keras 3, on any of its backends: batches that can be corrected, and the callback.

train = CorrectedDataset(raw, transform=augment, view=normalise)
rounds = IMIL(train, ask, store="run/imil.sqlite", imil_epoch=70)
model.fit(Batches(train, 64), epochs=100, callbacks=[rounds])
"""

from imil.keras.batches import Batches
from imil.keras.callback import IMIL
from imil.keras.dataset import CorrectedDataset
from imil.keras.model import KerasModel

__all__ = ["IMIL", "Batches", "CorrectedDataset", "KerasModel"]
