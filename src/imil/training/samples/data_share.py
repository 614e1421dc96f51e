"""A share of the training images of a run; all others stay in their files, and are not used."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from imil.data.splits import draw_share
from imil.training.samples.prepared_data import Prepared

LEFT_OUT = "left out"  # the split of training images that are not used
STREAM = 2  # of the seed: the stream of random numbers


def use_share(data: Prepared, *, share: float, seed: int) -> Prepared:
    """The data with a random share of the training images; validation and test images stay.

    Args:
        share: in (0, 1]; at 1 the data are returned as they are.
        seed: of the training; which images are drawn follows from it and their keys.
    """
    if share == 1:
        return data
    rows = data.rows("train")
    drawn = draw_share(data.table.select(rows.tolist()), share, [seed, STREAM])
    split_of = np.array(data.split_of, object)
    split_of[rows[~drawn]] = LEFT_OUT
    return replace(data, split_of=tuple(split_of))
