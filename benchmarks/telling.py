"""What every benchmark is asked, and how it tells what it found."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
from pathlib import Path
from typing import Any


def questions(doc: str, full: str) -> argparse.ArgumentParser:
    """The flags of a benchmark; `full` says what --full adds."""
    parser = argparse.ArgumentParser(description=doc.splitlines()[0])
    parser.add_argument("--full", action="store_true", help=full)
    parser.add_argument("--out", type=Path, help="write the numbers there, as JSON")
    return parser


def resident() -> float:
    """The most memory in GiB that this process, or any that it ran, had at a time."""
    both = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(which).ru_maxrss for which in both) / 2**20


def on_device() -> float | None:
    """The most memory in GiB that tensors of this process took on the GPU; None without one."""
    import torch

    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None


def peak() -> str:
    """Both, in words."""
    there = on_device()
    return f"{resident():.1f} GiB" + (f", {there:.1f} GiB on the GPU" if there else "")


def tell(
    benchmark: str,
    table: Any,
    rows: list[dict[str, Any]],
    ratios: dict[str, list[float]],
    out: Path | None,
) -> None:
    """Print a table and a line of JSON with the machine; write the latter where asked.

    `ratios` are what is to be kept: of each measured thing, by its name, imil's time as a multiple
    of its limit's or rival's, once for each turn.
    """
    import torch
    from rich.console import Console

    table.caption, table.caption_justify = f"peak memory: {peak()}", "left"
    Console().print(table)
    facts = {
        "benchmark": benchmark,
        "machine": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "peak_gib": resident(),
        "peak_gib_on_device": on_device(),
        "rows": rows,
        "ratios": ratios,
    }
    print(json.dumps(facts))
    if out:
        out.write_text(json.dumps(facts, indent=2) + "\n")
