"""Screenshots of every screen for the documentation, taken in a real Chromium.

    python tools/screenshots.py [--store STORE] [--study STUDY] [--to runs/pictures] [--docs]

One of every state of the reading room, of phantoms, as room-NAME.png for each name in `ROOM`; with
`--study` also study-report.png, the top of that study's report. `--docs` copies to docs/images
those that the documentation shows. With `--store` a copy of that store is read in place of
phantoms, and the screenshots must not be published if its images must not.
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
from scipy.ndimage import gaussian_filter

from imil.cases import Case, Reading, RoundSettings
from imil.grid import Grid
from imil.phantom.dataset import CLASS_NAMES, LETTERS, Phantom, draw
from imil.phantom.stack import draw_stack
from imil.reader_panel import PANEL, ReaderPanel
from imil.store import Store, name_round, round_state
from imil.store.invitations import invite
from imil.store.run_progress import Progress
from imil.web.server import ServerConfig, make_server, open_socket

ROOT = Path(__file__).resolve().parents[1]
# what each picture of the reading room shows, by name
ROOM = {
    "sign-in": "the page without a link",
    "instructions": "what a reader sees first",
    "practice": "the practice case",
    "case": "a case with its squares and a reason",
    "sides": "the same in two panes",
    "keys": "all keys",
    "turned": "a film that is rotated and inverted",
    "offline": "without a network",
    "review": "the last page of a round",
    "tablet": "a case on a tablet",
    "upright": "a case on an upright screen",
    "phone": "a case on a phone",
    "lobby": "the owner's page",
    "blind-first": "a case of a blind-first study, before the prediction is shown",
    "thanks": "the results, when training has ended",
    "arbiter": "a case as the arbiter sees it",
    "agreement": "the lobby with the agreement of two readers",
    "stack": "a slice of a volume",
}
REPORT = "study-report.png"
# pictures of the documentation that are no screens, and what makes each
FIGURES = {
    "round.png": "tools/round_figure.py",
    "treatments.png": "tools/treatment_figure.py",
    "cases.png": "imil demo: cases.png in its run's folder",
}
CASES = 8
SIDE = 1024  # pixels of a phantom
INPUT = 224  # pixels of the model's input
SLICES, STACK_SIDE = 24, 256  # of a volume
MAX_BYTES = 300_000  # of a screenshot
FILMS_LOADED = "[...document.querySelectorAll('.selections img')].every((one) => one.naturalWidth)"
PATIENCE = 300_000  # milliseconds; a busy machine paints slowly
BROWSERS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
]
PAINTED = "[data-state=painted][data-ready]"  # and can be answered
ANSWERS = ["6 10"] * CASES  # squares; those of the lesion, for phantoms


def main() -> None:
    """Take all screenshots."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", type=Path, help="a store to copy instead of phantoms")
    parser.add_argument("--to", type=Path, default=Path("runs/pictures"))
    parser.add_argument("--study", type=Path, help="the folder of a study, for its report")
    parser.add_argument("--docs", action="store_true", help="renew those in docs/images")
    parser.add_argument(
        "--arbiter", action="store_true", help="those of several readers and of a volume alone"
    )
    args = parser.parse_args()
    args.to.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        file = Path(folder) / "imil.sqlite"
        if args.store:
            shutil.copy(args.store, file)
        store = Store(file)
        if not args.store:
            add_phantom_run(store)
        path = next(filter(None, map(shutil.which, BROWSERS)), None)
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        alive = Progress(store).alive(str(store.runs()[-1]["name"]))
        with alive, serving(file) as address:
            if not args.arbiter:
                take(browser, store, address, args.to)
        if not args.store:
            take_several(browser, Path(folder), args.to)
            take_stack(browser, Path(folder), args.to)
        if args.study:
            take_report(browser, args.study, args.to)
        browser.close()
        store.close()
    if args.docs:
        for path in shown(args.to):
            shutil.copy(path, ROOT / "docs/images" / path.name)


def shown(folder: Path) -> list[Path]:
    """The pictures in a folder that a page of the documentation shows."""
    pages = [page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]]
    return [
        path
        for path in sorted(folder.glob("*.png"))
        if any(f"images/{path.name})" in page for page in pages)
    ]


def take_report(browser: Browser, study: Path, to: Path) -> None:
    """The top of a study's report."""
    page = browser.new_context(viewport={"width": 1200, "height": 900}).new_page()
    page.goto((study / "report.html").resolve().as_uri())
    save(page.screenshot(), to / REPORT)


def take_several(browser: Browser, folder: Path, to: Path) -> None:
    """The page of an arbiter and the lobby, of a round in which two readers differ."""
    (folder / "several").mkdir()
    store = Store(folder / "several" / "imil.sqlite")
    panel = ReaderPanel(("Dr. Lee", "Dr. Wu"), fusion="staple", arbiter="Dr. Kim")
    add_phantom_run(store, panel)
    round_ = store.rounds()[0]
    for name in panel.readers:
        for case in store.cases(round_.id):
            squares = case.grid.read(ANSWERS[case.number - 1])
            if name == "Dr. Wu" and case.number in (1, 3):
                squares = (5, 6) if case.number == 1 else (12, 16)
            misleading = (1,) if name == "Dr. Lee" and case.number < 4 else ()
            store.add(Reading(case.id, name, "focus", squares, seconds=14, misleading=misleading))
        round_state.finish(store, round_.run, round_.epoch, round_.id, name)
    with Progress(store).alive(round_.run), serving(store.path) as address:
        for name, kind in (("Dr. Kim", "reader"), ("Owner", "owner")):
            secret = invite(store, round_.run, name, kind=kind, by="owner")[1]  # type: ignore[arg-type]  # literals
            page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
            page.set_default_timeout(PATIENCE)
            page.goto(f"{address}/in/{secret}")
            page.get_by_role("button", name="Open the reading room").click()
            if kind == "reader":
                page.get_by_role("button", name="Start reading").click()
                wait_painted(page, 1)
                page.wait_for_function(FILMS_LOADED)
            else:
                page.get_by_text("Agreement of 2 readers").click()
            shoot(page, "arbiter" if kind == "reader" else "agreement", to)
    store.close()


def take_stack(browser: Browser, folder: Path, to: Path) -> None:
    """A slice of a volume with the squares of its slab."""
    (folder / "stack").mkdir()
    store, run, grid = Store(folder / "stack" / "imil.sqlite"), "volumes", Grid(4, 4, 4)
    store.add_run(run, class_names=CLASS_NAMES, settings={}, versions={})
    Progress(store).report(run, state="waiting", epoch=70, epochs=100)
    drawn = draw_stack(1, np.random.default_rng(0), slices=SLICES, size=STACK_SIDE, lesion_slices=6)
    here = np.flatnonzero(drawn.lesion.any(axis=(1, 2)))
    elsewhere = np.zeros((SLICES, 64, 64), np.float32)
    elsewhere[here[0] - 3 : here[0] + 3, 38:50, 12:24] = 1
    true = np.zeros_like(elsewhere)
    true[here, 18:32, 40:54] = 1
    elsewhere, true = (gaussian_filter(one, (1.5, 6, 6)) for one in (elsewhere, true))
    elsewhere, true = elsewhere / elsewhere.max(), true / true.max()
    case = Case(
        id=f"{name_round(run, 70)}#1",
        run=run,
        epoch=70,
        round=name_round(run, 70),
        number=1,
        key="volume 1",
        label=1,
        predicted=0,
        confidence=0.97,
        class_names=CLASS_NAMES,
        grid=grid,
        load_heat_map={"predicted": elsewhere, "true": true}.__getitem__,
        load_image=lambda: drawn.volume,
    )
    store.open_round(run, 70, RoundSettings(num_outliers=1, grid=grid), [case])
    with Progress(store).alive(run), serving(store.path) as address:
        secret = invite(store, run, "Dr. Lee", by="owner")[1]
        page = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
        page.set_default_timeout(PATIENCE)
        page.goto(f"{address}/in/{secret}")
        page.get_by_role("button", name="Open the reading room").click()
        page.get_by_role("button", name="Start reading").click()
        wait_painted(page, 1)
        middle = int(here[len(here) // 2])
        for _ in range(abs(middle - SLICES // 2)):
            page.keyboard.press("." if middle > SLICES // 2 else ",")
        shares = grid.shares(drawn.lesion)
        page.keyboard.press("d")
        page.keyboard.type(" ".join(str(i) for i, share in enumerate(shares, 1) if share > 0.01))
        page.evaluate("document.activeElement.blur()")
        shoot(page, "stack", to)
    store.close()


def shoot(page: Page, name: str, to: Path) -> None:
    """One screenshot of the reading room, once it has settled."""
    assert name in ROOM, f"name {name} in ROOM"
    page.wait_for_timeout(700)
    save(page.screenshot(timeout=PATIENCE), to / f"room-{name}.png")


def take(browser: Browser, store: Store, address: str, to: Path) -> None:
    """One screenshot of every state, in the order of a session."""
    run = str(store.runs()[-1]["name"])

    def link(name: str, kind: str = "reader") -> str:
        secret = invite(store, run, name, kind=kind, days=30, by="owner")[1]  # type: ignore[arg-type]  # a literal
        return f"{address}/in/{secret}"

    def open_page(url: str, width: int = 1440, height: int = 900, ratio: int = 1) -> Page:
        size = {"width": width, "height": height}
        page = browser.new_context(viewport=size, device_scale_factor=ratio).new_page()  # type: ignore[arg-type]  # a TypedDict
        page.set_default_timeout(PATIENCE)
        page.goto(url)
        if "/in/" in url:
            page.get_by_role("button", name="Open the reading room").click()
        return page

    shoot(open_page(address), "sign-in", to)
    page = open_page(link("Dr. Lee"))
    page.get_by_role("button", name="Start reading").wait_for()
    shoot(page, "instructions", to)
    page.get_by_role("button", name="Try a practice case").click()
    page.wait_for_selector(PAINTED)
    shoot(page, "practice", to)
    page.get_by_role("button", name="Instructions").click()
    page.get_by_role("button", name="Start reading").click()
    wait_painted(page, 1)
    page.keyboard.press("d")
    page.keyboard.type(ANSWERS[0])
    page.get_by_label("Reason", exact=True).last.fill(
        "The model was focused on the letter, so I switched the focus towards the lung."
    )
    page.evaluate("document.activeElement.blur()")
    shoot(page, "case", to)
    page.click("[data-command=layout-side]")
    shoot(page, "sides", to)
    page.click("[data-command=layout-single]")
    press_keys(page, "t", "3", "?")
    shoot(page, "keys", to)
    press_keys(page, "Escape", "Enter")
    wait_painted(page, 2)
    press_keys(page, "r", "i", "ArrowRight", "ArrowDown", "Space")
    shoot(page, "turned", to)
    page.context.set_offline(True)
    press_keys(page, "Enter")
    wait_painted(page, 3)
    shoot(page, "offline", to)
    page.context.set_offline(False)
    page.wait_for_selector(".state[data-state=good]")
    for number in range(3, CASES + 1):
        wait_painted(page, number)
        page.keyboard.press("d")
        page.keyboard.type(ANSWERS[number - 1])
        page.keyboard.press("Control+Enter")
    page.get_by_role("heading", name="Your readings").wait_for()
    page.wait_for_timeout(1500)
    shoot(page, "review", to)
    for name, size in {
        "tablet": (1024, 768, 1),
        "upright": (1200, 1920, 1),
        "phone": (390, 844, 2),
    }.items():
        small = open_page(link(f"Dr. {name.title()}"), *size)
        small.get_by_role("button", name="Start reading").click()
        wait_painted(small, 1)
        small.mouse.click(*centre(small, 6))
        shoot(small, name, to)
    owner = open_page(link("Owner", "owner"))
    owner.get_by_text("Audit log").first.wait_for()
    shoot(owner, "lobby", to)
    Progress(store).set_protocol(run, "blind-first", by="owner")
    blind = open_page(link("Dr. Silva"))
    blind.get_by_role("button", name="Start reading").click()
    wait_painted(blind, 1)
    blind.mouse.click(*centre(blind, 6))
    shoot(blind, "blind-first", to)
    finish(store, run)
    page.goto(address)
    page.reload()
    page.get_by_role("heading").first.wait_for()
    shoot(page, "thanks", to)


def press_keys(page: Page, *names: str) -> None:
    """Press keys, one after the other."""
    for name in names:
        page.keyboard.press(name)


def wait_painted(page: Page, number: int) -> None:
    """Wait until the image of this case is on the screen."""
    page.wait_for_selector(f"imil-case[data-case='{number}']{PAINTED}")


def centre(page: Page, square: int) -> tuple[float, float]:
    """The centre of a square on the screen."""
    script = "(id) => { const box = document.getElementById(id).getBoundingClientRect();"
    result = "return [box.x + box.width / 2, box.y + box.height / 2]; }"
    x, y = page.evaluate(script + result, f"square-{square}")
    return x, y


def save(screenshot: bytes, path: Path) -> None:
    """Write a PNG of at most `MAX_BYTES` bytes: smaller or with fewer colours where needed."""
    whole = Pillow.open(io.BytesIO(screenshot)).convert("RGB")
    small = whole.resize((whole.width * 7 // 10, whole.height * 7 // 10), Pillow.Resampling.LANCZOS)
    data = next((png for png in map(to_png, (whole, small)) if len(png) <= MAX_BYTES), b"")
    # last, in 64 steps per channel, which are hardly visible
    coarse = Pillow.fromarray((np.asarray(small) & 0xFC) + 2)
    data = data or to_png(coarse)
    path.write_bytes(data)
    print(f"{path} {len(data):,} bytes")


def to_png(picture: Pillow.Image) -> bytes:
    """The picture as a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def add_phantom_run(store: Store, panel: ReaderPanel = PANEL) -> None:
    """Add a run whose model looks at the letter in the corner."""
    run = "phantoms"
    store.add_run(run, class_names=CLASS_NAMES, settings={}, versions={})
    Progress(store).report(run, state="waiting", epoch=70, epochs=100)
    cases = [phantom_case(run, number) for number in range(1, CASES + 1)]
    store.open_round(run, 70, RoundSettings(num_outliers=CASES, panel=panel), cases)


def phantom_case(run: str, number: int) -> Case:
    """A phantom with a lesion that the model predicts to be normal, by its letter."""
    phantom = draw(1, np.random.default_rng(number), size=SIDE, letter=LETTERS[0], depth=16)
    shares = RoundSettings().grid.shares(phantom.lesion)
    ANSWERS[number - 1] = " ".join(str(i) for i, share in enumerate(shares, 1) if share > 0.04)
    letter = np.zeros((INPUT, INPUT), np.float32)
    letter[8:32, 6:30] = 1
    heat_maps = {
        "predicted": blur(letter + 0.35 * input_mask(phantom, lung=True)),
        "true": blur(input_mask(phantom, lung=False) + 0.5 * letter),
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
        load_image=lambda: phantom.image,
        earlier=(6, 10) if number == 2 else None,
    )


def input_mask(phantom: Phantom, *, lung: bool) -> NDArray[np.float32]:
    """The lower lung, or the lesion, at the size of the model's input."""
    mask = phantom.lung & (np.arange(SIDE)[:, None] > 0.6 * SIDE) if lung else phantom.lesion
    small = Pillow.fromarray(mask.astype(np.uint8) * 255).resize((INPUT, INPUT))
    return np.asarray(small, np.float32) / np.float32(255)


def blur(map_: NDArray[np.float32]) -> NDArray[np.float32]:
    """As coarse as the last feature map of a network."""
    picture = Pillow.fromarray((map_ / map_.max() * 255).astype(np.uint8))
    values = np.asarray(picture.filter(ImageFilter.GaussianBlur(13)), np.float32)
    coarse: NDArray[np.float32] = values / values.max()
    return coarse


def finish(store: Store, run: str) -> None:
    """Mark the run as finished, with its results."""
    progress = Progress(store)
    progress.add_result(run, 70, {"accuracy": 0.871, "auroc": 0.934, "ece": 0.082})
    progress.add_result(run, 100, {"accuracy": 0.902, "auroc": 0.951, "ece": 0.047})
    progress.report(run, state="finished", epoch=100, epochs=100)
    for round_ in store.rounds(run):
        store.mark(round_, "closed")


@contextlib.contextmanager
def serving(file: Path) -> Iterator[str]:
    """The address of the reading room, until the block ends."""
    config = ServerConfig(port=0)
    sock = open_socket(config, print)
    web_server = make_server(file, config)
    thread = threading.Thread(target=web_server.run, kwargs={"sockets": [sock]}, daemon=True)
    thread.start()
    while not web_server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{sock.getsockname()[1]}"
    web_server.should_exit = True
    thread.join(10)


if __name__ == "__main__":
    main()
