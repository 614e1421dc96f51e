"""A reader who answers every case of a run in Chromium, and goes on after each accident."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from zlib import crc32

from playwright.sync_api import BrowserContext, Error, Page, Request, Response, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE = 15.0  # s until a page that shows nothing to do is loaded anew
STEP = 10_000  # ms until an action on the page is given up and the page looked at again
BUTTONS = ["Open the reading room", "Start reading", "Try again", "Finish the round"]
# what a page can be asked to do next
STATE = """(buttons) => {
  const one = document.querySelector("imil-case");
  if (one) return one.hasAttribute("data-ready") ? "case" : "";
  const all = [...document.querySelectorAll("button")];
  const there = all.find(({ disabled, textContent }) => !disabled && buttons.includes(textContent));
  if (there) return there.textContent;
  if (document.body.textContent.includes("Sign in with your link")) return "sign in";
  if (document.body.textContent.includes("in another browser")) return "used link";
  return document.querySelector(".finished") ? "finished" : "";
}"""
POLL = "() => { window.dispatchEvent(new Event('focus')); }"  # the page looks for a new round


def answer(epoch: int, case: int) -> tuple[int, ...]:
    """The squares that the reader selects in that case: always the same."""
    bits = crc32(f"{epoch} {case}".encode())
    return tuple(sorted({1 + (bits >> shift) % 16 for shift in (0, 8, 16)}))


class BrowserReader(threading.Thread):
    """Reads at an address until `stop`; `kill` ends its browser as kill -9 does.

    `sent` has the round's epoch and the case of each reading that the page has sent, by its id;
    `confirmed` the ids that the server has answered with 200, with the time.

    Args:
        profile: folder of the browser, which outlives it.
        link: to the reading room.
        new_link: gives another one. Chromium writes its cookies after some seconds; where it is
            killed before, the link was used by a browser that is not known any more.
    """

    def __init__(self, profile: Path, link: str, new_link: Callable[[], str]) -> None:
        super().__init__(daemon=True)
        self.sent: dict[str, tuple[int, int]] = {}
        self.confirmed: dict[str, float] = {}
        self.asked_again: list[tuple[int, int]] = []
        self.starts = 0
        self.new_links = 0
        self._profile, self._link, self._new_link = profile, link, new_link
        self._over = threading.Event()

    def stop(self) -> None:
        """End reading and the browser."""
        self._over.set()
        self.join()

    def kill(self) -> bool:
        """Kill every process of the browser; whether there was one."""
        found = list(_processes_with(str(self._profile)))
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return bool(found)

    def run(self) -> None:
        """Read, in a new browser with the same profile after each that has ended."""
        system = shutil.which("chromium") or shutil.which("google-chrome")
        with sync_playwright() as play:
            while not self._over.is_set():
                with contextlib.suppress(Error):
                    context = play.chromium.launch_persistent_context(
                        str(self._profile), executable_path=system, args=FLAGS
                    )
                    self.starts += 1
                    self._read(context)
                    context.close()
                self._over.wait(0.2)

    def _read(self, context: BrowserContext) -> None:
        context.set_default_timeout(STEP)
        page = context.pages[0]
        page.on("request", self._on_request)
        page.on("response", self._on_response)
        self._open(page)
        idle_since = time.monotonic()
        while not self._over.is_set():
            try:
                state = page.evaluate(STATE, BUTTONS)
                if state:
                    idle_since = time.monotonic()
                if time.monotonic() - idle_since > PATIENCE:
                    self._open(page)
                    idle_since = time.monotonic()
                self._act(page, state)
            except Error:  # the page changed meanwhile, or the browser is gone
                if not context.pages or page.is_closed():
                    raise
                page.wait_for_timeout(100)

    def _open(self, page: Page) -> None:
        with contextlib.suppress(Error):
            page.goto(self._link)

    def _act(self, page: Page, state: str) -> None:
        if state == "case":
            self._answer(page)
        elif state in BUTTONS:
            page.get_by_role("button", name=state, exact=True).click()
        elif state == "sign in":
            self._open(page)
        elif state == "used link":
            self._link = self._new_link()
            self.new_links += 1
            self._open(page)
        elif state == "finished":
            page.evaluate(POLL)
            page.wait_for_timeout(300)
        page.wait_for_timeout(50)

    def _answer(self, page: Page) -> None:
        words = page.url.rpartition("#/")[2].split("/")  # round/EPOCH/case/NUMBER
        epoch, number = int(words[1]), int(words[3])
        squares = answer(epoch, number)
        page.fill("#numbers", " ".join(map(str, squares)))
        text = page.get_attribute("imil-case", "data-squares") or ""
        if tuple(map(int, text.split())) != squares:
            return
        page.keyboard.press("Control+Enter")
        page.wait_for_selector(f"imil-case:not([data-case='{number}']), .review, .finished")

    def _on_request(self, request: Request) -> None:
        if request.method == "PUT" and "/readings/" in request.url:
            words = request.url.split("/")  # …/rounds/EPOCH/cases/NUMBER/readings/ID
            where, id_ = (int(words[-5]), int(words[-3])), words[-1]
            before = [one for one in self.confirmed if self.sent[one] == where and one != id_]
            if before and id_ not in self.sent:
                self.asked_again.append(where)
            self.sent[id_] = where

    def _on_response(self, response: Response) -> None:
        is_reading = response.request.method == "PUT" and "/readings/" in response.url
        if is_reading and response.status == 200:
            self.confirmed[response.url.rpartition("/")[2]] = time.time()


def _processes_with(word: str) -> list[int]:
    """The processes that have a word in their command line."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if word.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found
