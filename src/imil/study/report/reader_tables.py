"""The section on readers: verdicts, time and agreement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from imil.agreement import Agreement, MisleadingAgreement
from imil.cases import VERDICTS
from imil.study.phrases import count, duration, listed
from imil.study.reading_records import Session
from imil.study.report.number_format import percent
from imil.study.report.page import Block, Section
from imil.study.report.table_types import Cell, Row, Table, number

MAX_CASES = 20  # cases with the lowest agreement that are listed
SESSIONS_NOTE = (
    "Cases shown to each reader over all trainings, verdicts, median number of selected squares, "
    "median time per case, and total time, of the cases with a time. A reading that was used again "
    "in another training is counted there too, but its time once."
)
AGREEMENT_NOTE = (
    "Kappa: agreement in each square beyond chance; 0 is chance, 1 is full agreement. Overlap: "
    "squares that both selected over squares that either selected (Jaccard index), mean over "
    "cases. The squares of an image are not independent of each other, so no interval is given."
)


def readers_section(sessions: Sequence[Session], agreement: Agreement | None) -> Section:
    """A table of the readers, and how far they agree.

    Args:
        sessions: one per reader.
        agreement: None where no two readers read the same case.
    """
    if not sessions:
        return Section("Readers")
    verdicts = [verdict.capitalize() for verdict in VERDICTS]
    heads = ["Reader", "Cases", "Read", *verdicts, "Squares", "Time per case", "Total time"]
    rows = [Row(session.reader, _cells(session)) for session in sessions]
    table = Table("Readings", heads, rows, SESSIONS_NOTE)
    return Section(
        "Readers",
        [
            Block(tables=[table]),
            Block(paragraphs=_simulated(sessions)),
            *_agreement_blocks(agreement),
        ],
    )


def kappa_of_squares(agreement: Agreement | None) -> NDArray[np.float64] | None:
    """Kappa of each square as on the grid, (rows, cols); NaN where it cannot be computed."""
    if agreement is None:
        return None
    kappas = [np.nan if kappa is None else kappa for kappa in agreement.of_squares]
    return np.array(kappas, np.float64).reshape(agreement.grid.rows, agreement.grid.cols)


def _cells(session: Session) -> list[Cell]:
    times = [session.median_seconds, session.total] if session.seconds else []
    return [
        number(f"{len(session.answers):,}"),
        number(f"{len(session.read):,}"),
        *(number(_share(n, len(session.read))) for n in session.verdicts.values()),
        number(f"{session.median_squares:g}" if session.median_squares else "–"),
        *map(number, [duration(seconds) for seconds in times] or ["–", "–"]),
    ]


def _share(n: int, total: int) -> str:
    return f"{n:,} ({percent(n / total)})" if total and n else f"{n}"


def _simulated(sessions: Sequence[Session]) -> list[str]:
    names = [session.reader for session in sessions if session.simulated]
    if not names:
        return []
    verb = "is" if len(names) == 1 else "are"
    return [f"{listed(names)} {verb} simulated from the masks: there are no reading times."]


def _agreement_blocks(agreement: Agreement | None) -> Iterator[Block]:
    if agreement is None:
        yield Block("Agreement", ["Agreement needs two readers of the same cases."])
        return
    pairs = [
        Row(
            " and ".join(pair.readers),
            [
                number(f"{pair.cases:,}"),
                number(_decimal(pair.kappa)),
                number(_decimal(pair.jaccard)),
            ],
        )
        for pair in agreement.pairs
    ]
    heads = ["Readers", "Cases", "Cohen's kappa", "Overlap"]
    tables = [Table("Each pair of readers", heads, pairs, AGREEMENT_NOTE), *_case_table(agreement)]
    yield Block("Agreement", list(_sentences(agreement)), tables=tables)


def _sentences(agreement: Agreement) -> Iterator[str]:
    if agreement.same_verdict is not None:
        yield (
            f"In {percent(agreement.same_verdict)} of the cases that two or more readers read, "
            "they gave the same verdict."
        )
    if len(agreement.readers) > 2 and agreement.kappa is not None:
        yield (
            f"Over the {count(agreement.cases, 'case')} in which all {len(agreement.readers)} "
            f"readers selected squares, Fleiss's kappa is {agreement.kappa:.2f}."
        )
    if agreement.alpha is not None:
        yield (
            "Over all squares of the cases in which two or more readers selected some, "
            f"Krippendorff's alpha is {agreement.alpha:.2f}."
        )
    if agreement.misleading is not None:
        yield _misleading(agreement.misleading)


def _misleading(agreed: MisleadingAgreement) -> str:
    """How far readers agree on what is misleading, which the numbers above leave out."""
    overlap = "cannot be computed" if agreed.jaccard is None else f"is {agreed.jaccard:.2f}"
    kappa = ""
    if agreed.kappa is not None:
        kappa = (
            f"; over the {count(agreed.cases, 'case')} in which all readers marked squares of "
            f"either kind, Fleiss's kappa is {agreed.kappa:.2f}"
        )
    return (
        f"In {count(agreed.marked, 'case')} some reader marked squares as misleading: their "
        f"overlap between readers {overlap}{kappa}."
    )


def _case_table(agreement: Agreement) -> list[Table]:
    """The overlap of each case, lowest first."""
    known = sorted((n, case) for case, n in agreement.jaccard.items() if n is not None)
    if not known:
        return []
    rows = [Row(case, [number(f"{overlap:.2f}")]) for overlap, case in known[:MAX_CASES]]
    more = f", the {MAX_CASES} with the lowest of {len(known)}" if len(known) > MAX_CASES else ""
    return [Table(f"Overlap by case{more}", ["Case", "Overlap"], rows)]


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
