"""Speed of the reading room, compared with a minimal static page.

    python benchmarks/reading_room.py [--full] [--out FILE.json]

Bytes of the page; submit to next case painted, in Chromium, at 512² with 8 bits and at 3000²
with 16; latency of the server with 1, 20 and 100 readers at once; readings lost or stored twice.
The baseline is a static page with the same image under the same uvicorn, in the same run.

Simulated readers take three seconds a case, about twenty times faster than people; then, as the
worst case, all submit at the same moment.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections import Counter
from pathlib import Path

import httpx
import numpy as np
from room_baseline import baseline_server, make_film
from room_load import burst, load, load_static
from room_store import make_store

from imil.store import Store
from imil.store.invitations import invite
from imil.web.child_server import start_server_process
from imil.web.server import ServerConfig

READERS = (1, 20, 100)
THINK = 3.0  # seconds a case
CASES = 8


def films_store(folder: Path, side: int, bits: int) -> Store:
    """A store with one round of films."""
    heat_map = np.random.default_rng(0).random((224, 224), np.float32)
    return make_store(folder, CASES, lambda number: make_film(side, bits, number), heat_map)


def sign_in(store: Store, address: str, count: int) -> list[str]:
    """Session cookies of that many readers, as `name=value`."""
    cookies = []
    for i in range(count):
        secret = invite(store, "films", f"reader {i}", by="owner")[1]
        with httpx.Client(base_url=address) as browser:
            browser.post(f"/in/{secret}")
            (session,) = browser.cookies.jar
            cookies.append(f"{session.name}={session.value}")
    return cookies


def cases_of(address: str, cookie: str) -> list[dict]:
    """Number and URLs of each case of the round."""
    round_ = httpx.get(f"{address}/api/rounds/70", headers={"Cookie": cookie}).json()
    return [
        {
            "number": case["number"],
            "image": "/" + case["image"]["url"],
            "heat_map": "/" + case["opinion"]["heatMaps"]["predicted"],
        }
        for case in round_["cases"]
    ]


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p95, p99 in milliseconds."""
    at = np.percentile(np.asarray(seconds) * 1_000, (50, 95, 99))
    return {name: round(float(v), 2) for name, v in zip(("p50", "p95", "p99"), at, strict=True)}


def measure_server(rounds: int) -> dict:
    """Latencies by number of readers, those of the baseline, and counts of lost readings."""
    results: dict = {}
    confirmed: set[str] = set()
    with tempfile.TemporaryDirectory() as folder, baseline_server(512, 8) as baseline:
        store = films_store(Path(folder), 512, 8)
        with start_server_process(store.path, "films", config=ServerConfig(port=0)) as server:
            for readers in READERS:
                cookies = sign_in(store, server.address, readers)
                cases = cases_of(server.address, cookies[0])
                load(server.address, cookies[:1], cases[:2], 0.01, 1)  # warm
                loaded = load(server.address, cookies, cases, THINK, rounds if readers > 1 else 3)
                confirmed |= loaded.confirmed
                row = {kind: percentiles(times) for kind, times in loaded.seconds.items()}
                latencies = load_static(baseline, "/film.raw", readers, THINK / 3, CASES * rounds)
                row["baseline"] = percentiles(latencies)
                simultaneous = burst(server.address, cookies, cases[0])
                confirmed |= simultaneous.confirmed
                row["all at the same moment"] = percentiles(simultaneous.seconds["submit"])
                row["refused"] = loaded.refused + simultaneous.refused
                row["ratio p95"] = round(row["image"]["p95"] / row["baseline"]["p95"], 2)
                results[f"{readers} readers"] = row
                print(readers, "readers", json.dumps(row), flush=True)
        counts = Counter(reading.id for reading in store.readings("films@70"))
        results["readings"] = {
            "confirmed": len(confirmed),
            "lost": len(confirmed - set(counts)),
            "stored twice": sum(times > 1 for times in counts.values()),
        }
        store.close()
    return results


def measure_page(side: int, bits: int) -> dict:
    """The page in Chromium, compared with the baseline page."""
    from room_browser import chromium, measure_baseline, measure_room

    with (
        tempfile.TemporaryDirectory() as folder,
        baseline_server(side, bits) as baseline,
        chromium() as browser,
    ):
        store = films_store(Path(folder), side, bits)
        with start_server_process(store.path, "films", config=ServerConfig(port=0)) as server:
            secret = invite(store, "films", "Dr. Lee", by="owner")[1]
            room_times = measure_room(browser, f"{server.address}/in/{secret}", CASES)
        baseline_times = measure_baseline(browser, baseline, CASES)
        store.close()
    ratio = round(room_times["median"] / baseline_times["median"], 2)
    results = {"room": room_times, "baseline": baseline_times, "ratio": ratio}
    print(f"{side}x{side}, {bits} bits", json.dumps(results), flush=True)
    return results


def main() -> int:
    """Run all measurements; returns 1 if a reading was lost or stored twice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="more rounds, and the page in Chromium")
    parser.add_argument("--out", type=Path, help="write the results to this JSON file")
    args = parser.parse_args()
    machine = {"processors": os.cpu_count(), "load": os.getloadavg()[0]}
    results: dict = {"machine": machine | {"python": platform.python_version()}}
    results["server, ms"] = measure_server(3 if args.full else 1)
    if args.full:
        pages = {
            f"{side}x{side} {bits} bits": (side, bits) for side, bits in ((512, 8), (3000, 16))
        }
        results["page, ms"] = {name: measure_page(*size) for name, size in pages.items()}
    print(json.dumps(results["server, ms"]["readings"]))
    if args.out:
        args.out.write_text(json.dumps(results, indent=2) + "\n")
    readings = results["server, ms"]["readings"]
    return int(bool(readings["lost"] or readings["stored twice"]))


if __name__ == "__main__":
    sys.exit(main())
