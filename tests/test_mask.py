"""What a mask selects, by the values that it was saved with."""

import numpy as np
import PIL.Image
import pytest

from imil.errors import DataError
from imil.images.load import load_mask

SHAPE = np.zeros((40, 30), bool)
SHAPE[5:15, 8:20] = True


def saved(path, values, **options):
    PIL.Image.fromarray(np.asarray(values, np.uint8)).save(path, **options)
    return path


@pytest.mark.parametrize(("outside", "inside"), [(0, 255), (0, 1), (1, 2), (255, 128), (64, 0)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_value_that_covers_less_is_selected_where_none_is_black(
    tmp_path, outside, inside, channels
):
    values = np.where(SHAPE, inside, outside)
    expected = SHAPE if inside else ~SHAPE  # black is never selected
    values = values if channels == 1 else np.dstack([values, values // 2, values])
    np.testing.assert_array_equal(load_mask(saved(tmp_path / "a.png", values)), expected)


def test_several_values_beside_black_are_all_selected(tmp_path):
    values = np.where(SHAPE, 3, 0)
    values[6, 9] = 1
    np.testing.assert_array_equal(load_mask(saved(tmp_path / "a.png", values)), SHAPE)


def test_a_black_mask_selects_nothing(tmp_path):
    assert not load_mask(saved(tmp_path / "a.png", 0 * SHAPE)).any()
    assert not load_mask(saved(tmp_path / "a.jpg", 0 * SHAPE)).any()


def test_a_palette_whose_background_is_white_selects_what_covers_less(tmp_path):
    image = PIL.Image.fromarray(SHAPE.astype(np.uint8)).convert("P")
    image.putpalette([255, 255, 255, 200, 0, 0])
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(load_mask(tmp_path / "a.png"), SHAPE)


def test_one_transparent_colour_is_the_background(tmp_path):
    values = np.where(SHAPE, 200, 255)
    path = saved(tmp_path / "a.png", values, transparency=255)
    np.testing.assert_array_equal(load_mask(path), SHAPE)


def test_the_noise_of_a_jpeg_is_not_selected(tmp_path):
    path = saved(tmp_path / "a.jpg", np.where(SHAPE, 255, 0), quality=60)
    assert (np.asarray(PIL.Image.open(path)) > 0).sum() > SHAPE.sum()  # the noise is there
    np.testing.assert_array_equal(load_mask(path), SHAPE)


half = np.arange(40)[:, None] * np.ones(30) < 20


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("a.png", np.full(SHAPE.shape, 255), "all pixels have the value 255"),
        ("a.png", np.where(half, 1, 2), "cover half of it each"),
        ("a.png", np.where(SHAPE, 1, 2) + (np.arange(30) > 25), "there are many values"),
        ("a.jpg", np.where(SHAPE, 255, 128), "values from 1"),
        ("a.jpg", np.where(SHAPE, 30, 0), "cannot be told from its background"),
    ],
)
def test_a_mask_without_a_background_is_refused(tmp_path, name, values, message):
    path = saved(tmp_path / name, values)
    with pytest.raises(DataError, match=message) as caught:
        load_mask(path)
    assert str(path) in str(caught.value)
