"""Squares on the screen, in the store and in the blackout are the same pixels."""

from contextlib import closing

import numpy as np
import pytest
from browsers import ReaderBrowser, chromium
from rooms import add_round, link, serving

from imil.grid import Grid, edge
from imil.store import Store, name_round

GRID = Grid(4, 4)
SIDES = {"y": 301, "x": 403}  # pixels; not to be divided by 4
BRIGHT = (2, 7, 8, 13)
TURNS = [(), ("r",), ("l", "h"), ("v",)]


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.mark.parametrize("zoom", ["fit", "near", "true size"])
def test_squares_in_the_store_equal_those_on_the_screen_pixel_by_pixel(browser, tmp_path, zoom):
    film = np.where(GRID.mask(BRIGHT, SIDES["y"], SIDES["x"]), 200, 50).astype(np.uint8)
    with closing(Store(tmp_path / "imil.sqlite")) as store:
        add_round(store, cases=len(TURNS), grid=GRID, film=lambda _: film)
        with serving(tmp_path / "imil.sqlite") as address:
            reader = ReaderBrowser(browser, address, link(store), 1100, 620).start()
            for number, turns in enumerate(TURNS, start=1):
                reader.wait_for_case(number)
                reader.page.get_by_label("Squares", exact=True).last.fill("2 7 8 13")
                reader.page.locator(".pane").first.hover()
                reader.page.evaluate("document.activeElement.blur()")
                reader.press_keys(*turns)
                if zoom == "near":
                    reader.page.mouse.wheel(0, -500)
                elif zoom == "true size":
                    reader.press_keys("0")
                assert count_differing(reader.page) == 0
                reader.press_keys("Enter")
            reader.page.get_by_role("heading", name="Your readings").wait_for()
            reader.wait_until_saved()
            readings = store.readings(name_round("films", 70))
            assert [one.squares for one in readings] == [BRIGHT] * len(TURNS)
            reader.context.close()


def count_differing(page):
    """Number of pixels on the screen that are bright outside the selected squares or dark inside.

    A pixel whose middle lies on the very edge belongs to neither, and interpolation rounds a
    corner by less than a pixel of the film.
    """
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")
    return page.evaluate(
        """(edges) => {
            const near = (all, at) => Math.min(...all.map((edge) => Math.abs(at - edge)));
            const pane = document.querySelector(".pane");
            const canvas = pane.querySelector("canvas.film");
            const { width, height } = canvas;
            const ink = canvas.getContext("2d").getImageData(0, 0, width, height).data;
            const tint = pane.querySelector(".grid-tint");
            const path = new Path2D(tint.getAttribute("d"));
            const tester = document.createElement("canvas").getContext("2d");
            const box = canvas.getBoundingClientRect();
            const { a, b, c, d, e, f } = tint.getScreenCTM().inverse();
            let bright = 0, differ = 0;
            for (let row = 0; row < height; row += 1) for (let col = 0; col < width; col += 1) {
                const [x, y] = [box.x + (col + 0.5) * box.width / width,
                                box.y + (row + 0.5) * box.height / height];
                const [across, down] = [a * x + c * y + e, b * x + d * y + f];
                const value = ink[(row * width + col) * 4];
                const off = [near(edges.x, across), near(edges.y, down)];
                if (Math.hypot(...off) < 1 || Math.min(...off) < 0.03) continue;
                bright += value > 127.5;
                differ += tester.isPointInPath(path, across, down) !== value > 127.5;
            }
            return bright > 1000 ? differ : "nothing was drawn";
        }""",
        {axis: [edge(i, 4, length) for i in range(5)] for axis, length in SIDES.items()},
    )
