"""Corrected samples as they are, only more often."""

from __future__ import annotations

from dataclasses import dataclass

from imil.treatments.option_checks import check_whole
from imil.treatments.treatment import Treatment


@dataclass(frozen=True)
class UpWeight(Treatment):
    """Samples whose squares were selected stay as they are and are drawn `times` as often.

    Needs no squares: it tells what the choice of the cases does by itself.

    Args:
        times: 1 to 100.
    Raises: SettingsError: it is out of range.
    Source: Liu et al. 2021 ("Just Train Twice", JTT), section 4: mistakes of an early model are
        upweighted.
    """

    times: int = 5

    def __post_init__(self) -> None:
        check_whole("times", self.times, 1, 100)

    @property
    def takes_shares(self) -> bool:
        """Whether shares of readers are taken: squares do not matter here."""
        return True

    @property
    def takes_volumes(self) -> bool:
        """Whether volumes are taken: they stay as they are."""
        return True

    @property
    def weight(self) -> int:
        """How many times as often as another sample a corrected one is drawn."""
        return self.times
