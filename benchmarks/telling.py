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

    Console().print(table)
    facts = {
        "benchmark": benchmark,
        "machine": platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "rows": rows,
        "ratios": ratios,
    }
    print(json.dumps(facts))
    if out:
        out.write_text(json.dumps(facts, indent=2) + "\n")
