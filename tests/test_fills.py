"""Blackout: black where nobody looked, untouched where somebody did."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imil.errors import ShapeError
from imil.fills import blackout
from imil.grid import Grid


@given(st.integers(0, 2**32 - 1), st.sampled_from(["uint8", "uint16"]), st.booleans())
def test_kept_pixels_stay_and_all_others_are_zero(seed, dtype, colour):
    rng = np.random.default_rng(seed)
    image = rng.integers(1, 255, (13, 9, 3) if colour else (13, 9)).astype(dtype)
    keep = Grid(3, 2).mask([2, 5], 13, 9)
    out = blackout(image, keep)
    assert out.dtype == image.dtype
    assert (out[keep] == image[keep]).all()
    assert (out[~keep] == 0).all()


def test_all_squares_leave_the_image_as_it_was():
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert (blackout(image, Grid().mask(range(1, 17), 3, 4)) == image).all()


def test_the_original_is_not_written_to():
    image = np.ones((4, 4), np.uint8)
    blackout(image, np.zeros((4, 4), bool))
    assert image.all()


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(ShapeError, match="differ"):
        blackout(np.ones((4, 4)), np.ones((4, 5), bool))
