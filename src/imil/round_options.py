"""The options of a round that every way to train has, with the paper's values (section 3.3.2).

`imil train`, `imil.pytorch.IMIL` and `imil.lightning.IMIL` take these names and defaults.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence

from imil.errors import SettingsError

IMIL_EPOCH = 70
NUM_OUTLIERS = 20
GRID_SIZE = 4  # rows and columns
CHOICE_NAMES = (
    "confident_mistakes",  # the paper's
    "auto",
    "out_of_fold",
    "moving_average",
    "early_mistakes",
    "class_balanced",
    "diverse",
    "off_lung",
    "likely_label_errors",
    "uncertain",
    "random",
)


def check_epochs(imil_epoch: int | Sequence[int]) -> tuple[int, ...]:
    """The numbers of completed epochs after which a round is held, in order, each once.

    Raises: SettingsError: not a whole number, less than 1, or none at all.

    >>> check_epochs([70, 50, 70])
    (50, 70)
    """
    try:
        given = imil_epoch if isinstance(imil_epoch, Iterable) else (imil_epoch,)
        epochs = tuple(map(operator.index, given))
    except TypeError as error:
        raise SettingsError(
            f"invalid imil_epoch {imil_epoch!r}: expected a whole number such as 70, or several"
        ) from error
    if not epochs:
        raise SettingsError("imil_epoch is empty: give one epoch, or several")
    for epoch in epochs:
        if epoch < 1:
            raise SettingsError(
                f"imil_epoch {epoch} is out of range: it counts completed epochs, from 1"
            )
    return tuple(sorted(set(epochs)))
