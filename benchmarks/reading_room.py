"""How fast the reading room is, beside the least that a web page can be.

    python benchmarks/reading_room.py [--full] [--out FILE.json]

Bytes of the page; submit to next case painted, in Chromium, at 512² with 8 bits and at 3000²
with 16; latency of the server with 1, 20 and 100 readers at once; readings lost or doubled.
The rival is a bare static page of the same film under the same uvicorn, in the same run.

Readers think for three seconds a case, some twenty times faster than people do; then, as the
hardest case, all submit in the same moment.
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
from room_load import burst, load, static
from room_rival import film, rival

from imil.cases import Case, RoundSettings
from imil.store import Store, name_round
from imil.store.invitations import invite
from imil.web.child_server import start_beside
from imil.web.server import Place

READERS = (1, 20, 100)
THINK = 3.0  # seconds a case
CASES = 8


def make_store(folder: Path, side: int, bits: int) -> Store:
    """A store with one round of films."""
    store = Store(folder / "imil.sqlite")
    store.add_run("films", class_names=["normal", "TB"], settings={}, versions={})
    heat = np.random.default_rng(0).random((224, 224), np.float32)
    settings = RoundSettings(num_outliers=CASES)
    cases = [
        Case(
            id=f"{name_round('films', 70)}#{number}",
            run="films",
            epoch=70,
            round=name_round("films", 70),
            number=number,
            key=f"film-{number}",
            label=1,
            predicted=0,
            confidence=0.9,
            class_names=("normal", "TB"),
            grid=settings.grid,
            load_heat_map=lambda _which: heat,
            load_image=lambda number=number: film(side, bits, number),
        )
        for number in range(1, CASES + 1)
    ]
    store.open_round("films", 70, settings, cases)
    return store


def enter(store: Store, address: str, count: int) -> list[str]:
    """Cookies of that many readers."""
    cookies = []
    for i in range(count):
        secret = invite(store, "films", f"reader {i}", by="owner")[1]
        with httpx.Client(base_url=address) as browser:
            browser.get(f"/in/{secret}")
            cookies.append(browser.cookies["imil_session"])
    return cookies


def cases_of(address: str, cookie: str) -> list[dict]:
    """What a reader fetches."""
    round_ = httpx.get(f"{address}/api/rounds/70", cookies={"imil_session": cookie}).json()
    return [
        {
            "number": case["number"],
            "image": case["image"]["url"],
            "heat_map": case["opinion"]["heatMaps"]["predicted"],
        }
        for case in round_["cases"]
    ]


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p95, p99 in milliseconds."""
    at = np.percentile(np.asarray(seconds) * 1_000, (50, 95, 99))
    return {name: round(float(v), 2) for name, v in zip(("p50", "p95", "p99"), at, strict=True)}


def measure_server(rounds: int) -> dict:
    """Latencies by number of readers, beside the bare page's, and what became of the readings."""
    found: dict = {}
    confirmed: set[str] = set()
    with tempfile.TemporaryDirectory() as folder, rival(512, 8) as bare:
        store = make_store(Path(folder), 512, 8)
        with start_beside(store.path, "films", place=Place(port=0)) as room:
            for readers in READERS:
                cookies = enter(store, room.address, readers)
                cases = cases_of(room.address, cookies[0])
                load(room.address, cookies[:1], cases[:2], 0.01, 1)  # warm
                seen = load(room.address, cookies, cases, THINK, rounds if readers > 1 else 3)
                confirmed |= seen.confirmed
                line = {kind: percentiles(times) for kind, times in seen.seconds.items()}
                plain = static(bare, "/film.raw", readers, THINK / 3, CASES * rounds)
                line["bare page"] = percentiles(plain)
                crowd = burst(room.address, cookies, cases[0])
                confirmed |= crowd.confirmed
                line["all in one moment"] = percentiles(crowd.seconds["submit"])
                line["refused"] = seen.refused + crowd.refused
                line["ratio p95"] = round(line["image"]["p95"] / line["bare page"]["p95"], 2)
                found[f"{readers} readers"] = line
                print(readers, "readers", json.dumps(line), flush=True)
        counted = Counter(reading.id for reading in store.readings("films@70"))
        found["readings"] = {
            "confirmed": len(confirmed),
            "lost": len(confirmed - set(counted)),
            "doubled": sum(times > 1 for times in counted.values()),
        }
        store.close()
    return found


def measure_page(side: int, bits: int) -> dict:
    """The page in Chromium beside the bare page."""
    from room_browser import bare, chromium, room

    with tempfile.TemporaryDirectory() as folder, rival(side, bits) as plain, chromium() as browser:
        store = make_store(Path(folder), side, bits)
        with start_beside(store.path, "films", place=Place(port=0)) as beside:
            secret = invite(store, "films", "Dr. Lee", by="owner")[1]
            ours = room(browser, f"{beside.address}/in/{secret}", CASES)
        theirs = bare(browser, plain, CASES)
        store.close()
    ratio = round(ours["median"] / theirs["median"], 2)
    found = {"room": ours, "bare page": theirs, "ratio": ratio}
    print(f"{side}x{side}, {bits} bits", json.dumps(found), flush=True)
    return found


def main() -> int:
    """Measure everything; 1 if a reading was lost or doubled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--full", action="store_true", help="more rounds, and the page in Chromium")
    parser.add_argument("--out", type=Path, help="write the numbers there, as JSON")
    told = parser.parse_args()
    machine = {"processors": os.cpu_count(), "load": os.getloadavg()[0]}
    found: dict = {"machine": machine | {"python": platform.python_version()}}
    found["server, ms"] = measure_server(3 if told.full else 1)
    if told.full:
        pages = {
            f"{side}x{side} {bits} bits": (side, bits) for side, bits in ((512, 8), (3000, 16))
        }
        found["page, ms"] = {name: measure_page(*size) for name, size in pages.items()}
    print(json.dumps(found["server, ms"]["readings"]))
    if told.out:
        told.out.write_text(json.dumps(found, indent=2) + "\n")
    readings = found["server, ms"]["readings"]
    return int(bool(readings["lost"] or readings["doubled"]))


if __name__ == "__main__":
    sys.exit(main())
