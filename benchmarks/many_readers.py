"""A hundred readers at once, for minutes: errors, and readings that are lost or stored twice.

    python benchmarks/many_readers.py [--full] [--out FILE.json]

Each reader takes three seconds a case, submits, and loads the next film and heat-map; one in ten
readings is sent twice. First a store in a file, then PostgreSQL where it is installed.
The readers are in this process and the server in another.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from benchmark_report import benchmark_parser
from reading_room import CASES, THINK, cases_of, percentiles, sign_in
from room_baseline import make_film
from room_load import load
from room_store import make_store

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from postgres_server import Server, find_binaries

from imil.web.child_server import start_server_process
from imil.web.server import ServerConfig

READERS = 100


def measure(place: Path | str, seconds: float) -> dict[str, float]:
    """Counts and latencies (ms) of so many seconds of reading.

    Args:
        place: a folder, or the address of a database with an empty store.
        seconds: of reading, for each reader.
    """
    heat_map = np.random.default_rng(0).random((224, 224), np.float32)
    store = make_store(place, CASES, lambda number: make_film(512, 8, number), heat_map)
    with start_server_process(store.path, "films", config=ServerConfig(port=0)) as server:
        cookies = sign_in(store, server.address, READERS)
        cases = cases_of(server.address, cookies[0])
        began = time.perf_counter()
        loaded = load(server.address, cookies, cases, THINK, round(seconds / THINK / CASES))
        took = time.perf_counter() - began
    stored = Counter(reading.id for reading in store.readings("films@70"))
    store.close()
    return {
        "readers": READERS,
        "seconds": round(took),
        "requests": sum(len(times) for times in loaded.seconds.values()),
        "confirmed": len(loaded.confirmed),
        "told to try again": loaded.again,
        "errors": loaded.refused,
        "lost": len(loaded.confirmed - stored.keys()),
        "doubled": sum(count > 1 for count in stored.values()),
        **{f"submit {name}": ms for name, ms in percentiles(loaded.seconds["submit"]).items()},
    }


def main() -> None:
    """Measure and print."""
    args = benchmark_parser(__doc__, "five minutes each in place of half a minute").parse_args()
    seconds = 300.0 if args.full else 30.0
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        result["file"] = measure(Path(folder), seconds)
    if (binaries := find_binaries()) is not None:
        server = Server(binaries, fsync=True)
        try:
            result["PostgreSQL"] = measure(server.new_store(), seconds)
        finally:
            server.remove()
    for what, figures in result.items():
        print(f"{what}: " + ", ".join(f"{name} {value:g}" for name, value in figures.items()))
    if args.out:
        args.out.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
