"""Import first in a test whose libraries import torchvision, which may not fit torch here."""

from imil.pytorch.torchvision_import import import_torchvision

import_torchvision()
