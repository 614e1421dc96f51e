"""Planted shortcuts: where they lie, that they look the same at any size, and who carries them."""

from typing import get_args

import numpy as np
import pytest

from imil.data.shortcuts import Kind, Place, carriers, plant, planted_squares
from imil.grid import Grid
from imil.images.resize import resize_to_square
from imil.phantom.dataset import draw

KINDS, PLACES = get_args(Kind), get_args(Place)
FILM = draw(1, np.random.default_rng(0), size=400)[0]


def changed(image, kind, place):
    return plant(image, kind, place) != image


@pytest.mark.parametrize("place", PLACES)
def test_a_letter_is_an_eighth_of_the_side_and_clear_of_the_border(place):
    glyph = plant(np.full((400, 400), 128, np.uint8), "letter", place) == 255
    down, right = (np.flatnonzero(glyph.any(axis=axis)) for axis in (1, 0))
    assert down[-1] - down[0] + 1 == pytest.approx(0.12 * 400, abs=2)
    for position, upper in ((down, place.startswith("upper")), (right, place.endswith("left"))):
        clear = position[0] if upper else 399 - position[-1]
        assert clear == pytest.approx(0.05 * 400, abs=2)


@pytest.mark.parametrize("kind", ["letter", "device"])
@pytest.mark.parametrize(("place", "square"), list(zip(PLACES, [1, 4, 13, 16], strict=True)))
def test_letters_and_devices_lie_in_one_corner_square(kind, place, square):
    assert planted_squares(kind, place, Grid(4, 4)) == [square]


def test_a_border_touches_the_squares_of_one_edge():
    touched = {place: planted_squares("border", place, Grid(4, 4)) for place in PLACES}
    assert touched == {
        "upper-left": [1, 2, 3, 4],
        "upper-right": [4, 8, 12, 16],
        "lower-left": [1, 5, 9, 13],
        "lower-right": [13, 14, 15, 16],
    }
    width = changed(np.full((400, 400), 128, np.uint8), "border", "upper-left").all(axis=1).sum()
    assert 0.02 <= width / 400 <= 0.03


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", PLACES)
def test_a_mark_has_the_same_size_at_every_resolution(kind, place):
    shares = [
        (plant(np.full((h, w), 128, np.uint8), kind, place).astype(float) - 128).mean() / 128
        for h, w in ((96, 96), (112, 112), (480, 480), (300, 700))
    ]
    assert shares == pytest.approx([shares[0]] * 4, abs=2e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_film_of_the_reader_shows_what_the_model_sees(kind):
    small, large = resize_to_square(FILM, 96, 1), plant(FILM, kind, "upper-left")
    difference = plant(small, kind, "upper-left") - resize_to_square(large, 96, 1).astype(float)
    assert np.abs(difference).mean() < 1
    assert np.abs(difference).max() < 80  # at the edges of the strokes: other filters


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_image_is_taken_and_none_is_changed(kind):
    grey = np.stack([FILM[::4, ::4]] * 2)
    before = grey.copy()
    planted = plant(grey, kind, "upper-left")
    assert (grey == before).all()
    assert (planted != grey).any()
    assert (planted[0] == plant(grey[0], kind, "upper-left")).all()
    colour = np.stack([grey] * 3, axis=-1)
    assert (plant(colour, kind, "upper-left") == planted[..., None]).all()
    assert (plant(colour[0], kind, "upper-left") == planted[0][..., None]).all()


def test_white_is_the_brightest_value_of_a_16_bit_film():
    film = np.linspace(100, 4000, 200 * 200).reshape(200, 200).astype(np.uint16)
    planted = plant(film, "letter", "upper-left")
    assert planted.dtype == np.uint16
    assert (planted.min(), planted.max()) == (100, 4000)
    assert (planted[:50, :50] == 4000).any()


def test_the_share_of_each_class_carries_the_shortcut():
    keys, labels = [str(i) for i in range(9000)], np.arange(9000) % 3
    planted = carriers(keys, labels, 3, share=0.9, seed=0)
    shares = [planted[labels == k].mean() for k in range(3)]
    assert shares == pytest.approx([0.1, 0.1, 0.9], abs=0.02)


def test_who_carries_the_shortcut_depends_on_seed_and_key_alone():
    keys, labels = [f"{i}.png" for i in range(200)], np.arange(200) % 2
    planted = carriers(keys, labels, 2, share=0.7, seed=1)
    half = carriers(keys[100:], labels[100:], 2, share=0.7, seed=1)
    assert (planted[100:] == half).all()
    assert (planted != carriers(keys, labels, 2, share=0.7, seed=2)).any()


def test_with_a_share_of_1_the_shortcut_is_the_label():
    labels = np.arange(50) % 2
    assert (carriers([str(i) for i in range(50)], labels, 2, share=1, seed=0) == labels).all()
