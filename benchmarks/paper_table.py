"""What the paper's table costs, beside the bare steps that it is made of.

    python benchmarks/paper_table.py [--full] [--epochs N] [--jobs N] [--out FILE.json]

The seven arms of the paper's plan, one seed, on drawn films: `imil study run` from the command to
its end, with its checks, decoding, rounds, predictions and every process' start. The limit is the
training steps alone (arms that share their beginning train it once: 4 × 100 + 3 × 30 epochs in
place of 700), each taking as long as the bare step of `training_step.py`, which is measured before
and after. By default a small network and a tenth of the epochs, so that what each training costs
but once weighs ten times as much.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean
from time import perf_counter

from benchmark_report import benchmark_parser, report_result, watching_device

FILMS, TEST, BATCH, STEPS = 662, 0.2, 64, 20
SMALL, FULL = ("resnet18", 112, 10, 7), ("resnet50", 224, 100, 70)  # pixels, epochs, the round


def bare(model: str, size: int) -> None:
    """Print the seconds of a bare step, trained as imil trains."""
    from imil.pytorch.torchvision_import import import_torchvision
    from imil.training.hardware.malloc_settings import keep_freed_memory

    import_torchvision()
    keep_freed_memory()
    import torch
    from training_step import Bare

    from imil.training.network import build

    net = build(model, classes=2, image_size=size, weights="none")
    step = Bare(net.to(memory_format=torch.channels_last), size)
    step.seconds(2)
    steps = STEPS if step.device.type == "cpu" else 15 * STEPS
    print(step.seconds(steps) / steps)


def seconds_of_a_step(model: str, size: int) -> float:
    """The same, in a process of its own."""
    words = [sys.executable, __file__, "--child", model, str(size)]
    return float(subprocess.run(words, stdout=subprocess.PIPE, check=True).stdout)


def study(place: Path, model: str, size: int, epochs: int, after: int, jobs: int) -> float:
    """Seconds that `imil study run` takes for the paper's plan."""
    from imil.study.plan import read_plan
    from imil.study.plan_templates import init

    plan = place / "paper.toml"
    plan.write_text(init("paper", str(place / "films" / "manifest.csv")))
    settings = read_plan(plan)
    settings.training.update(model=model, image_size=size, epochs=epochs, imil_epoch=[after])
    settings.write(plan)
    imil = Path(sys.executable).with_name("imil")
    words = [imil, "study", "run", plan, "--out", place / "study", "--jobs", str(jobs)]
    began = perf_counter()
    subprocess.run(words, stdout=sys.stderr, check=True)
    return perf_counter() - began


def main() -> None:
    """Measure, print a table and a line of JSON."""
    parser = benchmark_parser(__doc__, "ResNet-50 at 224 px and 100 epochs: hours without a GPU")
    parser.add_argument("--jobs", type=int, default=1, help="trainings at a time")
    parser.add_argument("--epochs", type=int, help="in place of 10, or of the paper's 100")
    parser.add_argument("--child", nargs=2, help="measure the bare step in this process")
    args = parser.parse_args()
    if args.child:
        bare(args.child[0], int(args.child[1]))
        return
    from rich.table import Table

    from imil.phantom.dataset import write_phantoms

    model, size, epochs, after = FULL if args.full else SMALL
    if args.epochs:
        epochs, after = args.epochs, max(1, round(0.7 * args.epochs))
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        table = write_phantoms(place / "films", n=FILMS, size=512, test=TEST)
        with table.open() as file:
            trained = sum(row["split"] == "train" for row in csv.DictReader(file))
        before = seconds_of_a_step(model, size)
        with watching_device() as on_gpu:
            whole = study(place, model, size, epochs, after, args.jobs)
        step = mean([before, seconds_of_a_step(model, size)])
    shared = 4 * epochs + 3 * (epochs - after)
    limit = shared * trained / BATCH * step
    row = {
        "model": model,
        "size": size,
        "epochs": epochs,
        "jobs": args.jobs,
        "study_seconds": whole,
        "bare_seconds": limit,
        "bare_step": [before, 2 * step - before],
        "ratio": whole / limit,
    }
    shown = Table(title=f"The paper's seven arms, {epochs} epochs of {trained} films, one seed")
    for column in ("model", "bare steps, s", "imil study run, s", "ratio"):
        shown.add_column(column, justify="left" if column == "model" else "right")
    shown.add_row(f"{model}, {size} px", f"{limit:.0f}", f"{whole:.0f}", f"{whole / limit:.2f}")
    ratios = {f"{model}, {size} px": [whole / limit]}
    report_result("paper_table", shown, [row], ratios, args.out, on_gpu=on_gpu)


if __name__ == "__main__":
    main()
