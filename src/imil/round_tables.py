"""The cases of a run's rounds and how each was read, as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from imil.cases import Case, Reading
from imil.square_text import signed_squares
from imil.store import Store

COLUMNS = ("Case", "Sample", "Ground truth", "Predicted", "Verdict", "Squares", "Reader")


def round_tables(store: Store, run: str | None = None) -> Iterator[Table]:
    """One table per round of a run, or of all: its cases and their current readings."""
    for round_ in store.rounds(run):
        readings = store.current_readings(round_.id)
        cases = store.cases(round_.id)
        table = Table(
            title=f"{escape(round_.run)}, round after epoch {round_.epoch}: {len(readings)} of "
            f"{round_.cases} cases read, {round_.state}, grid {round_.settings.grid}",
            title_justify="left",
        )
        for title in COLUMNS:
            table.add_column(title, overflow="fold")
        for case in cases:
            # rich would interpret brackets in a name as markup
            table.add_row(*map(escape, _case(case, readings.get(case.id))))
        yield table


def _case(case: Case, reading: Reading | None) -> tuple[str, ...]:
    answer = ("unread", "", "")
    if reading is not None:
        answer = (
            reading.verdict,
            signed_squares(reading.squares, reading.misleading),
            reading.reader,
        )
    predicted = f"{case.predicted_name} {case.confidence:.0%}"
    return (str(case.number), case.key, case.true_name, predicted, *answer)
