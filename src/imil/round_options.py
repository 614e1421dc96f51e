"""The options of rounds that every way to train has, with the paper's values (section 3.3.2).

`imil train`, `imil.pytorch.IMIL` and `imil.lightning.IMIL` take these names and defaults.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence

from imil.errors import SettingsError

IMIL_EPOCH = 70
NUM_OUTLIERS = 20
MOST_EPOCHS = 1_000_000
GRID_SIZE = 4  # rows and columns
CHOICE = "confident_mistakes"  # paper 3.1
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
        if not 1 <= epoch <= MOST_EPOCHS:
            shown = epoch if abs(epoch) <= MOST_EPOCHS**2 else "with so many digits"
            raise SettingsError(
                f"imil_epoch {shown} is out of range: it counts completed epochs, from 1"
            )
    return tuple(sorted(set(epochs)))


def cases_of_round(budget: int, used: int, rounds_left: int) -> int:
    """How many cases a round may have, where the rounds of a training share a budget.

    An even share of what is left: earlier rounds have the remainder, and what a round with few
    mistakes leaves is shared by the rounds after it.

    Args:
        budget: cases of all rounds together.
        used: cases that earlier rounds had.
        rounds_left: rounds to come, this one included; at least 1.

    >>> cases_of_round(20, 0, 3), cases_of_round(20, 7, 2), cases_of_round(20, 14, 1)
    (7, 7, 6)
    >>> cases_of_round(20, 3, 2)  # the first of three rounds found only 3 mistakes
    9
    """
    return max(0, -((used - budget) // rounds_left))


def check_budget(budget: int | None, rounds: int) -> None:
    """Check that a budget has a case for each round.

    Raises: SettingsError: it is not a whole number, or fewer than the rounds.
    """
    if budget is None:
        return
    try:
        enough = operator.index(budget) >= max(1, rounds)
    except TypeError:
        enough = False
    if not enough:
        raise SettingsError(
            f"a budget of {budget!r} cases does not suffice for {rounds} rounds: give a whole "
            "number, at least one case for each round"
        )
