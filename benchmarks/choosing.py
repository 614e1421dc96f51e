"""How fast the cases of a round are chosen from the predictions of a very large set.

    python benchmarks/choosing.py [--full] [--out FILE.json]

The limit is one read of the predictions from memory (their sum). What a round does is measured
whole: it checks that all are numbers, and counts all mistakes beside the choice; the choice alone
is measured too. The alternatives are what one would otherwise write, with NumPy and with PyTorch,
and count nothing. Two kinds of model: one that knows nothing, and one that is nearly always right
with high confidence. All are measured in turn, five times, in one run.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter

import numpy as np
import torch
from benchmark_report import benchmark_parser, report_result
from rich.table import Table

from imil.choices import choose_cases
from imil.outliers import confident_mistakes, mistakes
from imil.predictions import Predictions, check_finite

CLASSES, CASES, TIMES = 14, 20, 5


class Names(Sequence[str]):
    """Keys that take no memory."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, i):
        return f"{i:09}"


def predictions(n: int, sure: bool) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities float64 (n, CLASSES), as a round has them, and labels (n,)."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, n)
    logits = rng.standard_normal((n, CLASSES))
    if sure:
        logits[np.arange(n), labels] += 4
    np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits, labels


def in_a_round(predictions: Predictions) -> list[int]:
    """The choice, the check and the number of mistakes."""
    check_finite(predictions.probs, predictions.keys)
    mistakes(predictions.probs, predictions.labels, predictions.keys)
    rng = np.random.default_rng(0)
    return choose_cases("confident_mistakes", predictions, CASES, rng, {})


def with_argpartition(probs: np.ndarray, labels: np.ndarray) -> list[int]:
    """The usual NumPy."""
    confidence = np.where(probs.argmax(axis=1) == labels, -1, probs.max(axis=1))
    best = np.argpartition(-confidence, CASES)[:CASES]
    return best[np.argsort(-confidence[best])].tolist()


def with_topk(probs: np.ndarray, labels: np.ndarray) -> list[int]:
    """The usual PyTorch."""
    confidence, predicted = torch.from_numpy(probs).max(dim=1)
    confidence[predicted == torch.from_numpy(labels)] = -1
    return confidence.topk(CASES).indices.tolist()


def measure(ways: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each, measured in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(TIMES):
        for name, way in ways.items():
            began = perf_counter()
            way()
            seconds[name].append(perf_counter() - began)
    return seconds


def compare(n: int, sure: bool) -> list[dict[str, object]]:
    """A row for each way."""
    probs, labels = predictions(n, sure)
    keys = Names(n)
    ways = {
        "one read": lambda: probs.sum(),
        "imil, a round": lambda: in_a_round(Predictions(probs, labels, keys)),
        "imil, the choice alone": lambda: confident_mistakes(probs, labels, keys, CASES),
        "torch.topk": lambda: with_topk(probs, labels),
        "numpy.argpartition": lambda: with_argpartition(probs, labels),
    }
    chosen = [probs[list(ways[name]())].max(axis=1) for name in list(ways)[1:]]
    assert all((one == chosen[0]).all() for one in chosen)
    seconds = measure(ways)
    rows = []
    for name, way in ways.items():
        tracemalloc.start()
        way()
        extra = tracemalloc.get_traced_memory()[1] / 2**20
        tracemalloc.stop()
        rows.append(
            {
                "model": "nearly always right" if sure else "knows nothing",
                "way": name,
                "ms": 1000 * median(seconds[name]),
                "reads": [
                    its / one for its, one in zip(seconds[name], seconds["one read"], strict=True)
                ],
                "extra_mib": None if name == "torch.topk" else extra,  # PyTorch's is not traced
            }
        )
    return rows


def main() -> None:
    """Measure, print a table and a line of JSON."""
    args = benchmark_parser(__doc__, "10,000,000 predictions").parse_args()
    n = 10_000_000 if args.full else 1_000_000
    rows = [row for sure in (False, True) for row in compare(n, sure)]
    table = Table(title=f"Choosing {CASES} of {n:,} predictions of {CLASSES} classes")
    table.add_column("model")
    table.add_column("way")
    for column in ("ms", "reads", "extra MiB"):
        table.add_column(column, justify="right")
    for row in rows:
        extra = "" if row["extra_mib"] is None else f"{row['extra_mib']:.1f}"
        table.add_row(
            row["model"], row["way"], f"{row['ms']:.0f}", f"{median(row['reads']):.1f}", extra
        )
    ratios = {
        f"{row['way']}, {row['model']}": row["reads"]
        for row in rows
        if row["way"].startswith("imil")
    }
    report_result("choosing", table, rows, ratios, args.out)


if __name__ == "__main__":
    main()
