"""Pictures of the reading room for the documentation, taken in a real Chromium.

    python tools/screenshots.py [--store STORE] [--to runs/pictures]

One of every state of the page, to look at; those that a document shows lie in docs/images.
Without a store the films are phantoms, drawn by us. With one, a copy of it is read, and the
pictures are not for publishing if its films are not.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFilter
from playwright.sync_api import Browser, Page, sync_playwright

from imil.cases import Case, RoundSettings
from imil.phantom.dataset import CLASS_NAMES, LETTERS, Phantom, draw
from imil.store import Store, name_round
from imil.store.invitations import invite
from imil.store.run_progress import Progress
from imil.web.server import Place, listen, server

CASES = 8
SIDE = 1024  # pixels of a phantom
VIEW = 224  # pixels of the model's view
LARGEST = 300_000  # bytes of a picture
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
HOLD_STILL = "[data-state=painted]"
ANSWERS = ["6 10"] * CASES  # of a store given; where the lesion lies, for phantoms


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, help="a store to copy instead of phantoms")
    parser.add_argument("--to", type=Path, default=Path("runs/pictures"))
    given = parser.parse_args()
    given.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "imil.sqlite"
        if given.store:
            shutil.copy(given.store, file)
        store = Store(file)
        if not given.store:
            phantoms(store)
        path = next(filter(None, map(shutil.which, NAMES)), None)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        alive = Progress(store).alive(str(store.runs()[-1]["name"]))
        with alive, serving(file) as address:
            take(browser, store, address, given.to)
        browser.close()
        store.close()


def take(browser: Browser, store: Store, address: str, to: Path) -> None:
    """One picture of every state, in the order in which a reader meets them."""
    run = str(store.runs()[-1]["name"])

    def link(name: str, kind: str = "reader") -> str:
        secret = invite(store, run, name, kind=kind, days=30, by="owner")[1]  # type: ignore[arg-type]  # a literal of ours
        return f"{address}/in/{secret}"

    def shoot(page: Page, name: str) -> None:
        page.wait_for_timeout(700)
        save(page.screenshot(), to / f"room-{name}.png")

    def opened(where: str, width: int = 1440, height: int = 900, ratio: int = 1) -> Page:
        size = {"width": width, "height": height}
        page = browser.new_context(viewport=size, device_scale_factor=ratio).new_page()  # type: ignore[arg-type]  # a TypedDict
        page.goto(where)
        return page

    shoot(opened(address), "sign-in")
    page = opened(link("Dr. Lee"))
    shoot(page, "instructions")
    page.get_by_role("button", name="Try a practice case").click()
    page.wait_for_selector(HOLD_STILL)
    shoot(page, "practice")
    page.get_by_role("button", name="How to read").click()
    page.get_by_role("button", name="Start reading").click()
    painted(page, 1)
    page.keyboard.press("d")
    page.keyboard.type(ANSWERS[0])
    page.get_by_label("Reason", exact=True).last.fill(
        "The model was focused on the letter, so I switched the focus towards the lung."
    )
    page.evaluate("document.activeElement.blur()")
    shoot(page, "case")
    keys(page, "t", "3", "?")
    shoot(page, "keys")
    keys(page, "Escape", "Enter")
    painted(page, 2)
    keys(page, "r", "i", "ArrowRight", "ArrowDown", "Space")
    shoot(page, "turned")
    page.context.set_offline(True)
    keys(page, "Enter")
    painted(page, 3)
    shoot(page, "offline")
    page.context.set_offline(False)
    page.wait_for_selector(".state[data-state=good]")
    for number in range(3, CASES + 1):
        painted(page, number)
        page.keyboard.press("d")
        page.keyboard.type(ANSWERS[number - 1])
        page.keyboard.press("Control+Enter")
    page.get_by_role("heading", name="Your readings").wait_for()
    page.wait_for_timeout(1500)
    shoot(page, "review")
    for name, size in {"tablet": (1024, 768, 1), "phone": (390, 844, 2)}.items():
        small = opened(link(f"Dr. {name.title()}"), *size)
        small.get_by_role("button", name="Start reading").click()
        painted(small, 1)
        small.mouse.click(*middle(small, 6))
        shoot(small, name)
    owner = opened(link("Owner", "owner"))
    shoot(owner, "lobby")
    Progress(store).set_protocol(run, "blind-first", by="owner")
    blind = opened(link("Dr. Silva"))
    blind.get_by_role("button", name="Start reading").click()
    painted(blind, 1)
    blind.mouse.click(*middle(blind, 6))
    shoot(blind, "blind-first")
    finish(store, run)
    page.goto(address)
    page.reload()
    shoot(page, "thanks")


def keys(page: Page, *names: str) -> None:
    """Press keys, one after the other."""
    for name in names:
        page.keyboard.press(name)


def painted(page: Page, number: int) -> None:
    """Wait until the film of this case is on the screen."""
    page.wait_for_selector(f"imil-case[data-case='{number}']{HOLD_STILL}")


def middle(page: Page, square: int) -> tuple[float, float]:
    """The middle of a square on the screen."""
    where = "(id) => { const box = document.getElementById(id).getBoundingClientRect();"
    give = "return [box.x + box.width / 2, box.y + box.height / 2]; }"
    x, y = page.evaluate(where + give, f"square-{square}")
    return x, y


def save(picture: bytes, path: Path) -> None:
    """Write a PNG of at most `LARGEST` bytes: all colours if they fit, smaller or fewer if not."""
    whole = Pillow.open(io.BytesIO(picture)).convert("RGB")
    small = whole.resize((whole.width * 7 // 10, whole.height * 7 // 10), Pillow.Resampling.LANCZOS)
    packed = next((one for one in map(pack, (whole, small)) if len(one) <= LARGEST), b"")
    # last, in 64 steps of each colour, which the eye does not tell apart
    coarse = Pillow.fromarray((np.asarray(small) & 0xFC) + 2)
    packed = packed or pack(coarse)
    path.write_bytes(packed)
    print(f"{path} {len(packed):,} bytes")


def pack(picture: Pillow.Image) -> bytes:
    """A PNG."""
    packed = io.BytesIO()
    picture.save(packed, "PNG", optimize=True)
    return packed.getvalue()


def phantoms(store: Store) -> None:
    """A run whose model looked at the letter in the corner."""
    run = "phantoms"
    store.add_run(run, class_names=CLASS_NAMES, settings={}, versions={})
    Progress(store).report(run, state="waiting", epoch=70, epochs=100)
    made = [case(run, number) for number in range(1, CASES + 1)]
    store.open_round(run, 70, RoundSettings(num_outliers=CASES), made)


def case(run: str, number: int) -> Case:
    """A phantom with a lesion that the model took for normal, by its letter."""
    drawn = draw(1, np.random.default_rng(number), size=SIDE, letter=LETTERS[0], depth=16)
    shares = RoundSettings().grid.shares(drawn.lesion)
    ANSWERS[number - 1] = " ".join(str(i) for i, share in enumerate(shares, 1) if share > 0.04)
    letter = np.zeros((VIEW, VIEW), np.float32)
    letter[8:32, 6:30] = 1
    heat_maps = {
        "predicted": soft(letter + 0.35 * seen(drawn, lung=True)),
        "true": soft(seen(drawn, lung=False) + 0.5 * letter),
    }
    return Case(
        id=f"{name_round(run, 70)}#{number}",
        run=run,
        epoch=70,
        round=name_round(run, 70),
        number=number,
        key=f"phantom {number}",
        label=1,
        predicted=0,
        confidence=0.985 - 0.012 * number,
        class_names=CLASS_NAMES,
        grid=RoundSettings().grid,
        load_heat_map=heat_maps.__getitem__,
        load_image=lambda: drawn.image,
        earlier=(6, 10) if number == 2 else None,
    )


def seen(drawn: Phantom, *, lung: bool) -> NDArray[np.float32]:
    """The lower lung, or the lesion, in the model's view."""
    mask = drawn.lung & (np.arange(SIDE)[:, None] > 0.6 * SIDE) if lung else drawn.lesion
    small = Pillow.fromarray(mask.astype(np.uint8) * 255).resize((VIEW, VIEW))
    return np.asarray(small, np.float32) / np.float32(255)


def soft(map_: NDArray[np.float32]) -> NDArray[np.float32]:
    """As coarse as the last layer of a network."""
    picture = Pillow.fromarray((map_ / map_.max() * 255).astype(np.uint8))
    values = np.asarray(picture.filter(ImageFilter.GaussianBlur(13)), np.float32)
    coarse: NDArray[np.float32] = values / values.max()
    return coarse


def finish(store: Store, run: str) -> None:
    """The training has ended; its results are there."""
    progress = Progress(store)
    progress.add_result(run, 70, {"accuracy": 0.871, "auroc": 0.934, "ece": 0.082})
    progress.add_result(run, 100, {"accuracy": 0.902, "auroc": 0.951, "ece": 0.047})
    progress.report(run, state="finished", epoch=100, epochs=100)
    for round_ in store.rounds(run):
        store.mark(round_, "closed")


@contextlib.contextmanager
def serving(file: Path) -> Iterator[str]:
    """The address of the reading room, until the block ends."""
    place = Place(port=0)
    door = listen(place, print)
    running = server(file, place)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [door]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{door.getsockname()[1]}"
    running.should_exit = True
    thread.join(10)


if __name__ == "__main__":
    main()
