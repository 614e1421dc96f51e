"""Squares to pixels: the one place where both are defined."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imil.errors import SettingsError, ShapeError, SquareError
from imil.grid import Grid, edge

grids = st.builds(Grid, st.integers(1, 64), st.integers(1, 64))
sizes = st.tuples(st.integers(1, 300), st.integers(1, 300))


@given(grids, sizes)
def test_pixels_belong_to_exactly_one_square(grid, size):
    seen = np.zeros(size, int)
    for square in range(1, grid.squares + 1):
        top, left, bottom, right = grid.box(square, *size)
        seen[top:bottom, left:right] += 1
    assert (seen == 1).all()


@given(grids, sizes, st.data())
def test_the_mask_is_the_union_of_the_boxes(grid, size, data):
    squares = data.draw(st.sets(st.integers(1, grid.squares), max_size=6))
    union = np.zeros(size, bool)
    for square in squares:
        top, left, bottom, right = grid.box(square, *size)
        union[top:bottom, left:right] = True
    assert (grid.mask(squares, *size) == union).all()


@given(grids, sizes)
def test_labels_agree_with_masks(grid, size):
    labels = grid.labels(*size)
    middle = (grid.squares + 1) // 2
    assert ((labels == middle) == grid.mask([middle], *size)).all()


def test_squares_are_numbered_row_by_row_from_one():
    # paper 3.1: a 4×4 grid, so square 6 is the second of the second row
    assert Grid(4, 4).box(6, 224, 224) == (56, 56, 112, 112)
    assert Grid(2, 3).labels(2, 3).tolist() == [[1, 2, 3], [4, 5, 6]]


def test_edges_round_half_up_at_every_resolution():
    # 10 pixels in 4: 0, 2.5, 5, 7.5, 10
    assert [edge(i, 4, 10) for i in range(5)] == [0, 3, 5, 8, 10]


def test_an_image_smaller_than_the_grid_has_empty_squares_but_loses_no_pixel():
    assert Grid(64, 64).mask(range(1, 4097), 5, 7).all()


def test_shares_are_the_covered_part_of_each_square():
    mask = np.zeros((4, 4), bool)
    mask[0, :3] = True
    assert Grid(2, 2).shares(mask).tolist() == [0.5, 0.25, 0, 0]


@pytest.mark.parametrize(
    ("text", "grid"),
    [
        ("4", (4, 4)),
        (4, (4, 4)),
        ("4x6", (4, 6)),
        ("1×64", (1, 64)),
        ("4x6x3", (4, 6, 3)),
        ("1 x 1 × 64", (1, 1, 64)),
    ],
)
def test_grids_are_parsed_from_text(text, grid):
    assert Grid.parse(text) == Grid(*grid)


@pytest.mark.parametrize(
    "text",
    ["", "4x", "0", "65", "4x65", "-4", "four", "4.5", 0, "4x4x", "4x4x0", "4x4x65", "2x2x2x2"],
)
def test_an_invalid_grid_is_refused_with_the_valid_range(text):
    with pytest.raises(SettingsError, match="1 to 64"):
        Grid.parse(text)


@pytest.mark.parametrize(
    ("text", "squares"),
    [
        ("2 3 6 7", (2, 3, 6, 7)),
        ("5-8", (5, 6, 7, 8)),
        ("5 - 8", (5, 6, 7, 8)),
        ("7,2, 2", (2, 7)),
        ("ALL", tuple(range(1, 17))),
        ("", ()),
    ],
)
def test_squares_are_parsed_from_text(text, squares):
    assert Grid().read(text) == squares


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("17", "squares {17} lie outside a 4×4 grid"),
        ("0", "squares {0} lie outside"),
        ("8-5", "write 5-8"),
        ("two", "invalid square 'two'"),
        ("1.5", "invalid square '1.5'"),
        ("-3", "invalid square '-3'"),
        ("99999", "invalid square '99999'"),
    ],
)
def test_invalid_squares_are_refused_in_one_sentence(text, message):
    with pytest.raises(SquareError, match=re.escape(message)):
        Grid().read(text)


@pytest.mark.parametrize("squares", [[2.5], ["two"], [None, 1]])
def test_squares_of_a_custom_reader_must_be_whole_numbers(squares):
    with pytest.raises(SquareError, match="expected whole numbers from 1 to 16"):
        Grid().check(squares)
    assert Grid().check(np.array([3, 1])) == (1, 3)


volumes = st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(1, 30))
cuboids = st.builds(Grid, st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))


@given(cuboids, volumes)
def test_voxels_belong_to_exactly_one_cuboid(grid, size):
    seen = np.zeros(size, int)
    labels = grid.labels(*size)
    for square in range(1, grid.squares + 1):
        front, top, left, back, bottom, right = grid.box(square, *size)
        seen[front:back, top:bottom, left:right] += 1
        assert (labels[front:back, top:bottom, left:right] == square).all()
    assert (seen == 1).all()


@given(cuboids, volumes)
def test_a_slice_is_cut_as_an_image_is_and_slabs_as_columns_are(grid, size):
    depth, height, width = size
    mask = grid.mask(range(1, grid.squares + 1, 2), *size)
    in_plane = grid.plane.labels(height, width)
    slab = Grid(1, grid.slabs).labels(1, depth)[0]
    expected = in_plane[None] + (slab[:, None, None] - 1) * grid.plane.squares
    assert (grid.labels(*size) == expected).all()
    assert (mask == (expected % 2 == 1)).all()


def test_cuboids_are_numbered_slab_by_slab():
    assert Grid(2, 3, 2).labels(2, 2, 3).tolist() == [
        [[1, 2, 3], [4, 5, 6]],
        [[7, 8, 9], [10, 11, 12]],
    ]
    assert Grid(4, 4, 3).read("all")[-1] == 48
    assert str(Grid(4, 4, 3)) == "4×4×3"


def test_shares_of_cuboids():
    mask = np.zeros((4, 2, 2), bool)
    mask[:3, 0, 0] = True
    assert Grid(1, 1, 2).shares(mask).tolist() == [2 / 8, 1 / 8]


@pytest.mark.parametrize(
    ("grid", "size"), [(Grid(4, 4), (3, 8, 8)), (Grid(4, 4, 3), (8, 8)), (Grid(2, 2), (8,))]
)
def test_a_grid_of_another_rank_is_refused(grid, size):
    for use in (grid.labels, lambda *size: grid.box(1, *size)):
        with pytest.raises(ShapeError, match="give rows and columns for images"):
            use(*size)


def test_a_grid_of_more_cuboids_than_a_table_has_room_for_is_refused():
    assert Grid(16, 16, 16).squares == 4096
    with pytest.raises(SettingsError, match="16×16×17 of 4352 squares: expected at most 4096"):
        Grid(16, 16, 17)


def test_shapes_are_stored_as_before_and_with_slabs():
    from imil.cases import RoundSettings

    for grid, shape in ((Grid(4, 6), [4, 6]), (Grid(4, 6, 3), [4, 6, 3])):
        stored = RoundSettings(grid=grid).as_dict()
        assert stored["grid"] == shape
        assert RoundSettings.from_dict(stored).grid == grid
