"""IMIL for PyTorch: a training set that can be corrected, and the callback for any loop."""

from imil.pytorch.callback import IMIL
from imil.pytorch.corrections import Corrections
from imil.pytorch.dataset import CorrectedDataset
from imil.pytorch.model import TorchModel

__all__ = ["IMIL", "CorrectedDataset", "Corrections", "TorchModel"]
