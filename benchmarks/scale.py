"""What a round costs in a set of a million images of 14 classes, beside the predictions themselves.

    python benchmarks/scale.py [--full] [--out FILE.json]

Measured are the choice of the cases, the table of corrections, the masks of a batch, what a rank
of several devices is given before an epoch, the names of the samples, and the store's queries in a
run whose thousand cases are read. The limit is one read of the predictions from memory (their sum).
Seconds are of the processor, so programs beside it are not counted; every step is one thread.
Memory is what each step takes at its peak beyond what was there, by Python's count, and the table
of corrections by its size.
"""

from __future__ import annotations

import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any

import numpy as np
from benchmark_report import benchmark_parser, report_result
from rich.table import Table
from room_store import make_store

from imil.cases import Correction, Reading
from imil.choices import choose_cases
from imil.grid import Grid
from imil.outliers import mistakes
from imil.predictions import Predictions, check_finite
from imil.pytorch import CorrectedDataset, Corrections
from imil.store import Store

CLASSES, CASES, BATCH, READ_CASES, TIMES = 14, 20, 64, 1000, 3
SECONDS, MIB = 1.0, 200.0  # wanted of each step
KEPT = [Correction(Grid(4, 4), squares) for squares in ((1, 2), (6, 7, 10), (16,))]


class Films:
    """Images of one pixel, which take no memory."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        return np.zeros((1, 1), np.uint8), 0


def predictions(n: int) -> Predictions:
    """Of a model that knows nothing: its mistakes are as many as there can be."""
    rng = np.random.default_rng(0)
    probs = rng.random((n, CLASSES))
    probs /= probs.sum(axis=1, keepdims=True)
    return Predictions(probs, rng.integers(0, CLASSES, n), [f"film-{i:07}" for i in range(n)])


def choose(all_of_them: Predictions) -> list[int]:
    """What a round does before it explains and asks."""
    check_finite(all_of_them.probs, all_of_them.keys)
    mistakes(all_of_them.probs, all_of_them.labels, all_of_them.keys)
    rng = np.random.default_rng(0)
    return choose_cases("confident_mistakes", all_of_them, CASES, rng, {})


def correct(corrections: Corrections, every: int) -> None:
    """Correct one sample of so many."""
    for i in range(0, len(corrections), every):
        corrections.set(i, KEPT[i % len(KEPT)])


def mask(corrections: Corrections, batches: list[np.ndarray]) -> None:
    """What is covered in each batch, one after the other."""
    for rows in batches:
        corrections.keep(rows, 224, 224)


def size_of(corrections: Corrections) -> float:
    """MiB of its table."""
    tables = vars(corrections).values()
    return sum(table.nbytes for table in tables if hasattr(table, "nbytes")) / 2**20


def query(store: Store) -> int:
    """What the page and the treatment ask of a run's rounds."""
    count = 0
    for round_ in store.rounds("films"):
        cases = store.cases(round_.id)
        count += len(cases) + len(store.current_readings(round_.id)) + len(store.unread(round_.id))
    return count


def filled_store(folder: Path) -> Store:
    """A store in which all cases of a run are read."""
    small = np.zeros((8, 8), np.uint8)
    store = make_store(folder, READ_CASES, lambda _: small, np.zeros((4, 4), np.float32))
    (round_,) = store.rounds("films")
    for case in store.cases(round_.id):
        store.add(Reading(case.id, "Lee", "focus", (1, 2)))
    return store


def measure(step: Callable[[], object]) -> tuple[list[float], float]:
    """Seconds of a step, each time, and MiB at its peak by Python's count."""
    seconds = []
    for _ in range(TIMES):
        began = process_time()
        step()
        seconds.append(process_time() - began)
    tracemalloc.start()
    step()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return seconds, peak


def steps(n: int, folder: Path) -> list[dict[str, Any]]:
    """A row for each step."""
    known, corrections, other = predictions(n), Corrections(n), Corrections(n)
    store = filled_store(folder)
    rng = np.random.default_rng(1)
    batches = [rng.integers(0, n, BATCH) for _ in range(100)]
    films = Films(n)
    ways: dict[str, Callable[[], object]] = {
        "one read of the predictions": known.probs.sum,
        f"choose {CASES} cases": lambda: choose(known),
        "make the table of corrections": lambda: Corrections(n),
        "name and check the samples": lambda: CorrectedDataset(
            films, labels=known.labels, class_names=range(CLASSES), keys=known.keys
        ),
        "correct 1 in 1,000": lambda: correct(corrections, 1000),
        "correct 1 in 10": lambda: correct(corrections, 10),
        "find the corrected ones": corrections.positions,
        f"masks of 100 batches of {BATCH}, 224 px": lambda: mask(corrections, batches),
        "give them to another device": lambda: other.load_state_dict(corrections.state_dict()),
        f"ask the store about {READ_CASES:,} cases": lambda: query(store),
    }
    rows = []
    for name, step in ways.items():
        each, mib = measure(step)
        mib += size_of(corrections) if name.startswith("make") else 0
        rows.append({"step": name, "seconds": median(each), "each": each, "mib": mib})
    store.close()
    return rows


def main() -> None:
    """Measure, print a table and a line of JSON."""
    args = benchmark_parser(__doc__, "10,000,000 images").parse_args()
    n = 10_000_000 if args.full else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        rows = steps(n, Path(folder))
    table = Table(title=f"{n:,} images of {CLASSES} classes")
    for column in ("step", "seconds", "reads", "MiB", "over"):
        table.add_column(column, justify="left" if column == "step" else "right")
    one = rows[0]["seconds"]
    for row in rows:
        over = ", ".join(
            name for name, limit in (("seconds", SECONDS), ("mib", MIB)) if row[name] > limit
        )
        table.add_row(
            row["step"],
            f"{row['seconds']:.4f}",
            f"{row['seconds'] / one:.1f}",
            f"{row['mib']:.1f}",
            over,
        )
    ratios = {
        f"{row['step']} / one read": [
            its / read for its, read in zip(row["each"], rows[0]["each"], strict=True)
        ]
        for row in rows[1:]
    }
    report_result("scale", table, rows, ratios, args.out)


if __name__ == "__main__":
    main()
