"""Tables for a terminal: what a run came to, and what was asked in its rounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.table import Table

from imil.cases import Case, Reading
from imil.store import Store

SHOWN = (("accuracy", "Accuracy"), ("auroc", "AUROC"), ("ece", "ECE, 15 bins"))


def result_table(metrics: dict[str, Any]) -> Table:
    """Test metrics before each round and at the end."""
    n = metrics["end"]["test"]["n"]
    table = Table(title=f"Test set, {n} images", title_justify="left")
    table.add_column("When")
    for _, title in SHOWN:
        table.add_column(title, justify="right")
    for held in metrics["rounds"]:
        when = f"before the round after epoch {held['epoch']}"
        table.add_row(when, *_numbers(held["before"]["test"]))
    table.add_row("at the end", *_numbers(metrics["end"]["test"]))
    return table


def how_sure(metrics: dict[str, Any]) -> str:
    """How far the accuracy at the end can be trusted, given the size of the test set."""
    from scipy.stats import binomtest  # half a second, which the first step need not wait for

    test = metrics["end"]["test"]
    right = round(test["accuracy"] * test["n"])
    interval = binomtest(right, test["n"]).proportion_ci(method="wilson")
    return (
        f"With {test['n']} test images the accuracy at the end lies between {interval.low:.2f} "
        f"and {interval.high:.2f} (95 % interval); smaller differences show nothing by themselves."
    )


def round_tables(store: Store) -> Iterator[Table]:
    """One table a round: its cases and the readings that count."""
    for round_ in store.rounds():
        standing = store.newest_readings(round_.id)
        cases = store.cases(round_.id)
        table = Table(
            title=f"{escape(round_.run)}, round after epoch {round_.epoch}: {len(standing)} of "
            f"{round_.cases} cases read, {round_.state}, grid {round_.settings.grid}",
            title_justify="left",
        )
        for title in ("Case", "Sample", "Truth", "Predicted", "Verdict", "Squares", "Reader"):
            table.add_column(title, overflow="fold")
        for case in cases:
            # a name may hold brackets, which rich would take for its own
            table.add_row(*map(escape, _case(case, standing.get(case.id))))
        yield table


def _case(case: Case, reading: Reading | None) -> tuple[str, ...]:
    answer = ("unread", "", "")
    if reading is not None:
        answer = (reading.verdict, " ".join(map(str, reading.squares)), reading.reader)
    predicted = f"{case.predicted_name} {case.confidence:.0%}"
    return (str(case.number), case.key, case.true_name, predicted, *answer)


def _numbers(values: dict[str, Any]) -> list[str]:
    return ["–" if values[name] is None else f"{values[name]:.3f}" for name, _ in SHOWN]
