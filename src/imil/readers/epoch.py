"""Which round a case belongs to."""

from __future__ import annotations

import re

from imil.cases import Case


def epoch_of(case: Case) -> int | None:
    """Completed epochs at the case's round, from its id `run@epoch#number`; None: another id."""
    found = re.search(r"@(\d+)#\d+$", case.id)
    return int(found[1]) if found else None
