"""What `imil train` does: a table of images in, a trained model and its rounds out."""

from imil.pytorch.torchvision_import import import_torchvision

# before Lightning, timm or torchmetrics import it: they would stop where it does not fit torch
import_torchvision()
