"""Training images whose label looks wrong to a reader, as a table."""

from __future__ import annotations

from dataclasses import dataclass, fields

from imil.cases import Case, Round
from imil.merging import Merged
from imil.store import Store

VERDICT = "wrong label"


@dataclass(frozen=True)
class Suspect:
    """A suspected label error; the names are the columns of the table.

    Args:
        run, epoch, case: of the case: run, completed epochs at the round, number.
        key: name of the training image.
        label: the class that it was given.
        predicted: the class that the model predicted.
        confidence: of that prediction, in [0, 1].
        readers: who says that the label is wrong.
        answered: how many readers answered the case.
        majority: whether that counts for the case: `yes` or `no`.
        reasons: of those readers.
    """

    run: str
    epoch: int
    case: int
    key: str
    label: str
    predicted: str
    confidence: float
    readers: str
    answered: int
    majority: str
    reasons: str


SUSPECT_COLUMNS = tuple(field.name for field in fields(Suspect))


def suspects(store: Store, run: str) -> list[Suspect]:
    """Every case of the run that a reader calls wrongly labelled, in the order of its rounds."""
    return [one for round_ in store.rounds(run) for one in _of_round(store, round_)]


def _of_round(store: Store, round_: Round) -> list[Suspect]:
    what_counts = store.merged(round_.id)
    cases = [case for case in store.cases(round_.id) if case.id in what_counts]
    rows = [_suspect(case, what_counts[case.id]) for case in cases]
    return [row for row in rows if row.readers]


def _suspect(case: Case, counts: Merged) -> Suspect:
    doubts = [one for one in counts.answers if one.verdict == VERDICT]
    return Suspect(
        run=case.run,
        epoch=case.epoch,
        case=case.number,
        key=case.key,
        label=case.true_name,
        predicted=case.predicted_name,
        confidence=round(case.confidence, 6),
        readers="; ".join(one.reader for one in doubts),
        answered=len(counts.answers),
        majority="yes" if counts.reading.verdict == VERDICT else "no",
        reasons="; ".join(f"{one.reader}: {one.reason}" for one in doubts if one.reason),
    )
