"""Squares on the screen, in the store and in the blackout are the same pixels."""

from contextlib import closing

import numpy as np
import pytest
from browsers import ReaderBrowser, chromium
from rooms import add_round, link, serving
from slow_params import slow

from imil.grid import Grid, edge
from imil.store import Store, name_round
from imil.store.run_progress import Progress

GRID = Grid(4, 4)
SIDES = {"y": 301, "x": 403}  # pixels; not to be divided by 4
BRIGHT = (2, 7, 8, 13)
TURNS = [(), ("r",), ("l", "h"), ("v",)]


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.mark.parametrize("zoom", ["fit", *slow("near", "true size")])
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


def test_a_second_click_marks_a_square_as_misleading_and_a_third_clears_it(browser, tmp_path):
    """By mouse, keyboard and numbers; the marks on the screen, in the store and in the review."""
    with closing(Store(tmp_path / "imil.sqlite")) as store:
        add_round(store, cases=3, grid=GRID)
        with serving(tmp_path / "imil.sqlite") as address:
            reader = ReaderBrowser(browser, address, link(store), 1280, 900).start()
            reader.click(6, 4, 4)
            assert marks(reader) == ("6", "4")
            assert hatched(reader.page) == {4}
            reader.click(4)
            assert marks(reader) == ("6", "")
            assert hatched(reader.page) == set()
            reader.press_keys("Control+z")
            assert marks(reader) == ("6", "4"), "the third click is undone"
            reader.drag(4, 3)
            assert marks(reader) == ("6", ""), "a drag gives all its squares the first one's state"
            reader.press_keys("Control+z")
            reader.click_button("Submit (1 selected, 1 misleading)")

            reader.wait_for_case(2)
            reader.press_keys("g", "k", "ArrowRight", "Space")
            assert marks(reader) == ("2", "1")
            reader.press_keys("Space", "ArrowRight", "k", "k")
            assert marks(reader) == ("", "1 2")
            label = reader.page.locator("#square-2").get_attribute("aria-label")
            assert label == "Square 2, row 1, column 2, misleading"
            reader.press_keys("Enter")

            reader.wait_for_case(3)
            numbers = reader.page.locator("#numbers")
            numbers.fill("5-7 -9 -6")
            error = reader.page.locator("#numbers-error")
            assert error.text_content() == "Square 6 is both selected and misleading: mark it once."
            numbers.fill("5-7 -9")
            assert marks(reader) == ("5 6 7", "9")
            reader.press_keys("Control+Enter")
            reader.page.get_by_role("heading", name="Your readings").wait_for()
            reader.wait_until_saved()
            readings = store.readings(name_round("films", 70))
            assert [(one.squares, one.misleading) for one in readings] == [
                *(((6,), (4,)), ((), (1, 2)), ((5, 6, 7), (9,))),
            ]
            card = reader.page.locator("li.card[data-case='2']")
            assert "misleading 1, 2" in card.text_content()
            preview = card.locator("figure").nth(1).locator("img").get_attribute("src")
            assert preview.endswith("squares=3,4,5,6,7,8,9,10,11,12,13,14,15,16")
            reader.check_no_errors()
            reader.context.close()


def marks(reader):
    """The selected and the misleading squares, as the page has them."""
    case = reader.page.locator("imil-case")
    return case.get_attribute("data-squares"), case.get_attribute("data-misleading")


def hatched(page):
    """The squares in which the orange lines lie on the screen, in both panes alike."""
    return set(
        page.evaluate(
            """() => {
                const panes = [...document.querySelectorAll(".pane .grid-misleading")];
                if (panes[0].getAttribute("d") !== panes[1].getAttribute("d")) return ["differ"];
                const { width } = panes[0].getBBox();
                if (width === 0) return [];
                const cells = [...document.querySelectorAll(".grid-cell")];
                const { x, y, width: w, height: h } = panes[0].getBBox();
                const inside = (cell) => {
                    const box = cell.getBBox();
                    const [across, down] = [box.x + box.width / 2, box.y + box.height / 2];
                    return across > x && across < x + w && down > y && down < y + h;
                };
                return cells.filter(inside).map((cell) => Number(cell.id.split("-")[1]));
            }"""
        )
    )


def test_practice_says_what_was_marked_as_misleading(browser, tmp_path):
    with closing(Store(tmp_path / "imil.sqlite")) as store:
        add_round(store, cases=1, grid=GRID)
        with serving(tmp_path / "imil.sqlite") as address:
            reader = ReaderBrowser(browser, address, link(store))
            reader.page.get_by_role("button", name="Try a practice case").click()
            reader.wait_for_case(1)
            reader.click(7, 11, 4, 4)
            reader.click_button("Submit (2 selected, 1 misleading)")
            dialog = reader.page.locator("dialog.practice")
            assert "Correct" in dialog.text_content()
            assert "You marked 4 as misleading." in dialog.text_content()
            reader.page.evaluate("document.querySelector('imil-case').dataset.first = ''")
            reader.click_button("Try again")
            reader.page.wait_for_selector("imil-case[data-ready]:not([data-first])")
            reader.click_button("None")
            reader.click(7, 7)
            reader.press_keys("Enter")
            assert "Practice case submitted" in dialog.text_content()
            assert "You marked 7 as misleading, where the lesion is." in dialog.text_content()
            reader.check_no_errors()
            reader.context.close()


def test_a_first_look_without_the_model_has_no_misleading_squares(browser, tmp_path):
    with closing(Store(tmp_path / "imil.sqlite")) as store:
        add_round(store, cases=1, grid=GRID)
        Progress(store).set_protocol("films", "blind-first", by="owner")
        with serving(tmp_path / "imil.sqlite") as address:
            reader = ReaderBrowser(browser, address, link(store)).start()
            reader.click(6, 7, 7)
            assert marks(reader) == ("6", ""), "a second click clears"
            reader.press_keys("k")
            assert marks(reader) == ("6", "")
            reader.page.locator("#numbers").fill("6 -4")
            error = reader.page.locator("#numbers-error").text_content()
            assert "once the model’s prediction is shown" in error
            assert reader.page.locator(".marks-legend").is_hidden()
            reader.page.locator("#numbers").fill("6")
            reader.click_button("Show the model’s prediction")
            reader.wait_until("document.querySelector('imil-case').dataset.phase === 'revealed'")
            reader.wait_until_ready()
            reader.click(4, 4)
            assert marks(reader) == ("6", "4")
            reader.press_keys("Enter")
            reader.page.get_by_role("heading", name="Your readings").wait_for()
            reader.wait_until_saved()
            [reading] = store.readings(name_round("films", 70))
            assert (reading.squares_before, reading.squares, reading.misleading) == (
                (6,),
                (6,),
                (4,),
            )
            reader.check_no_errors()
            reader.context.close()
