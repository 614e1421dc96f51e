"""The study bench: arms, controls and readers compared on the same data, with honest statistics."""

import imil.training  # noqa: F401  # first: torchvision is mended before Lightning imports it
