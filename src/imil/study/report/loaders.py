"""How the figures get at the study's images: through the table that it was trained from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imil.cases import Image
from imil.data.table import Table, read_data
from imil.errors import ImilError
from imil.images.load import load_image, load_mask
from imil.study.arms import Arm
from imil.study.figures import Loaders
from imil.study.plan import Plan


def loaders(plan: Plan) -> Loaders:
    """Images and lesion masks by key; nothing where the data are no longer where they were."""
    settings = plan.settings(Arm("baseline"), plan.seeds[0])
    try:
        table = read_data(Path(plan.data), settings.columns())
    except ImilError:
        return Loaders()
    return _of(table)


def _of(table: Table) -> Loaders:
    at = {key: i for i, key in enumerate(table.keys)}
    lesions = next(iter(table.masks.values()), None)  # the best mask comes first

    def load(key: str) -> Image:
        return load_image(table.images[at[key]])

    def mask(key: str) -> NDArray[np.bool_] | None:
        file = None if lesions is None else lesions[at[key]]
        return None if file is None else load_mask(file)

    return Loaders(load, mask)
