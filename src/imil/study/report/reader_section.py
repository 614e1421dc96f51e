"""What readers did, as a section of the report: time, verdicts, agreement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from imil.agreement import Agreement
from imil.cases import VERDICTS
from imil.study.phrases import count, duration, listed
from imil.study.reading_records import Session
from imil.study.report.html import Cell, Line, Piece, el, join, paragraphs, section, table
from imil.study.report.number_format import percent

LISTED = 20  # cases on which readers agree least


def readers_section(found: Sequence[Session], agreed: Agreement | None) -> Piece:
    """A table of the readers, and how far they agree.

    Args:
        found: a session per reader.
        agreed: None where no two readers read the same case.
    """
    if not found:
        return Piece()
    verdicts = [one.capitalize() for one in VERDICTS]
    heads = ["Reader", "Cases", "Read", *verdicts, "Squares", "Time a case", "Time in all"]
    said = (
        "Cases put to each reader over all trainings, verdicts, median number of selected "
        "squares, median time of a case, and time in all, of the cases that have a time. An answer "
        "that was used again in another training is counted there too, but its time once."
    )
    made = table(
        "What the readers did", heads, [Line(o.reader, _cells(o)) for o in found], note=said
    )
    return section("Readers", made, paragraphs(_played(found)), *_agreement(agreed))


def in_squares(agreed: Agreement | None) -> NDArray[np.float64] | None:
    """Kappa of each square as on the grid, (rows, cols); NaN where there is none."""
    if agreed is None:
        return None
    kappas = [np.nan if one is None else one for one in agreed.of_squares]
    return np.array(kappas, np.float64).reshape(agreed.grid.rows, agreed.grid.cols)


def _cells(one: Session) -> list[Cell]:
    verdicts = [Cell(_share(n, len(one.read)), "n") for n in one.verdicts.values()]
    timed = [duration(one.median_seconds), duration(one.total)] if one.seconds else ["–", "–"]
    return [
        Cell(f"{len(one.answers):,}", "n"),
        Cell(f"{len(one.read):,}", "n"),
        *verdicts,
        Cell(f"{one.median_squares:g}" if one.median_squares else "–", "n"),
        *(Cell(time, "n") for time in timed),
    ]


def _share(n: int, every: int) -> str:
    return f"{n:,} ({percent(n / every)})" if every and n else f"{n}"


def _played(found: Sequence[Session]) -> list[str]:
    played = [one.reader for one in found if one.simulated]
    if not played:
        return []
    who = f"{listed(played)} {'is' if len(played) == 1 else 'are'}"
    return [f"{who} played by a program that knows the masks: no time is measured, none is meant."]


def _agreement(agreed: Agreement | None) -> Iterator[Piece]:
    yield el("h3", "Agreement")
    if agreed is None:
        yield el("p", "Agreement needs two readers of the same cases.")
        return
    yield paragraphs(_told(agreed))
    pairs = [
        Line(
            " and ".join(pair.readers),
            [
                Cell(f"{pair.cases:,}", "n"),
                Cell(_number(pair.kappa), "n"),
                Cell(_number(pair.jaccard), "n"),
            ],
        )
        for pair in agreed.pairs
    ]
    note = (
        "Kappa: agreement in each square beyond chance; 0 is what chance would give, 1 is full "
        "agreement. Overlap: squares that both selected over squares that either selected "
        "(Jaccard), mean over cases. Squares of an image are not independent of each other, so no "
        "interval is given."
    )
    heads = ["Readers", "Cases", "Cohen's kappa", "Overlap"]
    yield table("Each pair of readers", heads, pairs, note=note)
    yield _case_by_case(agreed)


def _told(agreed: Agreement) -> Iterator[str]:
    if agreed.same_verdict is not None:
        yield (
            f"In {percent(agreed.same_verdict)} of the cases that two or more readers answered "
            "they gave the same verdict."
        )
    if len(agreed.readers) > 2 and agreed.kappa is not None:
        yield (
            f"Over the {count(agreed.cases, 'case')} in which all {len(agreed.readers)} readers "
            f"selected squares, Fleiss's kappa is {agreed.kappa:.2f}."
        )


def _case_by_case(agreed: Agreement) -> Piece:
    """The overlap of each case, least first."""
    known = sorted((one, case) for case, one in agreed.jaccard.items() if one is not None)
    if not known:
        return Piece()
    made = [Line(case, [Cell(f"{one:.2f}", "n")]) for one, case in known[:LISTED]]
    more = f", the {LISTED} with the least overlap of {len(known)}" if len(known) > LISTED else ""
    return join(table(f"Case by case{more}", ["Case", "Overlap"], made))


def _number(number: float | None) -> str:
    return "–" if number is None else f"{number:.2f}"
