"""How far the readers of a stored round agree: the same numbers for lobby, terminal and report."""

from __future__ import annotations

from dataclasses import dataclass

from imil.agreement import Agreement, agreement
from imil.cases import Round
from imil.fusion import Performance
from imil.merging import reader_performance
from imil.reader_names import NOBODY
from imil.store import Store


@dataclass(frozen=True)
class RoundAgreement:
    """How far the readers of a round agree.

    Args:
        agreement: of the readers, the arbiter apart, who has seen their selections.
        performance: of each reader by STAPLE, where that is the round's rule; otherwise empty.
    """

    agreement: Agreement
    performance: tuple[Performance, ...]


def round_agreement(store: Store, round_: Round) -> RoundAgreement | None:
    """How far the readers of a round agree; None with fewer than two.

    Args:
        round_: of the store.
    """
    grid, panel = round_.settings.grid, round_.settings.panel
    given = store.readings(round_.id)
    readings = [one for one in given if one.reader not in (NOBODY, panel.arbiter)]
    if len({one.reader for one in readings}) < 2:
        return None
    of_readers = reader_performance(readings, grid, panel)
    return RoundAgreement(agreement(readings, grid), tuple(of_readers))
