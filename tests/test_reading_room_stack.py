"""Volumes in the reading room: their slices, squares slab by slab, and the model's attention."""

import io
import zlib
from contextlib import closing

import numpy as np
import pytest
import rooms
from browsers import ReaderBrowser, chromium
from PIL import Image
from rooms import link, make_store, serving, visiting

from imil.grid import Grid
from imil.store.run_progress import Progress
from imil.web.stack_slices import nearest_slice, squares_at

D, H, W = 10, 40, 48
GRID = Grid(2, 3, 4)


def volume(number):
    """16 bits, each slice brighter than the one before."""
    noise = np.random.default_rng(number).integers(0, 50, (D, H, W))
    return (noise + 100 * np.arange(1, D + 1)[:, None, None]).astype(np.uint16)


def heat(number):
    """5 slices; twice as much in the second as in the first, and nothing elsewhere."""
    cam = np.zeros((5, 8, 8), np.float32)
    cam[0, :2], cam[1, 2:6] = 0.5, 0.5
    return cam


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stacks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rooms, "heat", heat)
        store = make_store(folder, film=volume, grid=GRID)
    with closing(store), serving(folder / "imil.sqlite") as url:
        yield url, store


@pytest.fixture
def reader(address):
    url, store = address
    with visiting(url, link(store)) as client:
        yield client


def pixels(response, dtype, shape):
    assert response.status_code == 200, response.text
    return np.frombuffer(response.content, np.dtype(dtype).newbyteorder("<")).reshape(shape)


def case_of(reader, number=1):
    (one,) = [c for c in reader.get("/api/rounds/70").json()["cases"] if c["number"] == number]
    return one


def test_a_round_says_that_its_cases_are_volumes(reader):
    round_ = reader.get("/api/rounds/70").json()
    assert round_["grid"] == {"rows": 2, "cols": 3, "slabs": 4}
    assert round_["modelView"] == {"height": 8, "width": 8}
    image = round_["cases"][0]["image"]
    assert (image["slices"], image["height"], image["width"], image["channels"]) == (D, H, W, 1)


def test_slices_are_those_of_the_volume(address, reader):
    _, store = address
    case = store.cases("films@70")[0]
    url = f"/{case_of(reader)['image']['url']}"
    for number in (1, 4, D):
        shown = pixels(reader.get(f"{url}?slice={number}"), np.uint16, (H, W))
        assert np.array_equal(shown, case.image[number - 1])
    assert reader.get(f"{url}?slice={D + 1}").status_code == 404
    assert reader.get(f"{url}?slice=0").status_code == 422
    packed = reader.get(f"{url}?slice=2", headers={"Accept-Encoding": "deflate"})
    assert packed.headers["Content-Encoding"] == "deflate"
    assert zlib.crc32(packed.content) == zlib.crc32(case.image[1].tobytes())  # inflated by httpx


def test_heat_maps_of_slices_and_their_energy(reader):
    base = "/api/rounds/70/cases/1/heat-map/predicted"
    for number in range(1, D + 1):  # two slices of the volume for one of the map
        shown = pixels(reader.get(f"{base}?slice={number}"), np.float32, (8, 8))
        assert np.array_equal(shown, heat(1)[(number - 1) // 2])
    assert reader.get(f"{base}/energy").json() == {"energy": [0.5, 0.5, 1, 1, 0, 0, 0, 0, 0, 0]}


@pytest.mark.parametrize(("slices", "of"), [(5, 10), (16, 16), (3, 10), (10, 3), (1, 7)])
def test_the_nearest_slice_of_a_map_is_that_of_the_middle(slices, of):
    at = [nearest_slice(n, slices, of) for n in range(1, of + 1)]
    middles = [(n - 0.5) / of * slices for n in range(1, of + 1)]
    assert at == [min(int(middle), slices - 1) + 1 for middle in middles]


def test_a_preview_is_black_outside_the_squares_of_the_slice(reader):
    # 10 slices in 4 slabs: edges at 0, 3, 5, 8, 10
    chosen = "1,8,24"
    for number, kept in ((1, [1]), (4, [2]), (7, []), (10, [6])):
        url = f"/api/rounds/70/cases/1/preview?squares={chosen}&slice={number}"
        picture = np.asarray(Image.open(io.BytesIO(reader.get(url).content)))
        assert picture.shape == (8, 8)
        keep = Grid(2, 3).mask(kept, 8, 8)
        assert (picture[~keep] == 0).all()
        assert (picture[keep] > 0).all()
        assert squares_at(GRID, [1, 8, 24], number, D) == kept
    assert reader.get("/api/rounds/70/cases/1/preview?squares=25&slice=1").status_code == 422


def test_a_blind_reader_gets_no_attention_before_the_first_look(address, reader):
    _, store = address
    Progress(store).set_protocol("films", "blind-first", by="owner")
    try:
        base = "/api/rounds/70/cases/3/heat-map/predicted"
        for url in (f"{base}/energy", f"{base}?slice=1"):
            assert reader.get(url).status_code == 403
    finally:
        Progress(store).set_protocol("films", "standard", by="owner")


def test_pictures_of_a_whole_round_are_refused_in_a_sentence(address):
    url, store = address
    with visiting(url, link(store, "owner", kind="owner")) as owner:
        response = owner.get("/api/rounds/70/results")
        assert response.status_code == 422
        assert "lies over volumes" in response.text


def on_screen(page):
    """The mean grey value of the middle of the left pane."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    return page.evaluate(
        """() => {
            const { width, height } = document.querySelector("canvas.film");
            const context = document.querySelector("canvas.film").getContext("2d");
            const { data } = context.getImageData(width / 2 - 20, height / 2 - 20, 40, 40);
            return data.filter((_, i) => i % 4 === 0).reduce((sum, v) => sum + v, 0) / 1600;
        }"""
    )


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


def test_a_reader_scrolls_through_the_slices_and_marks_squares_of_two_slabs(address, browser):
    url, store = address
    opened = ReaderBrowser(browser, url, link(store)).start()
    page = opened.page
    text = "document.querySelector('.slice-text').textContent"

    def at(slice_, slab):
        opened.wait_until(f"{text} === '{slice_} of 10 · slab {slab} of 4'")

    at(5, 2)
    assert page.text_content(".grid-numbers text >> nth=0") == "7"
    middle = on_screen(page)
    page.keyboard.press(".")
    at(6, 3)
    opened.wait_until("document.querySelector('.grid-numbers text').textContent === '13'")
    assert on_screen(page) > middle  # a brighter slice
    opened.click(2)  # the second square of the slab
    opened.wait_until("document.querySelector('imil-case').dataset.squares === '14'")
    box = page.locator(".pane").first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    for slice_, slab in ((5, 2), (4, 2), (3, 1)):  # a notch of the wheel each
        page.mouse.wheel(0, -100)
        at(slice_, slab)
    opened.wait_until("document.querySelector('.grid-numbers text').textContent === '1'")
    assert page.locator(".grid-numbers text.on").count() == 0  # 14 lies in another slab
    opened.click(6)
    opened.wait_until("document.querySelector('imil-case').dataset.squares === '6 14'")
    page.keyboard.press("k")  # the same square by key, as misleading
    opened.wait_until("document.querySelector('imil-case').dataset.misleading === '6'")
    assert page.input_value("#numbers") == "14 -6"
    page.fill("#slice", "10")
    at(10, 4)
    assert page.get_attribute("#slice", "aria-valuetext") == "slice 10 of 10 · slab 4 of 4"
    assert page.locator(".stack .energy rect").count() == 10
    assert page.locator(".stack .thumbs button").count() == 8
    page.click(".stack .thumbs button >> nth=0")
    at(1, 1)
    page.keyboard.press("Shift+V")  # cine
    opened.wait_until(f"{text} !== '1 of 10 · slab 1 of 4'")
    page.keyboard.press("Shift+V")
    assert page.get_attribute("[data-command=cine]", "aria-pressed") == "false"
    stopped = page.evaluate(text)
    page.wait_for_timeout(400)
    assert page.evaluate(text) == stopped
    opened.wait_until_ready()
    page.keyboard.press("Enter")
    opened.wait_until_saved()
    opened.wait_for_case(2)
    at(5, 2)  # earlier squares 2 and 3 lie in the first slab
    assert not page.get_attribute(".grid-earlier >> nth=0", "d")
    (reading,) = store.readings("films@70")
    assert (reading.squares, reading.misleading) == ((14,), (6,))
    opened.check_no_errors()
    opened.context.close()
