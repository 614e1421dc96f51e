"""The results of a run as a table for a terminal."""

from __future__ import annotations

from typing import Any

from rich.table import Table

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


def _numbers(values: dict[str, Any]) -> list[str]:
    return ["–" if values[name] is None else f"{values[name]:.3f}" for name, _ in MEASURES]
