"""Tables for a terminal: the results of a run, and the cases of its rounds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.markup import escape
from rich.table import Table

from imil.cases import Case, Reading
from imil.square_text import signed_squares
from imil.store import Store

COLUMNS = ("Case", "Sample", "Ground truth", "Predicted", "Verdict", "Squares", "Reader")
MEASURES = (("accuracy", "Accuracy"), ("auroc", "AUROC"), ("ece", "ECE, 15 bins"))


def result_table(metrics: dict[str, Any]) -> Table:
    """Test metrics before each round and at the end."""
    n = metrics["end"]["test"]["n"]
    table = Table(title=f"Test set, {n} images", title_justify="left")
    table.add_column("When")
    for _, title in MEASURES:
        table.add_column(title, justify="right")
    for round_ in metrics["rounds"]:
        when = f"before the round after epoch {round_['epoch']}"
        table.add_row(when, *_numbers(round_["before"]["test"]))
    table.add_row("at the end", *_numbers(metrics["end"]["test"]))
    return table


def accuracy_interval(metrics: dict[str, Any]) -> str:
    """The confidence interval of the accuracy at the end, in a sentence."""
    from scipy.stats import binomtest  # imported late: it takes half a second

    test = metrics["end"]["test"]
    right = round(test["accuracy"] * test["n"])
    interval = binomtest(right, test["n"]).proportion_ci(method="wilson")
    return (
        f"With {test['n']} test images the 95 % confidence interval of the accuracy at the end is "
        f"{interval.low:.2f} to {interval.high:.2f}; smaller differences are not evidence by "
        "themselves."
    )


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
        for title in (
            "Case",
            "Sample",
            "Ground truth",
            "Predicted",
            "Verdict",
            "Squares",
            "Reader",
        ):
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


def _numbers(values: dict[str, Any]) -> list[str]:
    return ["–" if values[name] is None else f"{values[name]:.3f}" for name, _ in MEASURES]
