"""Pixel spacing, laterality and directions: from the header to the store and the page."""

from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from browsers import ReaderBrowser, chromium
from rooms import link, make_store, serving
from test_store import old_store

from imil.geometry import NOT_STATED, Geometry
from imil.store import Store

pydicom = pytest.importorskip("pydicom")

from dicom_writer import make_dicom  # noqa: E402 - it needs pydicom

from imil.images.load import image_geometry  # noqa: E402

PIXELS = np.zeros((20, 30), np.uint16)


@pytest.mark.parametrize(
    ("tags", "spacing", "at_detector"),
    [
        ({}, None, False),
        ({"PixelSpacing": [0.2, 0.1]}, (0.2, 0.1), False),
        ({"ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2), True),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.2, 0.2]}, (0.2, 0.2), True),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.16, 0.16]}, (0.16, 0.16), False),
        (
            {
                "ImagerPixelSpacing": [0.2, 0.2],
                "EstimatedRadiographicMagnificationFactor": "1.25",
            },
            (0.16, 0.16),
            False,
        ),
        ({"NominalScannedPixelSpacing": [0.17, 0.17]}, (0.17, 0.17), False),
        ({"PixelSpacing": [0, 0.1]}, None, False),
    ],
)
def test_the_size_of_a_pixel_is_in_the_patient_where_that_is_known(
    tmp_path, tags, spacing, at_detector
):
    path = make_dicom(tmp_path / "a.dcm", PIXELS, **tags)
    found = image_geometry(path)
    assert found.spacing == (None if spacing is None else pytest.approx(spacing))
    assert found.at_detector is at_detector


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"PatientOrientation": ["L", "F"]}, ("L", "F")),
        ({"PatientOrientation": ["P", "FL"]}, ("P", "FL")),
        ({"PatientOrientation": ["LE", "V"]}, ("", "")),  # of an animal
        ({"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}, ("L", "P")),  # axial
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, -1]}, ("P", "F")),  # sagittal
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, ("", "")),
        ({"Laterality": "R"}, ("", "")),
    ],
)
def test_directions_are_those_that_the_header_states(tmp_path, tags, expected):
    found = image_geometry(make_dicom(tmp_path / "a.dcm", PIXELS, **tags))
    assert (found.right, found.bottom) == expected
    assert found.laterality == tags.get("Laterality", "")


FULL = Geometry((0.5, 0.25), True, "L", "L", "F")


def test_a_geometry_comes_back_from_plain_values_as_it_was():
    in_hounsfield = replace(FULL, hounsfield=-1024)
    for one in (FULL, in_hounsfield, Geometry(hounsfield=0)):
        assert Geometry.from_dict(one.as_dict()) == one
    assert "hounsfield" not in FULL.as_dict()  # as older stores have it
    assert NOT_STATED.as_dict() is None
    assert Geometry.from_dict(None) == NOT_STATED


@pytest.mark.parametrize(
    "bad", [{"spacing": [0, 1]}, {"spacing": ["a", "b"]}, {"laterality": "X"}, {"hounsfield": "-1"}]
)
def test_a_geometry_that_nobody_wrote_is_refused(bad):
    with pytest.raises(ValueError, match="invalid"):
        Geometry.from_dict(FULL.as_dict() | bad)


def room(folder, geometry, **options):
    """A store with a round whose cases have that geometry."""
    return make_store(folder, geometry=geometry, **options)


def test_the_store_keeps_the_geometry_of_a_case(tmp_path):
    with closing(room(tmp_path, FULL)) as store:
        assert [case.geometry for case in store.cases("films@70")] == [FULL] * 3


@pytest.mark.parametrize("version", ["0002"])
def test_a_case_of_an_older_store_has_none(tmp_path, version):
    path = tmp_path / "imil.sqlite"
    old_store(path, version)
    for readonly in (True, False):
        with closing(Store(path, readonly=readonly)) as store:
            assert store.cases("r@3")[0].geometry == NOT_STATED


@pytest.fixture(scope="module")
def browser():
    with chromium() as running:
        yield running


def test_the_page_shows_sides_and_measures_in_millimetres(browser, tmp_path):
    with closing(room(tmp_path, FULL)) as store, serving(tmp_path / "imil.sqlite") as address:
        reader = ReaderBrowser(browser, address, link(store)).start()
        shown = """Object.fromEntries([...document.querySelector("imil-side-marks").children]
            .map((mark) => [mark.dataset.edge, mark.textContent]))"""
        sides = {"left": "R", "right": "L", "top": "H", "bottom": "F", "laterality": "left side"}
        assert reader.page.evaluate(shown) == sides
        assert not reader.page.evaluate(
            """() => {
                const boxes = (selector) => [...document.querySelectorAll(selector)]
                    .map((one) => one.getBoundingClientRect()).filter((box) => box.width);
                return boxes("imil-side-marks span").some((a) => boxes("imil-grid text").some((b) =>
                    a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom));
            }"""
        ), "a letter covers the number of a square"
        reader.press_keys("h")
        reader.wait_until("document.querySelector('[data-edge=left]').textContent === 'L'")
        assert reader.page.evaluate(shown)["laterality"] == "left side"
        reader.press_keys("h", "r")  # turned right: the patient's right is at the top
        reader.wait_until("document.querySelector('[data-edge=top]').textContent === 'R'")
        reader.press_keys("l", "m")
        box = reader.page.locator(".pane").first.bounding_box()
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        reader.page.mouse.move(*middle)
        reader.page.mouse.down()
        reader.page.mouse.move(middle[0] + 60, middle[1])
        reader.page.mouse.up()
        text = "document.querySelector('imil-ruler text').textContent"
        reader.wait_until(f"{text} !== ''")
        matrix = reader.page.evaluate("document.querySelector('.view-label').dataset.matrix")
        pixels = 60 / float(matrix.split()[0])
        assert reader.page.evaluate(text) == f"{pixels * 0.25:.1f} mm at the detector"
        reader.context.close()


def wedge(_number):
    """Values from -1024 to 975 Hounsfield units, from left to right, where 0 is -1024."""
    return np.tile(np.arange(0, 2000, 20, dtype=np.uint16), (80, 1))


READOUT = "document.querySelector('.readout').textContent"
CT = {"5": (1500, -600), "6": (350, 50), "7": (400, 50), "8": (1800, 400), "9": (80, 40)}


def row_on_screen(page):
    """The grey values of the middle row of the left pane."""
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 30)))")
    values = page.evaluate(
        """() => {
            const { width, height } = document.querySelector("canvas.film");
            const context = document.querySelector("canvas.film").getContext("2d");
            return [...context.getImageData(0, Math.floor(height / 2), width, 1).data];
        }"""
    )
    return np.array(values)[::4]


def test_windows_of_a_ct_are_those_of_its_hounsfield_units(browser, tmp_path):
    geometry = Geometry(hounsfield=-1024)
    with (
        closing(room(tmp_path, geometry, film=wedge)) as store,
        serving(tmp_path / "imil.sqlite") as address,
    ):
        reader = ReaderBrowser(browser, address, link(store)).start()
        page = reader.page
        assert page.is_visible("[data-command=hounsfield-lung]")
        reader.press_keys("f", "1")  # the film alone, in its full range
        reader.wait_until(f"{READOUT}.includes('HU')")
        full = row_on_screen(page)
        at = np.flatnonzero((full > 3) & (full < 252))  # pixels of the screen where the film is
        units = np.interp(at, [at[0], at[-1]], [-1000, 950])
        for key, (width, level) in CT.items():
            page.keyboard.press(key)
            text = f"W\u00a0{width}  C\u00a0{level}\u00a0HU"
            reader.wait_until(f"{READOUT}.startsWith('{text}')")
            drawn = row_on_screen(page)[at]
            # DICOM's LINEAR: black below the level by half of the width, white above
            assert (drawn[units < level - width / 2 - 60] < 3).all(), key
            assert (drawn[units > level + width / 2 + 60] > 252).all(), key
            grey = drawn[np.abs(units - level) < max(width / 2 - 60, 0)]
            assert ((grey > 3) & (grey < 252)).all(), key
        reader.context.close()


def test_without_hounsfield_units_their_windows_are_hidden_and_say_so(browser, tmp_path):
    with closing(room(tmp_path, FULL)) as store, serving(tmp_path / "imil.sqlite") as address:
        reader = ReaderBrowser(browser, address, link(store)).start()
        before = reader.page.evaluate(READOUT)
        assert "HU" not in before
        assert not reader.page.is_visible("[data-command=hounsfield-lung]")
        reader.page.keyboard.press("5")
        reader.wait_until("document.body.textContent.includes('not known to be Hounsfield units')")
        assert reader.page.evaluate(READOUT) == before
        reader.context.close()
