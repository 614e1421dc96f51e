"""What `imil train` does: a table of images in, a trained model and its rounds out."""

from imil.pytorch.vision import import_torchvision

# before Lightning, timm or torchmetrics import it: they would stop where it does not fit torch
import_torchvision()
