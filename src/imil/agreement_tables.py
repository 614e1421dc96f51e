"""How far the readers of each round agree, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from imil.agreement import Agreement
from imil.cases import VERDICTS
from imil.fusion import Performance
from imil.round_agreement import RoundAgreement, round_agreement
from imil.store import Store


def agreement_tables(store: Store, run: str | None = None) -> Iterator[RenderableType]:
    """For each round of a run, or of all: how far its readers, pairs and squares agree."""
    for round_ in store.rounds(run):
        yield Text(f"{round_.run}, round after epoch {round_.epoch}, grid {round_.settings.grid}")
        found = round_agreement(store, round_)
        if found is None:
            yield Text("Agreement needs two readers of this round.")
        else:
            yield from _tables(found)


def _tables(found: RoundAgreement) -> Iterator[RenderableType]:
    agreed = found.agreement
    yield Text(summary(agreed))
    yield _readers(agreed)
    if found.performance:
        yield _performance(found.performance)
    if len(agreed.pairs) > 1:
        yield _pairs(agreed)
    yield _squares(agreed)


def summary(agreed: Agreement) -> str:
    """The numbers of all readers together, in a line."""
    cases = "1 case" if agreed.cases == 1 else f"{agreed.cases} cases"
    overlap = _decimal(agreed.mean_jaccard)
    text = (
        f"Fleiss's kappa {_decimal(agreed.kappa)} over {cases} in which all selected squares; "
        f"Krippendorff's alpha {_decimal(agreed.alpha)}; overlap (Jaccard) {overlap}; "
        f"same verdict in {_percent(agreed.same_verdict)} of the cases of two or more readers."
    )
    if agreed.misleading is None:
        return text
    misleading = agreed.misleading
    return (
        f"{text} Misleading squares: kappa {_decimal(misleading.kappa)}, alpha "
        f"{_decimal(misleading.alpha)}, overlap {_decimal(misleading.jaccard)}."
    )


def _readers(agreed: Agreement) -> Table:
    table = Table(title="Each reader with the others", title_justify="left")
    table.add_column("Reader", overflow="fold")
    for head in ("Cases", "Kappa", "Overlap", *(verdict.capitalize() for verdict in VERDICTS)):
        table.add_column(head, justify="right")
    for one in agreed.of_readers:
        shares = agreed.verdicts[one.reader]
        cells = [str(one.cases), _decimal(one.kappa), _decimal(one.jaccard)]
        cells += [_percent(shares[verdict]) for verdict in VERDICTS]
        table.add_row(Text(one.reader), *cells)
    return table


def _performance(of_readers: Sequence[Performance]) -> Table:
    table = Table(title="Each reader by STAPLE, over all cases", title_justify="left")
    table.add_column("Reader", overflow="fold")
    for head in ("Sensitivity", "Specificity"):
        table.add_column(head, justify="right")
    for one in of_readers:
        table.add_row(Text(one.reader), _decimal(one.sensitivity), _decimal(one.specificity))
    return table


def _pairs(agreed: Agreement) -> Table:
    table = Table(title="Each pair of readers", title_justify="left")
    table.add_column("Readers", overflow="fold")
    for head in ("Cases", "Cohen's kappa", "Overlap"):
        table.add_column(head, justify="right")
    for pair in agreed.pairs:
        cells = (str(pair.cases), _decimal(pair.kappa), _decimal(pair.jaccard))
        table.add_row(Text(" and ".join(pair.readers)), *cells)
    return table


def _squares(agreed: Agreement) -> Table:
    """Fleiss's kappa of each square, as the squares lie in the image."""
    title = "Kappa of each square"
    table = Table(title=title, title_justify="left", show_header=False, show_lines=True)
    values = [_decimal(kappa) for kappa in agreed.of_squares]
    columns = agreed.grid.cols
    for _ in range(columns):
        table.add_column(justify="right")
    for row in range(agreed.grid.rows):
        table.add_row(*values[row * columns : (row + 1) * columns])
    return table


def _decimal(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
