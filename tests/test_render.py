"""Pictures for readers: exact pixels, sharp lines, readable at any shape and grid."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from reader_contract import make_case

from imil.errors import ShapeError
from imil.grid import Grid
from imil.images.montage import font, wrap_text
from imil.images.render import (
    SELECTED,
    case_panel,
    colour_map,
    grid_lines,
    overlay,
    percent,
    resize_to_height,
    review_strip,
    squares_as_text,
    to_uint8,
)

EVERY_VALUE = np.linspace(0, 1, 256)
# Machado, Oliveira, Fernandes 2009, severity 1.0, linear RGB
BLINDNESS = {
    "none": np.eye(3),
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def linear(colours):
    """sRGB to linear light (IEC 61966-2-1)."""
    c = np.asarray(colours, float) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def count(picture, colour):
    return int((np.asarray(picture) == colour).all(axis=-1).sum())


# --- pixels -------------------------------------------------------------------------------


def test_eight_bits_are_shown_unchanged():
    image = np.array([[3, 250]], np.uint8)
    assert to_uint8(image).tolist() == [[3, 250]]


def test_sixteen_bits_are_scaled_from_their_minimum_to_their_maximum():
    # 4095 - 1000 = 3095 steps; 2000 lies at 1000 / 3095 * 255 = 82.4
    image = np.array([[1000, 2000, 4095]], np.uint16)
    assert to_uint8(image).tolist() == [[0, 82, 255]]


def test_sixteen_bits_in_colour_keep_the_balance_of_the_channels():
    image = np.array([[[0, 65535, 32768]]], np.uint16)
    assert to_uint8(image).tolist() == [[[0, 255, 128]]]


@pytest.mark.parametrize("value", [0, 700, 65535])
def test_sixteen_bits_of_one_value_are_black(value):
    assert to_uint8(np.full((2, 2), value, np.uint16)).max() == 0


@pytest.mark.parametrize("eyes", BLINDNESS)
def test_luminance_increases_with_the_value_for_every_colour_vision(eyes):
    seen = (linear(colour_map(EVERY_VALUE)) @ np.array(BLINDNESS[eyes]).T).clip(0, 1)
    luminance = seen @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(luminance) > 0).all()


def test_values_outside_the_range_are_clipped():
    assert colour_map(np.array([-1.0, 2.0])).tolist() == colour_map(np.array([0.0, 1.0])).tolist()


def test_a_heat_map_of_zero_leaves_the_image_unchanged():
    film = np.arange(256, dtype=np.uint8).reshape(16, 16)
    over = overlay(film, np.zeros((7, 7), np.float32))
    assert (over == film[..., None]).all()


def test_the_maximum_is_blended_by_the_opacity():
    film = np.full((2, 2), 100, np.uint8)
    top = colour_map(np.array(1.0)).astype(float)
    over = overlay(film, np.ones((1, 1), np.float32), opacity=0.25)
    assert np.abs(over - (75 + 0.25 * top)).max() <= 0.5


def test_the_heat_map_is_enlarged_bilinearly():
    # centres of four pixels over two values: 0, 1/4, 3/4, 1; on black, share times colour
    over = overlay(np.zeros((1, 4), np.uint8), np.array([[0, 1]], np.float32), opacity=1.0)
    values = np.array([0, 0.25, 0.75, 1])
    expected = values[:, None] * colour_map(values)
    assert np.abs(over[0] - expected).max() <= 0.5


def test_a_colour_image_is_unchanged_under_a_heat_map_of_zero():
    film = np.random.default_rng(0).integers(0, 256, (9, 5, 3), dtype=np.uint8)
    assert (overlay(film, np.zeros((2, 2), np.float32)) == film).all()


@pytest.mark.parametrize("cam", [np.full((2, 2), np.nan, np.float32), np.zeros(4, np.float32)])
def test_a_heat_map_with_nan_or_of_one_dimension_is_refused(cam):
    with pytest.raises(ShapeError, match="heat-map"):
        overlay(np.zeros((4, 4), np.uint8), cam)


# --- the grid -----------------------------------------------------------------------------


@pytest.mark.parametrize("film", [0, 255])
@pytest.mark.parametrize("grid", [Grid(4, 4), Grid(3, 5), Grid(16, 16)])
def test_every_line_is_visible_on_black_and_on_white(film, grid):
    height, width = 301, 400
    drawn = np.asarray(grid_lines(np.full((height, width), film, np.uint8), grid, numbers=False))
    contrast = np.abs(drawn[..., 0].astype(int) - film) > 60
    for square in range(1, grid.squares + 1):
        top, left, bottom, right = grid.box(square, height, width)
        for edge in (top, bottom):
            if 0 < edge < height:
                assert contrast[edge - 1 : edge + 1, left + 1 : right - 1].any(axis=0).all()
        for edge in (left, right):
            if 0 < edge < width:
                assert contrast[top + 1 : bottom - 1, edge - 1 : edge + 1].any(axis=1).all()
        assert not contrast[top + 1 : bottom - 1, left + 1 : right - 1].any(), "crisp"


def test_the_input_picture_is_not_changed():
    picture = Image.new("RGB", (80, 80))
    grid_lines(picture, Grid(4, 4), squares=[1])
    assert np.asarray(picture).max() == 0


def test_each_square_has_its_number_in_its_upper_left_corner():
    grid, film = Grid(4, 4), np.full((400, 400), 128, np.uint8)
    bare = np.asarray(grid_lines(film, grid, numbers=False)).astype(int)
    written = np.abs(np.asarray(grid_lines(film, grid)).astype(int) - bare).max(axis=2) > 50
    for square in range(1, 17):
        top, left, bottom, right = grid.box(square, 400, 400)
        assert written[top : top + 50, left : left + 50].any()
        assert not written[top + 50 : bottom, left:right].any()
        assert not written[top:bottom, left + 50 : right].any()


@pytest.mark.parametrize(
    ("grid", "side", "most"), [(Grid(64, 64), 704, 0.15), (Grid(16, 16), 720, 0.2)]
)
def test_numbers_cover_little_of_the_image_with_any_grid(grid, side, most):
    film = np.full((side, side), 128, np.uint8)
    bare = np.asarray(grid_lines(film, grid, numbers=False)).astype(int)
    written = np.abs(np.asarray(grid_lines(film, grid)).astype(int) - bare).max(axis=2) > 20
    assert 0.01 < written.mean() < most


def test_a_picture_too_small_for_numbers_has_none():
    film = np.full((6, 6), 128, np.uint8)
    numbered, bare = (grid_lines(film, Grid(2, 2), numbers=n) for n in (True, False))
    assert np.array_equal(np.asarray(numbered), np.asarray(bare))


def test_selected_squares_are_outlined_as_one_shape():
    film = np.full((400, 400), 128, np.uint8)
    drawn = np.asarray(grid_lines(film, Grid(4, 4), numbers=False, squares=[6, 7]))
    assert (drawn[101, 101:299] == SELECTED).all(), "along the top of both"
    assert not (drawn[150, 198:203] == SELECTED).all(axis=-1).any(), "not between them"
    assert (drawn[101:199, 101] == SELECTED).all()
    assert (drawn[101:199, 298] == SELECTED).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (900, 30), (50, 60, 3)])
@pytest.mark.parametrize("grid", [Grid(1, 1), Grid(4, 6), Grid(64, 64)])
def test_any_shape_can_be_drawn_with_any_grid(shape, grid):
    drawn = grid_lines(np.zeros(shape, np.uint8), grid, squares=[1, grid.squares])
    assert drawn.size == (shape[1], shape[0])


# --- montages -------------------------------------------------------------------------------


def test_the_aspect_ratio_is_kept():
    assert resize_to_height(np.zeros((100, 50), np.uint8), 200).shape == (200, 100)
    assert resize_to_height(np.zeros((3000, 2000, 3), np.uint8), 300).shape == (300, 200, 3)


def test_a_very_wide_image_is_made_lower():
    assert resize_to_height(np.zeros((10, 1000), np.uint8), 100).shape == (2, 160)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((1, 1), np.uint8),
        np.arange(60000, dtype=np.uint16).reshape(200, 300),
        np.zeros((20, 900, 3), np.uint8),
        np.zeros((900, 10), np.uint8),
    ],
    ids=["one pixel", "16 bits", "wide", "tall"],
)
def test_a_case_of_any_shape_has_a_panel(image):
    names = ("ein langer Name, größer als erlaubt, " * 5, "结核")
    case = replace(make_case(7, image=image, earlier=(1, 2)), class_names=names)
    panel = case_panel(case, height=200)
    assert panel.mode == "RGB"
    assert panel.height < 450
    assert panel.width < 3 * 320 + 100


def test_a_fine_grid_has_a_larger_picture():
    fine = case_panel(make_case(grid=Grid(64, 64)), height=200)
    assert fine.height > 64 * 20


def test_a_panel_outlines_the_squares_of_an_earlier_round_unless_others_are_given():
    film = np.full((40, 40), 128, np.uint8)
    case = make_case(image=film)
    earlier = case_panel(replace(case, earlier=(6, 7)), height=200)
    given = case_panel(replace(case, earlier=(1,)), squares=(6, 7), height=200)
    assert count(case_panel(case, height=200), SELECTED) == 0
    assert count(earlier, SELECTED) == count(given, SELECTED) > 300


def last_picture(strip):
    """The blackout of a strip 320 pixels high: white where an all-white film is kept."""
    return np.asarray(strip)[:, -335:, :]


@pytest.mark.parametrize("squares", [(6,), (2, 3, 6, 7), tuple(range(1, 17))])
def test_a_review_ends_with_the_corrected_image(squares):
    film = np.full((64, 64), 255, np.uint8)
    strip = review_strip(make_case(image=film), squares, "focus")
    assert count(last_picture(strip), (255, 255, 255)) == len(squares) * 80 * 80


@pytest.mark.parametrize("verdict", ["skip", "wrong label", "not assessable"])
def test_a_case_without_squares_is_shown_unchanged(verdict):
    film = np.full((64, 64), 255, np.uint8)
    fresh = review_strip(make_case(image=film), (), verdict)
    again = review_strip(make_case(image=film, earlier=(1, 2)), (), verdict)
    assert count(last_picture(fresh), (255, 255, 255)) == 320 * 320
    assert count(last_picture(again), (255, 255, 255)) == 2 * 80 * 80


def test_text_is_wrapped_and_truncated_to_the_width():
    lines = wrap_text("a rather long line of words " * 8 + "x" * 400, font(14), 200)
    assert len(lines) == 3
    assert all(font(14).getlength(line) <= 200 for line in lines)
    assert lines[-1].endswith("...")
    assert font(14).getlength(lines[-1]) > 180, "no more is cut off than must be"


def test_a_very_long_text_is_truncated():
    every_other = squares_as_text(range(1, 4096, 2))  # 10,000 letters
    assert len(wrap_text(every_other, font(14), 400)) == 3


def test_a_text_that_fits_is_unchanged():
    assert wrap_text("Case 7    normal", font(14), 500) == ["Case 7    normal"]


@pytest.mark.parametrize(
    ("share", "words"), [(0.5, "50.0 %"), (0.9994, "99.9 %"), (0.99999, ">99.9 %"), (1, "100.0 %")]
)
def test_only_one_is_printed_as_a_hundred_percent(share, words):
    assert percent(share) == words


@given(st.sets(st.integers(1, 96)))
def test_squares_as_text_are_read_as_the_same_squares(squares):
    assert Grid(8, 12).read(squares_as_text(sorted(squares))) == tuple(sorted(squares))


def test_a_real_radiograph_is_shown_pixel_for_pixel(shenzhen):
    film = np.asarray(Image.open(shenzhen / "images" / "CHNCXR_0400_1.jpg"))
    panel = np.asarray(case_panel(make_case(image=film), height=film.shape[0]))
    top, left = np.argwhere((panel[:, :, 0] == 62) & (panel[:, :, 2] == 68))[0]  # its frame
    shown = panel[top + 1 : top + 1 + film.shape[0], left + 1 : left + 1 + film.shape[1]]
    assert (shown == film[..., None]).all()
