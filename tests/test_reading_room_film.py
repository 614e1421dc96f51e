"""The film in the reading room: what is drawn, what is kept, what happens when drawing fails."""

import numpy as np
import pytest
from browsers import Desk, chromium
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import link, make_store, serving

from imil.grid import Grid, edge
from imil.images.colours import colour_map


@pytest.fixture(scope="module")
def browser():
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("room")
    store = make_store(folder, cases=5)
    with serving(folder / "imil.sqlite") as found:
        yield found, link(store), link(store, "Dr. Silva")
    store.close()


@pytest.fixture
def desk(browser, address):
    sat = Desk(browser, *address[:2]).start()
    yield sat
    sat.context.close()


@pytest.fixture(scope="module")
def page(browser, address):
    """A page in which the modules can be asked for their arithmetic."""
    sat = Desk(browser, address[0])
    yield sat.page
    sat.context.close()


def ask(page, module, code, given=None):
    return page.evaluate(
        f"async (given) => {{ const m = await import('/static/{module}'); return {code}; }}", given
    )


def shown(desk):
    """The left pane's film as it is on the screen, (height, width)."""
    desk.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    height, width, values = desk.page.evaluate(
        """() => {
            const canvas = document.querySelector("canvas.film");
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return [height, width, [...data].filter((_, i) => i % 4 === 0)];
        }"""
    )
    return np.array(values).reshape(height, width)


def state(desk):
    return desk.page.text_content(".readout"), desk.page.text_content(".signs")


def test_the_heat_map_has_the_colours_of_the_figures_and_fades_with_the_value(page):
    drawn = ask(
        page,
        "heatmap.js",
        """[...m.heatPicture({ height: 1, width: 256,
            values: Float32Array.from({ length: 256 }, (_, i) => i / 255) })
            .getContext("2d").getImageData(0, 0, 256, 1).data]""",
    )
    inks = np.array(drawn).reshape(256, 4)
    assert (inks[:, 3] == np.arange(256)).all()
    # a canvas keeps colours multiplied by their opacity: faint ones come back rounded
    seen = colour_map(np.arange(256) / 255)[128:].astype(int)
    assert np.abs(inks[128:, :3] - seen).max() <= 1


def test_nothing_of_a_case_leaks_into_the_next(desk):
    fresh = state(desk)
    desk.keys("r", "h", "i", "+", "2", "t", "]")
    assert state(desk)[1] == "rotated 270°, mirrored, inverted"
    desk.keys("PageDown")
    desk.at(2)
    assert state(desk)[1] == ""
    assert desk.page.is_checked("input[value=predicted]")
    desk.keys("PageUp")
    desk.at(1)
    assert state(desk) == fresh


def test_the_window_goes_along_only_when_asked_and_only_to_the_same_kind_of_film(desk):
    desk.page.get_by_label("keep").check()
    desk.page.evaluate("document.activeElement.blur()")
    desk.keys("2", "i")
    window = state(desk)[0].split()[:4]
    desk.keys("PageDown")
    desk.at(2)
    assert state(desk)[0].split()[:4] != window  # 8 bits after 16
    desk.keys("PageUp")
    desk.at(1)
    desk.keys("2", "i")
    desk.page.goto(desk.page.url.replace("case/1", "case/3"))
    desk.at(3)
    assert (state(desk)[0].split()[:4], state(desk)[1]) == (window, "inverted")


def test_a_lost_graphics_context_is_replaced_and_comes_back(desk):
    before = shown(desk)
    desk.page.evaluate(
        """() => {
            const { projector } = document.querySelector("imil-viewer");
            window.lost = projector.canvas.getContext("webgl2").getExtension("WEBGL_lose_context");
            window.lost.loseContext();
        }"""
    )
    desk.page.wait_for_selector("[data-drawn-by=canvas]")
    desk.page.wait_for_timeout(300)
    plain = shown(desk)
    inner = (slice(170, 500), slice(20, 400))  # the film's own edge is drawn softer
    assert np.abs(plain[inner] - before[inner]).mean() < 6  # of 255; half a pixel aside would be 40
    desk.page.evaluate("window.lost.restoreContext()")
    desk.page.wait_for_selector("[data-drawn-by=webgl2]")
    desk.page.wait_for_timeout(300)
    assert np.array_equal(shown(desk), before)


def test_a_film_that_is_gone_is_said_and_the_case_can_still_be_answered(browser, address):
    desk = Desk(browser, address[0])
    desk.page.route(
        "**/api/images/*",
        lambda route: route.fulfill(status=404, json={"detail": "The film of this case is gone."}),
    )
    desk.page.goto(f"{address[0]}/in/{address[2]}")
    desk.press("Start reading")
    desk.page.get_by_text("The film of this case is gone.").wait_for()
    desk.press("Not assessable")
    desk.page.wait_for_selector("imil-case[data-case='2']")
    desk.context.close()


def test_one_second_in_a_hidden_tab_is_not_counted(desk):
    hide = "Object.defineProperty(document, 'hidden', {value: %s, configurable: true});"
    tell = "document.dispatchEvent(new Event('visibilitychange'))"
    clock = "const { Clock } = await import('/static/clock.js'); const clock = new Clock();"
    wait = "await new Promise((done) => setTimeout(done, %d));"
    seconds = desk.page.evaluate(
        f"(async () => {{ {clock} {wait % 300} {hide % 'true'} {tell}; {wait % 1000}"
        f" {hide % 'false'} {tell}; return clock.seconds; }})()"
    )
    assert 0.3 <= seconds < 1


@given(st.integers(1, 64), st.integers(1, 4000))
@settings(max_examples=40)
def test_edges_of_squares_are_those_of_the_blackout(page, parts, length):
    theirs = ask(
        page,
        "squares.js",
        "given[0].map((i) => m.edge(i, ...given[1]))",
        [list(range(parts + 1)), [parts, length]],
    )
    assert theirs == [edge(i, parts, length) for i in range(parts + 1)]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=30)
def test_every_pixel_lies_in_the_square_that_the_grid_says(page, rows, cols, height, width):
    theirs = ask(
        page,
        "squares.js",
        "given.y.map((y) => given.x.map((x) => m.squareAt(given.grid, x, y, ...given.film)))",
        {
            "y": [y + 0.5 for y in range(height)],
            "x": [x + 0.5 for x in range(width)],
            "grid": {"rows": rows, "cols": cols},
            "film": [height, width],
        },
    )
    assert theirs == Grid(rows, cols).labels(height, width).tolist()


def test_window_is_that_of_the_dicom_standard(page):
    # DICOM PS3.3 C.11.2.1.2.1, note 1: c 2048, w 4096 maps 0 to 0 and 4095 to 1
    window = {"center": 2048, "width": 4096}
    values = [-1, 0, 4095, 5000, 2047.5]
    got = ask(page, "view.js", "given[0].map((v) => m.brightness(v, given[1]))", [values, window])
    assert got == [0, 0, 1, 1, 0.5]
    step = {"center": 100, "width": 1}
    got = ask(page, "view.js", "given[0].map((v) => m.brightness(v, given[1]))", [[99, 100], step])
    assert got == [0, 1]


def test_a_flip_is_a_flip_on_the_screen_however_the_film_is_turned(page):
    got = ask(
        page,
        "view.js",
        """[0, 1, 2, 3].flatMap((turns) => ["horizontal", "vertical"].map((way) => {
            const film = {height: 30, width: 50, low: 0, high: 9, bits: 8, spacing: null};
            const pane = {width: 200, height: 200};
            const view = {...m.freshView(film), turns, zoom: 0.5};
            const one = m.apply(m.matrix(view, film, pane), 7, 11);
            const two = m.apply(m.matrix(m.flipped(view, way), film, pane), 7, 11);
            return way === "horizontal" ? [one.x + two.x, one.y - two.y]
                                        : [one.y + two.y, one.x - two.x];
        }))""",
    )
    assert np.allclose(got, [[200, 0]] * 8)


def test_a_long_pixel_is_drawn_long(page):
    got = ask(
        page,
        "view.js",
        "m.matrix(m.freshView(given), given, {width: 400, height: 400})",
        {"height": 100, "width": 100, "low": 0, "high": 9, "bits": 8, "spacing": [0.4, 0.2]},
    )
    assert (got["a"], got["d"]) == (2, 4)


def test_each_pixel_of_the_pyramid_is_the_mean_of_its_film(page):
    film = np.random.default_rng(0).integers(0, 65536, (300, 517), dtype=np.uint16)
    half = ask(
        page,
        "film-worker.js",
        "[...m.pyramid({height: 300, width: 517, data: Uint16Array.from(given)}, 1)[1].data]",
        film.ravel().tolist(),
    )
    padded = np.pad(film.astype(np.int64), ((0, 0), (0, 1)), mode="edge")
    mean = (padded.reshape(150, 2, 259, 2).sum(axis=(1, 3)) + 2) // 4
    assert np.array_equal(np.array(half).reshape(150, 259), mean)


def test_sixteen_bits_are_shown_linearly_between_the_window_s_ends(desk):
    # case 2 of the store has 16 bits; its darkest pixel must be black, its brightest white
    desk.keys("PageDown")
    desk.at(2)
    film = shown(desk)
    assert (film[250:500, 5:400].min(), film[250:500, 5:400].max()) == pytest.approx(
        (0, 255), abs=2
    )


def test_a_film_too_large_for_the_card_is_shown_coarser_with_a_notice(desk):
    desk.page.evaluate("""() => {
        const { getParameter } = WebGL2RenderingContext.prototype;
        WebGL2RenderingContext.prototype.getParameter = function (name) {
            return name === this.MAX_TEXTURE_SIZE ? 24 : getParameter.call(this, name);
        };
    }""")
    desk.page.evaluate("location.hash = '#/practice'")
    desk.page.wait_for_selector("imil-case[data-state=painted]")
    desk.page.get_by_text("resolution: the film is larger").first.wait_for()
