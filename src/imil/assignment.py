"""Which cases of a round each reader is asked for, and in which order.

Both follow from the round's settings alone, so that a resumed round asks for the same.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np

from imil.cases import RoundSettings

STREAM = 7  # of random numbers, beside those of the choice of cases


def asked_numbers(settings: RoundSettings, epoch: int, cases: int, reader: str) -> tuple[int, ...]:
    """The numbers of the cases that a reader is asked for, in the order in which they are shown.

    Readers who are named get an order of their own, at random by the seed, so that no case comes
    last for everybody. Who is not named is asked for all, in the round's order.

    Args:
        settings: of the round.
        epoch: completed epochs at the round.
        cases: in the round.
        reader: name.
    """
    readers = settings.panel.readers
    if reader not in readers:
        return tuple(range(1, cases + 1))
    shared = _shared(settings, epoch, cases)
    own = [number for number, of_case in shared.items() if reader in of_case]
    order = np.random.default_rng([settings.seed, epoch, STREAM, _number(reader)])
    return tuple(order.permutation(sorted(own)).tolist())


@lru_cache(maxsize=64)
def _shared(settings: RoundSettings, epoch: int, cases: int) -> dict[int, frozenset[str]]:
    """Case number -> the named readers who are asked for it.

    So many as the overlap says are for all; the others go to the readers in turn, as many readers
    each as the quorum says, so that no reader has more than one case more than another.
    """
    panel = settings.panel
    rng = np.random.default_rng([settings.seed, epoch, STREAM])
    order = (rng.permutation(cases) + 1).tolist()
    readers = [panel.readers[i] for i in rng.permutation(len(panel.readers))]
    each = min(panel.needed or len(readers), len(readers))
    for_all = cases if panel.overlap >= 1 else round(panel.overlap * cases)
    shared = {number: frozenset(readers) for number in order[:for_all]}
    for i, number in enumerate(order[for_all:]):
        turn = [readers[(i * each + k) % len(readers)] for k in range(each)]
        shared[number] = frozenset(turn)
    return shared


def _number(name: str) -> int:
    """A number that goes with a name, on every machine the same."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8])
