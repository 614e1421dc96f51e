"""A real Chromium for the tests of the reading room."""

import os
import shutil
from contextlib import contextmanager

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
]


def missing(reason):
    """No browser to test the pages in: skip; fail under CI, where one was to be installed."""
    (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@contextmanager
def chromium():
    """Chromium, the system's or Playwright's own."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        missing("drives a browser with Playwright, which is missing: make setup brings it")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        except Error:
            missing("looks at the page in Chromium, which is not installed: apt install chromium")
        yield browser
        browser.close()


class Desk:
    """A person at a screen: a browser's context with the page open and everything it did noted."""

    def __init__(self, browser, address, secret=None, width=1280, height=800, **how):
        self.address = address
        self.context = browser.new_context(viewport={"width": width, "height": height}, **how)
        self.context.set_default_timeout(300_000)  # ms: a busy machine is slow
        self.errors, self.hosts, self.answered = [], set(), []
        self.page = self.tab()
        self.page.goto(f"{address}/in/{secret}" if secret else address)

    def tab(self):
        page = self.context.new_page()
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        page.on("requestfinished", lambda request: self.answered.append(request.url))
        return page

    def _said(self, message):
        if message.type == "error":
            self.errors.append(f"{message.text} {message.location.get('url', '')}")

    def start(self):
        """Past the instructions, to the first case."""
        self.page.get_by_role("button", name="Start reading").click()
        self.at(1)
        return self

    def at(self, number):
        """The film of this case is on the screen."""
        self.page.wait_for_selector(f"imil-case[data-case='{number}'][data-state=painted]")

    def fetched(self, number):
        """All of this case is here, whichever case is on the screen."""
        while not any(f"/cases/{number}/heat-map/true" in url for url in self.answered):
            self.page.wait_for_timeout(20)

    def keys(self, *names):
        for name in names:
            self.page.keyboard.press(name)

    @property
    def squares(self):
        """What is selected on the screen."""
        text = self.page.get_attribute("imil-case", "data-squares")
        return tuple(map(int, text.split()))

    def place(self, square, pane=0):
        """The middle of a square on the screen, by the matrix that the film is drawn with."""
        return self.page.evaluate(
            """([square, index]) => {
                const pane = document.querySelectorAll(".pane")[index];
                const box = document.querySelector("#square-" + square).getBoundingClientRect();
                const first = document.querySelector(".pane").getBoundingClientRect();
                const own = pane.getBoundingClientRect();
                return [box.x + box.width / 2 + own.x - first.x,
                        box.y + box.height / 2 + own.y - first.y];
            }""",
            [square, pane],
        )

    def click(self, *squares, pane=0):
        for square in squares:
            self.page.mouse.click(*self.place(square, pane=pane))

    def drag(self, *squares):
        places = [self.place(square) for square in squares]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=3)
        self.page.mouse.up()

    def press(self, name):
        self.page.get_by_role("button", name=name, exact=True).first.click()

    def saved(self):
        """Everything has reached the server."""
        self.page.wait_for_selector(".state[data-state=good]")

    def until(self, script):
        """A script of the page comes to be true; Playwright's own wait needs `eval` in the page."""
        for _ in range(3000):
            if self.page.evaluate(script):
                return
            self.page.wait_for_timeout(100)
        raise AssertionError(f"never true: {script}")

    def quiet(self):
        """No error in the console, and nothing asked of anybody else."""
        assert self.errors == []
        assert self.hosts == {self.address.removeprefix("http://")}
