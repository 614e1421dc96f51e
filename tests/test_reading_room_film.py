"""Images in the reading room: how they are drawn, and what happens when drawing fails."""

import numpy as np
import pytest
from browsers import ReaderBrowser, chromium
from hypothesis import given, settings
from hypothesis import strategies as st
from rooms import link, make_store, serving

from imil.grid import Grid, edge
from imil.images.colours import colour_map

# brighter than the background somewhere in the middle row
IMAGE_DRAWN = """(() => {
    const { width, height } = document.querySelector("canvas.film");
    const context = document.querySelector("canvas.film").getContext("2d");
    return context.getImageData(0, Math.floor(height / 2), width, 1).data
        .some((value, i) => i % 4 === 0 && value > 50);
})()"""


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("room")
    store = make_store(folder, cases=5)
    with serving(folder / "imil.sqlite") as url:
        yield url, store
    store.close()


@pytest.fixture
def reader(browser, address):
    url, store = address
    opened = ReaderBrowser(browser, url, link(store)).start()  # a link opens one browser
    yield opened
    opened.context.close()


@pytest.fixture(scope="module")
def page(browser, address):
    """A page in which functions of the modules can be called."""
    opened = ReaderBrowser(browser, address[0])
    yield opened.page
    opened.context.close()


def call(page, module, code, given=None):
    return page.evaluate(
        f"async (given) => {{ const m = await import('/static/{module}'); return {code}; }}", given
    )


def displayed(reader):
    """The left pane's pixels as they are on the screen, (height, width)."""
    reader.page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    height, width, values = reader.page.evaluate(
        """() => {
            const canvas = document.querySelector("canvas.film");
            const { width, height } = canvas;
            const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
            return [height, width, [...data].filter((_, i) => i % 4 === 0)];
        }"""
    )
    return np.array(values).reshape(height, width)


def state(reader):
    return reader.page.text_content(".readout"), reader.page.text_content(".view-label")


def test_the_heat_map_has_the_colours_of_the_figures_and_fades_with_the_value(page):
    drawn = call(
        page,
        "heat_map.js",
        """[...m.heatMapCanvas({ height: 1, width: 256,
            values: Float32Array.from({ length: 256 }, (_, i) => i / 255) })
            .getContext("2d").getImageData(0, 0, 256, 1).data]""",
    )
    inks = np.array(drawn).reshape(256, 4)
    assert (inks[:, 3] == np.arange(256)).all()
    # a canvas keeps colours multiplied by their opacity: faint ones come back rounded
    seen = colour_map(np.arange(256) / 255)[128:].astype(int)
    assert np.abs(inks[128:, :3] - seen).max() <= 1


def test_view_settings_of_a_case_do_not_carry_over_to_the_next(reader):
    fresh = state(reader)
    reader.press_keys("r", "h", "i", "+", "2", "t", "]")
    assert state(reader)[1] == "rotated 270°, mirrored, inverted"
    reader.press_keys("PageDown")
    reader.wait_for_case(2)
    assert state(reader)[1] == ""
    assert reader.page.is_checked("input[value=predicted]")
    reader.press_keys("PageUp")
    reader.wait_for_case(1)
    assert state(reader) == fresh


def test_the_window_is_kept_only_on_request_and_only_for_images_of_the_same_depth(reader):
    reader.page.get_by_label("keep").check()
    reader.page.evaluate("document.activeElement.blur()")
    reader.press_keys("2", "i")
    window = state(reader)[0].split()[:4]
    reader.press_keys("PageDown")
    reader.wait_for_case(2)
    assert state(reader)[0].split()[:4] != window  # 8 bits after 16
    reader.press_keys("PageUp")
    reader.wait_for_case(1)
    reader.press_keys("2", "i")
    reader.page.goto(reader.page.url.replace("case/1", "case/3"))
    reader.wait_for_case(3)
    assert (state(reader)[0].split()[:4], state(reader)[1]) == (window, "inverted")


@pytest.mark.slow
def test_a_lost_graphics_context_is_replaced_and_restored(reader):
    before = displayed(reader)
    reader.page.evaluate(
        """() => {
            const { backend } = document.querySelector("imil-viewer");
            window.lost = backend.canvas.getContext("webgl2").getExtension("WEBGL_lose_context");
            window.lost.loseContext();
        }"""
    )
    reader.page.wait_for_selector("[data-drawn-by=canvas]")
    reader.wait_until(IMAGE_DRAWN)
    plain = displayed(reader)
    inner = (slice(170, 500), slice(20, 400))  # the edge of the image is drawn softer
    assert np.abs(plain[inner] - before[inner]).mean() < 6  # of 255; half a pixel off would be 40
    reader.page.evaluate("window.lost.restoreContext()")
    reader.page.wait_for_selector("[data-drawn-by=webgl2]")
    reader.wait_until(IMAGE_DRAWN)
    assert np.array_equal(displayed(reader), before)


def test_a_case_whose_image_is_missing_can_be_skipped_and_nothing_else(browser, address):
    reader = ReaderBrowser(browser, address[0])
    reader.page.route(
        "**/api/images/*",
        lambda route: route.fulfill(status=404, json={"detail": "The image is missing."}),
    )
    reader.page.goto(f"{address[0]}/in/{link(address[1], 'Dr. Silva')}")
    reader.click_button("Open the reading room")
    reader.click_button("Start reading")
    reader.page.get_by_text("The image is missing.").wait_for()
    # it is marked as not available now, and says why when it is pressed all the same
    reader.page.get_by_role("button", name="Not assessable").click(force=True)
    reader.page.get_by_text("The film is missing: this case can only be skipped.").wait_for()
    assert reader.page.get_attribute("imil-case", "data-case") == "1"
    reader.page.fill("#reason", "no film")
    reader.click_button("Skip")
    reader.page.wait_for_selector("imil-case[data-case='2']")
    reader.context.close()


def test_time_in_a_hidden_tab_is_not_counted(reader):
    seconds, visible = reader.page.evaluate(
        """async () => {
            const { ActiveTimer } = await import("/static/active_timer.js");
            const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
            const setHidden = (value) => {
                Object.defineProperty(document, "hidden", { value, configurable: true });
                document.dispatchEvent(new Event("visibilitychange"));
            };
            const start = performance.now();
            const timer = new ActiveTimer();
            await wait(300);
            setHidden(true);
            const visible = (performance.now() - start) / 1000;
            await wait(1000);
            setHidden(false);
            return [timer.seconds, visible];
        }"""
    )
    assert seconds == pytest.approx(visible, abs=0.1)


@given(st.integers(1, 64), st.integers(1, 4000))
@settings(max_examples=40)
def test_edges_of_squares_equal_those_of_the_blackout(page, parts, length):
    edges = call(
        page,
        "grid_geometry.js",
        "given[0].map((i) => m.edge(i, ...given[1]))",
        [list(range(parts + 1)), [parts, length]],
    )
    assert edges == [edge(i, parts, length) for i in range(parts + 1)]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=30)
def test_every_pixel_lies_in_the_square_of_the_grid(page, rows, cols, height, width):
    squares = call(
        page,
        "grid_geometry.js",
        "given.y.map((y) => given.x.map((x) => m.squareAt(given.grid, x, y, ...given.film)))",
        {
            "y": [y + 0.5 for y in range(height)],
            "x": [x + 0.5 for x in range(width)],
            "grid": {"rows": rows, "cols": cols},
            "film": [height, width],
        },
    )
    assert squares == Grid(rows, cols).labels(height, width).tolist()


def test_window_follows_the_dicom_standard(page):
    # DICOM PS3.3 C.11.2.1.2.1, note 1: c 2048, w 4096 maps 0 to 0 and 4095 to 1
    def brightness(values, center, width):
        window = {"center": center, "width": width}
        code = "given[0].map((value) => m.brightness(value, given[1]))"
        return call(page, "view_transform.js", code, [values, window])

    assert brightness([-1, 0, 4095, 5000, 2047.5], 2048, 4096) == [0, 0, 1, 1, 0.5]
    assert brightness([99, 100], 100, 1) == [0, 1]


def test_a_flip_is_a_flip_on_the_screen_for_every_rotation(page):
    got = call(
        page,
        "view_transform.js",
        """[0, 1, 2, 3].flatMap((turns) => ["horizontal", "vertical"].map((way) => {
            const film = {height: 30, width: 50, low: 0, high: 9, bits: 8, spacing: null};
            const pane = {width: 200, height: 200};
            const view = {...m.freshView(film), turns, zoom: 0.5};
            const one = m.transformPoint(m.matrix(view, film, pane), 7, 11);
            const two = m.transformPoint(m.matrix(m.flipped(view, way), film, pane), 7, 11);
            return way === "horizontal" ? [one.x + two.x, one.y - two.y]
                                        : [one.y + two.y, one.x - two.x];
        }))""",
    )
    assert np.allclose(got, [[200, 0]] * 8)


def test_anisotropic_pixels_are_drawn_to_scale(page):
    got = call(
        page,
        "view_transform.js",
        "m.matrix(m.freshView(given), given, {width: 400, height: 400})",
        {"height": 100, "width": 100, "low": 0, "high": 9, "bits": 8, "spacing": [0.4, 0.2]},
    )
    assert (got["a"], got["d"]) == (2, 4)


def test_each_pixel_of_the_pyramid_is_the_mean_of_four(page):
    film = np.random.default_rng(0).integers(0, 65536, (300, 517), dtype=np.uint16)
    half = call(
        page,
        "image_worker.js",
        "[...m.pyramid({height: 300, width: 517, data: Uint16Array.from(given)}, 1)[1].data]",
        film.ravel().tolist(),
    )
    padded = np.pad(film.astype(np.int64), ((0, 0), (0, 1)), mode="edge")
    mean = (padded.reshape(150, 2, 259, 2).sum(axis=(1, 3)) + 2) // 4
    assert np.array_equal(np.array(half).reshape(150, 259), mean)


def test_sixteen_bits_are_shown_linearly_between_the_window_s_ends(reader):
    # case 2 of the store has 16 bits; its darkest pixel must be black, its brightest white
    reader.press_keys("PageDown")
    reader.wait_for_case(2)
    film = displayed(reader)
    assert (film[250:500, 5:400].min(), film[250:500, 5:400].max()) == pytest.approx(
        (0, 255), abs=2
    )


def test_an_image_too_large_for_the_graphics_card_is_shown_coarser_with_a_notice(reader):
    reader.page.evaluate("""() => {
        const { getParameter } = WebGL2RenderingContext.prototype;
        WebGL2RenderingContext.prototype.getParameter = function (name) {
            return name === this.MAX_TEXTURE_SIZE ? 24 : getParameter.call(this, name);
        };
    }""")
    reader.page.evaluate("location.hash = '#/practice'")
    reader.page.wait_for_selector("imil-case[data-state=painted]")
    reader.page.get_by_text("resolution: the image is too large").first.wait_for()
