"""What every test needs: torchvision mended before Lightning or torchmetrics import it."""

from imil.pytorch.vision import import_torchvision

import_torchvision()
