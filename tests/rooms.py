"""A store with rounds, the real server over it, and HTTP clients with and without a link."""

import threading
import time
from contextlib import contextmanager
from uuid import uuid4

import httpx
import numpy as np

from imil.cases import Case, RoundSettings
from imil.geometry import NOT_STATED
from imil.grid import Grid
from imil.store import Store, name_round
from imil.store.invitations import invite
from imil.web.server import ServerConfig, make_server, open_socket

KEY = "Mueller-Anna-19610203.dcm"  # must never reach a page
NAMES = ("normal", "TB")
APPS = {}  # address -> application, for tests that break something in it
ANY_PORT = ServerConfig(port=0)
JSON = {"Content-Type": "application/json"}


def film(number, side=32):
    """An image that no other case has; every other one has 16 bits."""
    pixels = np.random.default_rng(number).integers(5, 250, (side, side + 8))
    return pixels.astype(np.uint8) if number % 2 else (pixels * 16).astype(np.uint16)


def heat(number):
    return np.random.default_rng(100 + number).random((16, 16), np.float32)


def add_round(
    store, run="films", epoch=70, cases=3, grid=Grid(4, 4), film=film, geometry=NOT_STATED
):
    """Open a round, and add its run if needed; `film` draws the image of a number."""
    if run not in [row["name"] for row in store.runs()]:
        store.add_run(run, class_names=NAMES, settings={}, versions={})
    case_list = [
        Case(
            id=f"{name_round(run, epoch)}#{number}",
            run=run,
            epoch=epoch,
            round=name_round(run, epoch),
            number=number,
            key=f"{KEY}/{run}/{number}",
            label=1,
            predicted=0,
            confidence=0.9,
            class_names=NAMES,
            grid=grid,
            load_heat_map={"predicted": heat(number), "true": heat(number + 50)}.__getitem__,
            load_image=lambda number=number: film(number + epoch + len(run)),
            earlier=(2, 3) if number == 2 else None,
            geometry=geometry,
        )
        for number in range(1, cases + 1)
    ]
    return store.open_round(run, epoch, RoundSettings(num_outliers=cases, grid=grid), case_list)


def make_store(folder, **options):
    """A store with one round, in a file."""
    store = Store(folder / "imil.sqlite")
    add_round(store, **options)
    return store


@contextmanager
def serving(path, config=ANY_PORT):
    """The address of the real server, in a thread, until the block ends."""
    sock = open_socket(config, print)
    server = make_server(path, config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server ended at startup"
            time.sleep(0.01)
        address = f"http://127.0.0.1:{sock.getsockname()[1]}"
        APPS[address] = server.config.app
        yield address
    finally:
        server.should_exit = True
        thread.join()
        server.config.app.state.store.close()
        sock.close()


@contextmanager
def visiting(address, secret=None):
    """An HTTP client; with a secret, one that has opened that link."""
    with httpx.Client(base_url=address, timeout=60, headers={"Origin": address}) as browser:
        if secret is not None:
            response = browser.post(f"/in/{secret}")
            assert response.status_code == 303, response.text
        yield browser


def link(store, name="Dr. Lee", run="films", kind="reader", days=30):
    """The secret of a new link."""
    return invite(store, run, name, kind=kind, days=days, by="owner")[1]


def reading(squares=(6,), verdict="focus", seconds=3.5, before=None, reason=""):
    """The body of a reading, as the page sends it."""
    return {
        "verdict": verdict,
        "squares": list(squares),
        "squaresBefore": before,
        "reason": reason,
        "seconds": seconds,
    }


def send(browser, case, given=None, *, epoch=70, reading_id=None):
    """The response to a reading."""
    url = f"/api/rounds/{epoch}/cases/{case}/readings/{reading_id or uuid4().hex}"
    return browser.put(url, json=given or reading())
