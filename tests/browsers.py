"""A real Chromium, and a reader in it, for the tests of the reading room."""

import os
import shutil
from contextlib import contextmanager

import pytest

TIMEOUT = 120_000  # ms; only for a page that hangs, since the machine may be busy
NAMES = (
    "chromium-headless-shell",  # the same engine without windows: half the processor time
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


def no_browser(reason):
    """Skip a test for lack of a browser; fail under CI, which must have one."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@contextmanager
def chromium():
    """Chromium, the system's or Playwright's own."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        no_browser("drives a browser with Playwright, which is missing: make setup brings it")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error:
            no_browser(
                "looks at the page in Chromium, which is not installed: apt install "
                "chromium-headless-shell, or chromium"
            )
        yield browser
        browser.close()


class ReaderBrowser:
    """A reader's browser with the page open; records console errors and the hosts it contacts."""

    def __init__(self, browser, address, secret=None, width=1280, height=800, **options):
        self.address = address
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.context.set_default_timeout(TIMEOUT)
        self.errors, self.hosts = [], set()
        self.page = self.open_tab()
        self.page.goto(f"{address}/in/{secret}" if secret else address)
        if secret:
            self.page.get_by_role("button", name="Open the reading room").click()

    def open_tab(self):
        page = self.context.new_page()
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        return page

    def _on_console(self, message):
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url', '')}")

    def start(self):
        """Leave the instructions and wait for the first case."""
        self.page.get_by_role("button", name="Start reading").click()
        self.wait_for_case(1)
        return self

    def wait_for_case(self, number):
        """Wait until this case can be answered: film and prediction have been on the screen."""
        self.page.wait_for_selector(
            f"imil-case[data-case='{number}'][data-state=painted][data-ready]"
        )

    def wait_until_ready(self):
        """Wait until the case on the screen can be answered."""
        self.page.wait_for_selector("imil-case[data-ready]")

    def press_keys(self, *names):
        for name in names:
            self.page.keyboard.press(name)

    @property
    def squares(self):
        """The squares that are selected on the screen."""
        text = self.page.get_attribute("imil-case", "data-squares")
        return tuple(map(int, text.split()))

    def center_of(self, square, pane=0):
        """The middle of a square on the screen, once it stays there: a layout settles in frames."""
        return self.page.evaluate(
            """async ([square, index]) => {
                const center = () => {
                    const pane = document.querySelectorAll(".pane")[index];
                    const box = document.querySelector("#square-" + square).getBoundingClientRect();
                    const first = document.querySelector(".pane").getBoundingClientRect();
                    const other = pane.getBoundingClientRect();
                    return [box.x + box.width / 2 + other.x - first.x,
                            box.y + box.height / 2 + other.y - first.y];
                };
                let [before, now] = [[], center()];
                while (before[0] !== now[0] || before[1] !== now[1]) {
                    before = now;
                    await new Promise(requestAnimationFrame);
                    now = center();
                }
                return now;
            }""",
            [square, pane],
        )

    def click(self, *squares, pane=0):
        for square in squares:
            self.page.mouse.click(*self.center_of(square, pane=pane))

    def drag(self, *squares):
        points = [self.center_of(square) for square in squares]
        self.page.mouse.move(*points[0])
        self.page.mouse.down()
        for point in points[1:]:
            self.page.mouse.move(*point, steps=3)
        self.page.mouse.up()

    def click_button(self, name):
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def wait_until_saved(self):
        """Wait until the server has every reading."""
        self.page.wait_for_selector(".state[data-state=good]")

    def wait_until(self, script):
        """Wait until a script is true; Playwright's own wait needs `eval`."""
        self.page.evaluate(
            f"""new Promise((resolve, reject) => {{
                const check = () => ({script} ? resolve() : requestAnimationFrame(check));
                setTimeout(() => reject(new Error("never true")), {TIMEOUT});
                check();
            }})"""
        )

    def wait_for_module(self, name):
        """Wait until a module that the page loads later is there."""
        entries = "performance.getEntriesByType('resource')"
        self.wait_until(f"{entries}.some((entry) => entry.name.endsWith('{name}'))")

    def wait_for_next_image(self):
        """Wait until the image of the next case has been loaded in advance."""
        url = self.page.evaluate(
            """async () => {
                const [, , round, , number] = location.hash.split("/");
                const response = await fetch(`/api/rounds/${round}`);
                return (await response.json()).cases[Number(number)].image.url;
            }"""
        )
        self.wait_until(f"document.querySelector('imil-viewer').backend.uploaded('{url}')")

    def check_no_errors(self):
        """No error in the console, and no request to another host."""
        assert self.errors == []
        assert self.hosts == {self.address.removeprefix("http://")}
