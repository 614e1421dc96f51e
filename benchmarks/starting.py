"""How long imil takes to start: its help, and the first training step of films decoded before.

    python benchmarks/starting.py [--full] [--out FILE.json]

`imil --help` beside Python doing nothing; `imil train` with its defaults (ResNet-50 at 224 pixels,
a round to come: its store is made, the layer of its heat-maps looked for) up to its first step,
beside the mere import of the frameworks that it stands on (PyTorch, Lightning, timm). In turn, each
in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from benchmark_report import benchmark_parser, report_result, watching_device

FRAMEWORKS = (
    "from imil.pytorch.torchvision_import import import_torchvision; import_torchvision();"
    "import lightning.pytorch, timm"
)
SMALL, FULL = (200, 5), (662, 11)  # films, turns


def seconds(*words: str | Path) -> float:
    """From the command to its end."""
    began = perf_counter()
    subprocess.run(list(map(str, words)), stdout=subprocess.DEVNULL, check=True)
    return perf_counter() - began


def to_the_first_step() -> None:
    """Run `imil` with the words that follow, and end where the first step begins."""
    import gc

    gc.set_threshold(100_000, 50, 100)  # as the command does
    from imil.training.classifier import Classifier
    from imil.training.launch import new_run  # noqa: F401 - what the command imports

    def stop(*_: object) -> None:
        os._exit(0)

    Classifier.training_step = stop  # type: ignore[method-assign]
    from imil.cli.main import main

    sys.argv = ["imil", *sys.argv[2:]]
    main()


def main() -> None:
    """Measure, print a table and a line of JSON."""
    args = benchmark_parser(__doc__, "662 films, and more turns").parse_args()
    from rich.table import Table

    from imil.phantom.dataset import write_phantoms

    films, turns = FULL if args.full else SMALL
    imil = Path(sys.executable).with_name("imil")
    pairs: dict[str, list[tuple[float, float]]] = {"imil --help": [], "imil train": []}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        table = write_phantoms(place / "films", n=films, size=512, test=0.2)
        flags = ("--reader", "simulated", "--cache", str(place / "cache"))
        for turn in range(-1, turns):  # one before: it decodes, and warms the disk's cache
            helped = seconds(imil, "--help"), seconds(sys.executable, "-c", "")
            words = (sys.executable, __file__, "--child", "train", table, *flags)
            with watching_device() as on_gpu:
                began = seconds(*words, "--out", place / f"run{turn}")
            trained = began, seconds(sys.executable, "-c", FRAMEWORKS)
            if turn >= 0:
                pairs["imil --help"].append(helped)
                pairs["imil train"].append(trained)
    shown = Table(title=f"Starting, {turns} turns: seconds (range)")
    for column in ("", "imil", "rival alone", "ratio"):
        shown.add_column(column, justify="right" if column else "left")
    names = {"imil --help": "imil --help / Python", "imil train": "first step / frameworks"}
    rows, ratios = [], {}
    for name, each in pairs.items():
        ours, theirs = (sorted(which) for which in zip(*each, strict=True))
        ratios[names[name]] = [a / b for a, b in each]
        rows.append({"what": name, "imil": ours, "rival": theirs})
        told = [f"{median(s):.2f} ({s[0]:.2f}-{s[-1]:.2f})" for s in (ours, theirs)]
        shown.add_row(names[name], *told, f"{median(ratios[names[name]]):.2f}")
    report_result("starting", shown, rows, ratios, args.out, on_gpu=on_gpu)


if __name__ == "__main__":
    to_the_first_step() if sys.argv[1:2] == ["--child"] else main()
