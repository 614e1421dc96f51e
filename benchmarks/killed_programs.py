"""Trainings with a reader in Chromium while programs are killed and what they need fails.

    python benchmarks/killed_programs.py [--full] [--out FILE.jsonl]

`imil train --reader web`, `imil serve` and Chromium run over a store in a file and in PostgreSQL,
in turn, until so many of them were killed (kill -9, at random moments). Between the kills the
network between page and server is cut, the database's server is stopped as in a crash, the time of
day is moved by days (with a C compiler) and the disk is filled (a tmpfs; needs root). Counted after
each run are readings that the page showed as stored and the store lacks or has otherwise, readings
that are there twice or were asked for again, and programs that did not go on. The weights must be
those of a training that replays the readings and that nothing happened to.

Each run appends a line to the file of --out, and one that is there counts: the command goes on
where it was stopped.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmark_report import benchmark_parser

PROGRAMS = ("training", "server", "browser")
DISK = 600  # MB


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A folder on a disk of its own, where root may make one; else in the folder."""
    disk = folder / "disk"
    disk.mkdir()
    if os.geteuid() != 0:
        yield disk
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "tmpfs", disk], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def measure(kills: int, out: Path | None, folder: Path) -> list[dict[str, Any]]:
    """Runs until so many programs were killed, those in the file included."""
    # here: each program that is forked imports this file
    from multiprocessing import forkserver

    from accident_run import Clock, Run
    from postgres_server import Server, find_binaries

    from imil.phantom.dataset import write_phantoms

    results = [json.loads(line) for line in _lines(out)]
    rng = random.Random()
    compiler = shutil.which("cc")
    clock = Clock(compiler, folder) if compiler else None
    for variable, value in (clock.environment() if clock else {}).items():
        os.environ[variable] = value
    forkserver.ensure_running()  # its processes, the programs, see the clock; this one does not
    for variable in clock.environment() if clock else {}:
        del os.environ[variable]
    os.environ["IMIL_KEY_FILE"] = str(folder / "key")
    films = write_phantoms(folder / "films", n=40, size=48, seed=0)
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder))
        server = None
        if (binaries := find_binaries()) is not None:
            tempfile.tempdir = str(disk)
            server = Server(binaries, fsync=True)
            tempfile.tempdir = None
            stack.callback(server.remove)
        while (missing := kills - sum(_kills(one["events"]) for one in results)) > 0:
            if clock is not None:
                clock.move(0)
            number = len(results)
            its_server = server if number % 2 else None
            run = Run(disk / f"run-{number}", films, its_server, clock, rng)
            result = run.go(lambda events, most=missing: _kills(events) >= most)
            results.append(result)
            print(json.dumps(result), flush=True)
            if out is not None:
                with out.open("a") as file:
                    file.write(json.dumps(result) + "\n")
            if result["lost"] or result["doubled"] or not result["same weights"]:
                shutil.copytree(run.folder, folder.parent / f"kept-{folder.name}-{number}")
            shutil.rmtree(run.folder)
    return results


def _lines(out: Path | None) -> list[str]:
    return out.read_text().splitlines() if out is not None and out.exists() else []


def _kills(events: dict[str, int]) -> int:
    return sum(events.get(name, 0) for name in PROGRAMS)


def summary(results: list[dict[str, Any]]) -> dict[str, Any]:
    """Sums over all runs."""
    events: Counter[str] = Counter()
    for one in results:
        events.update(one["events"])
    summed = ("confirmed", "stored", "lost", "altered", "doubled", "asked again", "new links")
    summed += ("did not go on",)
    return {
        "runs": len(results),
        "kills": _kills(events),
        **events,
        **{name: sum(one[name] for one in results) for name in summed},
        "runs with other weights": sum(not one["same weights"] for one in results),
        "ended in an accident": sum(len(one["ended in an accident"]) for one in results),
        "ended without one": sum(len(one["ended without one"]) for one in results),
    }


def main() -> None:
    """Measure and print."""
    args = benchmark_parser(__doc__, "300 kills in place of 12").parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # unmounts and ends what was started
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)  # the user that runs the database gets to its folder
        results = measure(300 if args.full else 12, args.out, Path(name))
    print(", ".join(f"{name} {value}" for name, value in summary(results).items()))


if __name__ == "__main__":
    main()
