"""The flags and the report that all benchmarks share."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

POLL_INTERVAL = 0.05  # seconds between two looks at a GPU's memory


def benchmark_parser(doc: str, full: str) -> argparse.ArgumentParser:
    """The flags of a benchmark; `full` says what --full adds."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--full", action="store_true", help=full)
    parser.add_argument("--out", type=Path, help="write the numbers there, as JSON")
    return parser


def processor() -> str:
    """What the system calls the processor."""
    about = Path("/proc/cpuinfo")  # where `platform` knows nothing
    lines = about.read_text().splitlines() if about.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def resident() -> float:
    """The most memory in GiB that this process, or any that it ran, had at a time."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(which).ru_maxrss for which in both) / 2**20


def on_device() -> float | None:
    """The most memory in GiB that tensors of this process took on the GPU; None without one."""
    import torch

    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None


@contextmanager
def watching_device() -> Iterator[list[float]]:
    """Fills the list with GiB of the GPU's memory that were taken meanwhile, by all processes.

    Beyond what was taken before; with what CUDA takes for each process. Empty without a GPU.
    """
    import torch

    samples: list[float] = []
    if not torch.cuda.is_available():
        yield samples
        return
    stopped = threading.Event()

    def left() -> float:
        return torch.cuda.mem_get_info()[0] / 2**30

    def look() -> None:
        while not stopped.wait(POLL_INTERVAL):
            samples.append(before - left())

    before = left()
    looking = threading.Thread(target=look)
    looking.start()
    try:
        yield samples
    finally:
        stopped.set()
        looking.join()


def peak(gib_on_device: float | None) -> str:
    """The most memory here and on the GPU, in words."""
    return f"{resident():.1f} GiB" + (
        f", {gib_on_device:.1f} GiB on the GPU" if gib_on_device else ""
    )


def report_result(
    benchmark: str,
    table: Any,
    rows: list[dict[str, Any]],
    ratios: dict[str, list[float]],
    out: Path | None,
    *,
    on_gpu: list[float] | None = None,
    precision_setting: str = "auto",
) -> None:
    """Print a table and a line of JSON with the machine; write the latter to `out`.

    `ratios` are what is to be kept: of each measured thing, by its name, imil's time as a multiple
    of its limit's or rival's, once for each turn. `on_gpu` is what `watching_device` saw, where
    other processes than this one did the work; `precision_setting` is `auto` or `32`.
    """
    import torch
    from rich.console import Console

    from imil.training.hardware.device import precision, training_device

    gib_on_device = on_device() if on_gpu is None else max(on_gpu, default=None)
    table.caption, table.caption_justify = f"peak memory: {peak(gib_on_device)}", "left"
    Console().print(table)
    facts = {
        "benchmark": benchmark,
        "machine": processor(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "precision": precision(precision_setting, training_device("auto")),
        "torch": torch.__version__,
        "peak_gib": resident(),
        "peak_gib_on_device": gib_on_device,
        "rows": rows,
        "ratios": ratios,
    }
    print(json.dumps(facts))
    if out:
        out.write_text(json.dumps(facts, indent=2) + "\n")
