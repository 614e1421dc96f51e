"""The page in Chromium: bytes of the first load, and time from submit to the next case."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from playwright.sync_api import Browser, Page, Request, sync_playwright

MARKS = """() => {
  const last = (name) => performance.getEntriesByName(name).at(-1)?.startTime ?? 0;
  return [last("submit"), last("painted")];
}"""
PAINTED = """(before) => {
  const at = (name) => performance.getEntriesByName(name).at(-1)?.startTime ?? 0;
  return at("painted") > Math.max(before, at("submit"));
}"""
PIXELS = re.compile("/(images|heat-map|preview)")
READING_TIME = 700  # ms; a reader takes far longer, and the next case is loaded meanwhile


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, or Playwright's."""
    system = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=system)
        try:
            yield browser
        finally:
            browser.close()


def measure_room(browser: Browser, link: str, cases: int) -> dict[str, float]:
    """Bytes and requests of the first load without pixels; milliseconds to the next case."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    finished: list[Request] = []
    page.on("requestfinished", lambda request: finished.append(request))
    page.goto(link)
    page.get_by_role("button", name="Open the reading room").click()
    page.wait_for_url("**/#/**")
    page.evaluate("location.hash = '#/round/70/case/1'")
    page.wait_for_function(PAINTED, arg=0)
    page.wait_for_timeout(READING_TIME)
    sizes = [one.sizes() for one in finished if not PIXELS.search(one.url)]
    times = [_submit(page) for _ in range(cases - 1)]
    page.close()
    return {
        "bytes": sum(size["responseBodySize"] for size in sizes),
        "bytes of headers": sum(size["responseHeadersSize"] for size in sizes),
        "requests": len(sizes),
        "median": median(times),
        "worst": max(times),
    }


def measure_baseline(browser: Browser, address: str, cases: int) -> dict[str, float]:
    """The same for the baseline page."""
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    times = []
    for _ in range(cases - 1):
        before = page.evaluate(MARKS)[1]
        page.click("#next")
        page.wait_for_function(PAINTED, arg=before)
        submit, painted = page.evaluate(MARKS)
        times.append(painted - submit)
        page.wait_for_timeout(READING_TIME)
    page.close()
    return {"median": median(times), "worst": max(times)}


def _submit(page: Page) -> float:
    """Milliseconds from submitting to the next case on the screen."""
    before = page.evaluate(MARKS)[1]
    page.keyboard.press("a")
    page.wait_for_timeout(100)
    page.keyboard.press("Enter")
    page.wait_for_function(PAINTED, arg=before)
    submit, painted = page.evaluate(MARKS)
    page.wait_for_timeout(READING_TIME)
    return float(painted - submit)
