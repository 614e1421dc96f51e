"""What a training step asks of the machine in FLOP and bytes, and how near the bare step comes.

    python benchmarks/limit.py [--full] [--out FILE.json]

Every operation of a step, forward, backward and update, is asked how many floating-point operations
it needs and how many bytes go in and come out. The machine is asked what it does at most: a large
matrix product in the precision of the training, and a copy of memory that fits into no cache. An
operation takes at least as long as its FLOP at the one or its bytes at the other, whichever is
longer; the sum of these is what a step takes at least. Beside it stands the bare step, as
`training_step.py` has it. To read an input twice, as a batch normalisation must, is counted once.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

import torch
from benchmark_report import benchmark_parser, report_result
from rich.table import Table
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from training_step import BATCH, Bare

from imil.training.hardware.device import precision, training_device
from imil.training.hardware.malloc_settings import keep_freed_memory
from imil.training.network import build

SIDE = 4096  # of the matrices
COPIED = 2**29  # bytes
TURNS = 5
SMALL = [("resnet18", 112)]
FULL = [*SMALL, ("resnet50", 224), ("vit_small_patch16_224", 224)]
UNTOUCHED = ("aten::empty", "aten::new_empty", "aten::detach")  # these move nothing


class Counting(TorchDispatchMode):
    """Notes FLOP and bytes of each operation."""

    def __init__(self) -> None:
        super().__init__()
        self.each: list[tuple[float, float]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        """Run it, and note it."""
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        if not func.is_view and not func.name().startswith(UNTOUCHED):
            parts = [x for x in tree_leaves((args, kwargs, out)) if isinstance(x, torch.Tensor)]
            count = flop_registry.get(func.overloadpacket)
            flop = count(*args, **kwargs, out_val=out) if count else 0
            self.each.append((flop, sum(part.nbytes for part in parts)))
        return out


def fastest(do: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of so many turns."""

    def seconds() -> float:
        began = perf_counter()
        do()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return perf_counter() - began

    seconds()
    return min(seconds() for _ in range(TURNS))


def most(device: torch.device, half: bool) -> tuple[float, float]:
    """FLOP and bytes that the machine does in a second at most."""
    kind = torch.bfloat16 if half else torch.float32
    one, other = (torch.rand(SIDE, SIDE, device=device).to(kind) for _ in range(2))
    source = torch.ones(COPIED // 4, device=device)
    target = torch.zeros_like(source)
    product = fastest(lambda: one @ other, device)
    return 2 * SIDE**3 / product, 2 * COPIED / fastest(lambda: target.copy_(source), device)


def compare(model: str, size: int, flop_s: float, bytes_s: float) -> dict[str, object]:
    """What a step needs, and the seconds of some."""
    torch.manual_seed(0)
    net = build(model, classes=2, image_size=size, weights="none")
    bare = Bare(net.to(memory_format=torch.channels_last), size)
    bare.seconds(1)
    with Counting() as counting:
        bare.seconds(1)
    flop, moved = (sum(one) for one in zip(*counting.each, strict=True))
    least = sum(max(f / flop_s, b / bytes_s) for f, b in counting.each)
    steps = 1 if bare.device.type == "cpu" else 100
    return {
        "model": model,
        "size": size,
        "flop": flop,
        "bytes": moved,
        "least": least,
        "steps": [bare.seconds(steps) / steps for _ in range(TURNS)],
    }


def main() -> None:
    """Measure, print a table and a line of JSON."""
    args = benchmark_parser(__doc__, "ResNet-50 and ViT-S at 224 px too").parse_args()
    keep_freed_memory()  # as `imil train` does
    device = training_device("auto")
    half = precision("auto", device) != "32-true"
    flop_s, bytes_s = most(device, half)
    table = Table(
        title=f"A step of {BATCH} images, {'bfloat16' if half else 'float32'}, in seconds: here "
        f"{flop_s / 1e12:.2f} TFLOP/s, {bytes_s / 1e9:.0f} GB/s"
    )
    table.add_column("model", no_wrap=True)
    for column in ("GFLOP an image", "GB", "FLOP alone", "bytes alone", "least", "bare step"):
        table.add_column(column, justify="right")
    table.add_column("least / step", justify="right")
    rows = []
    for model, size in FULL if args.full else SMALL:
        row = compare(model, size, flop_s, bytes_s)
        rows.append(row | {"flop_per_second": flop_s, "bytes_per_second": bytes_s})
        step = median(row["steps"])
        table.add_row(
            f"{model}\n{size} px",
            f"{row['flop'] / BATCH / 1e9:.1f}",
            f"{row['bytes'] / 1e9:.1f}",
            f"{row['flop'] / flop_s:.2f}",
            f"{row['bytes'] / bytes_s:.2f}",
            f"{row['least']:.2f}",
            f"{step:.2f}",
            f"{row['least'] / step:.2f}",
        )
    ratios = {
        f"{row['model']}, {row['size']} px": [step / row["least"] for step in row["steps"]]
        for row in rows
    }
    report_result("limit", table, rows, ratios, args.out)


if __name__ == "__main__":
    main()
