"""How the film gets the screen: layouts, the bare film, the magnifier, rectangles, contours."""

from contextlib import contextmanager

import numpy as np
import pytest
from browsers import ReaderBrowser, chromium
from rooms import link, make_store, serving

# the share of the window that the film covers in each pane that is on the screen
SHARES = """() => [...document.querySelectorAll(".pane")].filter((pane) => pane.checkVisibility())
    .map((pane) => {
        const lines = pane.querySelector(".grid-lines");
        const { left, right, top, bottom } = lines.getBoundingClientRect();
        const frame = pane.getBoundingClientRect();
        const wide = Math.min(right, frame.right) - Math.max(left, frame.left);
        const tall = Math.min(bottom, frame.bottom, innerHeight) - Math.max(top, frame.top);
        return wide * tall / (innerWidth * innerHeight);
    })"""
LAYOUT = "document.querySelector('imil-viewer').dataset.layout"


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    folder = tmp_path_factory.mktemp("room")
    store = make_store(folder, film=square_film)
    with serving(folder / "imil.sqlite") as address:
        yield address, store
    store.close()


def square_film(number):
    """A film that is brighter towards its lower right; no two are alike."""
    return (np.add.outer(np.arange(64), np.arange(64)) + number % 50).astype(np.uint8)


@contextmanager
def reading(browser, room, width=1280, height=800, name="Dr. Lee", **options):
    address, store = room
    reader = ReaderBrowser(browser, address, link(store, name), width, height, **options)
    yield reader.start()
    reader.check_no_errors()
    reader.context.close()


def layout(reader):
    return reader.page.evaluate(LAYOUT)


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1200, 1920)])
def test_the_film_covers_almost_half_of_the_screen(browser, room, width, height):
    with reading(browser, room, width, height) as reader:
        [share] = reader.page.evaluate(SHARES)
        assert share >= 0.45
        assert reader.page.evaluate("document.documentElement.scrollWidth") <= width
        submit = reader.page.get_by_role("button", name="Submit", exact=True).bounding_box()
        assert submit["y"] + submit["height"] <= height


def test_the_layout_fits_the_window_until_the_reader_chooses_one(browser, room):
    with reading(browser, room) as reader:
        fitting = reader.page.evaluate(
            """async () => {
                const { layoutFor } = await import("/static/layouts.js");
                const film = { height: 1000, width: 1000 };
                return [[3000, 1300], [1500, 1000], [700, 1500], [900, 1000]]
                    .map(([width, height]) => layoutFor({ width, height }, film));
            }"""
        )
        assert fitting == ["side", "single", "stacked", "single"]
        assert layout(reader) == "single"
        reader.click_button("Side by side")
        first, second = (reader.page.locator(".pane").nth(i).bounding_box() for i in (0, 1))
        assert (first["y"], first["width"]) == (second["y"], second["width"])
        reader.press_keys("y")
        first, second = (reader.page.locator(".pane").nth(i).bounding_box() for i in (0, 1))
        assert layout(reader) == "stacked"
        assert (first["x"], first["height"]) == (second["x"], second["height"])
        reader.page.reload()
        reader.wait_for_case(1)
        assert layout(reader) == "stacked", "remembered"
        reader.page.set_viewport_size({"width": 800, "height": 1200})
        reader.wait_until(f"{LAYOUT} === 'single'")
        reader.page.set_viewport_size({"width": 1280, "height": 800})
        reader.wait_until(f"{LAYOUT} === 'stacked'")


HEAT = """(() => {
    const canvas = document.querySelector(".pane imil-heat-map canvas");
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    return data.some((value) => value > 0);
})()"""


@pytest.mark.slow
def test_blinking_alternates_between_film_and_heat_map_until_the_reader_switches(browser, room):
    with reading(browser, room, name="Dr. Blink") as reader:
        reader.click_button("Blink")
        reader.wait_until(f"!{HEAT}")
        reader.wait_until(HEAT)
        reader.press_keys("j")
        reader.wait_until(f"!{HEAT}")
        reader.press_keys("j")
        reader.wait_until(HEAT)
    with reading(browser, room, name="Dr. Calm", reduced_motion="reduce") as reader:
        reader.click_button("Blink")
        reader.page.wait_for_timeout(1500)  # longer than it would be shown
        assert reader.page.evaluate(HEAT)


def test_the_bare_film_has_nothing_over_it_and_is_not_marked(browser, room):
    with reading(browser, room) as reader:
        reader.click(6)
        place = reader.center_of(7)
        reader.press_keys("f")
        reader.wait_until(f"!{HEAT}")
        assert reader.page.locator(".grid-lines").first.is_hidden()
        reader.page.mouse.click(*place)
        assert reader.squares == (6,), "the click brings the grid back"
        reader.wait_until(HEAT)
        reader.page.mouse.click(*place)
        assert reader.squares == (6, 7)
        reader.press_keys("Control+z", "Control+z")


def test_a_held_key_magnifies_the_film_at_the_pointer(browser, room):
    with reading(browser, room) as reader:
        reader.page.mouse.move(*reader.center_of(6))
        lens = reader.page.locator(".magnifier")
        reader.page.keyboard.down("q")
        lens.wait_for()
        box = lens.bounding_box()
        middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
        assert middle == pytest.approx(reader.center_of(6), abs=2)
        same = reader.page.evaluate(
            """([x, y]) => {
                const film = document.querySelector("canvas.film");
                const lens = document.querySelector(".magnifier canvas");
                const box = film.getBoundingClientRect();
                const ink = (canvas, x, y) =>
                    canvas.getContext("2d").getImageData(x, y, 1, 1).data[0];
                const scale = film.width / box.width;
                const here = ink(film, (x - box.x) * scale, (y - box.y) * scale);
                return Math.abs(here - ink(lens, lens.width / 2, lens.height / 2));
            }""",
            middle,
        )
        assert same <= 12  # of 255: the film's pixels are interpolated
        reader.page.keyboard.up("q")
        lens.wait_for(state="hidden")


def test_a_rectangle_of_squares_is_dragged(browser, room):
    with reading(browser, room) as reader:
        reader.page.keyboard.down("Control")
        reader.drag(6, 8, 11)
        reader.page.keyboard.up("Control")
        assert reader.squares == (6, 7, 10, 11)
        reader.press_keys("Control+z")
        assert reader.squares == ()
        reader.press_keys("n")
        reader.drag(16, 1)
        assert len(reader.squares) == 16
        reader.drag(4, 7)
        assert reader.page.get_attribute("imil-case", "data-misleading") == "3 4 7 8"
        reader.press_keys("x")


def test_contours_are_where_the_value_is_and_without_colour(browser, room):
    with reading(browser, room, name="Dr. Grey") as reader:
        lines = reader.page.evaluate(
            """async () => {
                const { segments } = await import("/static/contours.js");
                const values = Float32Array.from([0, 0, 0, 0, 1, 0, 0, 0, 0]);
                return segments({ height: 3, width: 3, values }, 0.25);
            }"""
        )
        # a peak in the middle: a quarter of it is three quarters of the way to its neighbours
        ends = {(x, y) for x1, y1, x2, y2 in lines for x, y in ((x1, y1), (x2, y2))}
        assert ends == {(1.5, 0.75), (2.25, 1.5), (1.5, 2.25), (0.75, 1.5)}
        white = """(() => {
            const canvas = document.querySelector(".pane imil-heat-map canvas");
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            let count = 0;
            for (let i = 0; i < data.length; i += 4) {
                count += Math.min(data[i], data[i + 1], data[i + 2]) > 200;
            }
            return count;
        })()"""
        assert reader.page.evaluate(white) > 300
        reader.press_keys("Shift+C")
        reader.wait_until(f"{white} === 0")


def test_names_of_controls_are_unique_and_length_needs_a_spacing(browser, room):
    with reading(browser, room) as reader:
        names = reader.page.evaluate(
            """[...document.querySelectorAll("button, select, input, textarea, summary")]
            .filter((one) => one.checkVisibility())
            .map((one) => one.getAttribute("aria-label") ?? one.labels?.[0]?.textContent
                ?? one.textContent)"""
        )
        assert len(names) > 30
        assert len(set(names)) == len(names), sorted(names)
        assert "Length" not in names
        assert reader.page.get_attribute("#reason", "dir") == "auto"


def test_states_can_be_told_apart_in_the_systems_own_colours(browser, room):
    with reading(browser, room, forced_colors="active") as reader:
        colours = reader.page.evaluate(
            """["true", "false"].map((pressed) =>
                getComputedStyle(document.querySelector(`.tools [aria-pressed=${pressed}]`))
                    .backgroundColor)"""
        )
        assert colours[0] != colours[1]
        checked, other = reader.page.evaluate(
            """[":checked", ":not(:checked)"].map((state) =>
                getComputedStyle(document.querySelector(`.segments input${state} + span`))
                    .backgroundColor)"""
        )
        assert checked != other


def test_long_names_of_classes_are_shown_whole(browser, tmp_path, monkeypatch):
    long = "Pneumonia with parapneumonic effusion and cavitation of the right upper lobe"
    monkeypatch.setattr("rooms.NAMES", (long, "التهاب رئوي"))
    store = make_store(tmp_path, cases=1)
    with serving(tmp_path / "imil.sqlite") as address:
        reader = ReaderBrowser(browser, address, link(store)).start()
        cut = reader.page.evaluate(
            """[...document.querySelectorAll(".segments span, .fact dd")]
            .filter((one) => one.scrollWidth > one.clientWidth + 1
                || one.scrollHeight > one.clientHeight + 1)
            .map((one) => one.textContent)"""
        )
        assert cut == []
        assert reader.page.locator(".segments span").first.inner_text() == f"{long} (model)"
        assert reader.page.get_attribute(".fact.truth dd", "dir") == "auto"
        reader.context.close()
    store.close()
