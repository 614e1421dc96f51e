"""How much of where a network looks lies in a mask: hand-worked cases."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from imil.errors import DataError, ShapeError
from imil.study.attention_focus import Focus, covered, focus, summary, write_focus


def cam(*rows):
    return np.array(rows, np.float32)


def mask(*rows):
    return np.array(rows, bool)


NAMES = ["arm", "mask", "images", "blank", "energy", "area", "ratio", "pointing"]
LEFT = mask([1, 0], [1, 0])


def test_energy_is_the_share_of_the_heat_inside():
    """0.2 + 0.1 of 0.2 + 0.4 + 0.1 + 0.3."""
    (result,) = focus([cam([0.2, 0.4], [0.1, 0.3])], [LEFT])
    assert result == Focus(pytest.approx(0.3), 0.5, False)


def test_a_heat_map_that_is_the_same_everywhere_has_the_energy_of_chance():
    (result,) = focus([np.full((6, 6), 0.7, np.float32)], [np.arange(144).reshape(12, 12) < 30])
    assert result.energy == pytest.approx(result.area) == pytest.approx(30 / 144)


def test_a_finer_mask_counts_by_the_share_of_each_pixel():
    """The mask covers 3 of 4 fine pixels of the first coarse one: 0.75 · 0.8 of 1.0."""
    fine = mask([1, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0])
    (result,) = focus([cam([0.8, 0.1], [0.1, 0.0])], [fine])
    assert result == Focus(pytest.approx(0.6), pytest.approx(3 / 16), True)


def test_a_coarser_mask_counts_as_if_drawn_larger():
    (result,) = focus([cam([1, 2, 3, 4], [1, 2, 3, 4])], [mask([1, 0])])
    assert result == Focus(pytest.approx(6 / 20), 0.5, False)


def test_the_hottest_pixel_decides_the_pointing_game():
    heat = cam([0.1, 0.9], [0.9, 0.2])
    heat[0, 0] = 1.0
    assert focus([heat], [LEFT])[0].pointing
    heat[0, 1] = 1.1
    assert not focus([heat], [LEFT])[0].pointing


def test_a_pixel_that_is_half_covered_is_inside_and_less_is_not():
    half = np.zeros((4, 4), bool)
    half[0, :2] = True  # 2 of the 4 fine pixels of the first coarse one
    heat = cam([1, 0], [0, 0])
    assert focus([heat], [half])[0].pointing
    half[0, 1] = False
    assert not focus([heat], [half])[0].pointing


def test_several_hottest_pixels_count_together():
    """One of two lies inside: half of them, so a hit; one of three is none."""
    assert focus([cam([1, 1], [0, 0])], [LEFT])[0].pointing
    assert focus([cam([0, 0], [1, 1])], [LEFT])[0].pointing
    assert not focus([cam([1, 1], [0, 1])], [LEFT])[0].pointing


def test_a_blank_heat_map_has_no_energy_and_hits_nothing():
    (result,) = focus([np.zeros((2, 2), np.float32)], [LEFT])
    assert math.isnan(result.energy)
    assert (result.area, result.pointing) == (0.5, False)


def test_without_a_mask_or_with_an_empty_one_the_result_is_none():
    heat = cam([1, 0], [0, 0])
    assert focus([heat] * 2, [None, np.zeros((2, 2), bool)]) == [None, None]


@pytest.mark.parametrize(
    ("heat", "says"),
    [(cam([1, np.nan]), "0 or more"), (cam([1, -1]), "0 or more"), (np.ones(3), "shape")],
    ids=["no number", "negative", "flat"],
)
def test_an_invalid_heat_map_is_refused(heat, says):
    with pytest.raises(ShapeError, match=says):
        focus([heat], [mask([1, 1])])


def test_as_many_masks_as_heat_maps_are_needed():
    with pytest.raises(ShapeError, match="1 heat-maps and 2 masks"):
        focus([cam([1, 1])], [LEFT, LEFT])


@given(
    arrays.arrays(bool, st.tuples(st.integers(1, 17), st.integers(1, 17))),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_no_part_of_a_mask_is_lost_at_any_size(mask, height, width):
    share = covered(mask, height, width)
    assert share.shape == (height, width)
    assert share.min() >= 0
    assert share.max() <= 1 + 1e-9
    assert share.mean() == pytest.approx(mask.mean())


def test_whole_pixels_are_averaged_in_blocks():
    fine = np.random.default_rng(0).random((12, 20)) < 0.4
    assert covered(fine, 4, 5) == pytest.approx(fine.reshape(4, 3, 5, 4).mean(axis=(1, 3)))


def test_a_row_is_written_for_each_image_and_existing_mask(tmp_path):
    path = tmp_path / "focus.parquet"
    heat = [cam([0.2, 0.4], [0.1, 0.3]), np.zeros((2, 2), np.float32)]
    write_focus(path, ["a", "b"], heat, {"lesion_mask": [None, LEFT], "lung_mask": [LEFT, None]})
    table = pd.read_parquet(path)
    assert list(table) == ["key", "mask", "energy", "area", "pointing"]
    assert table[["key", "mask"]].to_numpy().tolist() == [["b", "lesion_mask"], ["a", "lung_mask"]]
    assert math.isnan(table["energy"][0])
    assert table["energy"][1] == pytest.approx(0.3)
    assert table["pointing"].dtype == bool


@pytest.mark.parametrize("masks", [{}, {"lesion_mask": [None]}])
def test_a_set_without_masks_has_a_table_without_rows(tmp_path, masks):
    write_focus(tmp_path / "focus.parquet", ["a"], [cam([1, 1])], masks)
    table = pd.read_parquet(tmp_path / "focus.parquet")
    assert list(table) == ["key", "mask", "energy", "area", "pointing"]
    assert len(table) == 0
    assert len(summary({"baseline": [table]})) == 0


def test_a_table_that_cannot_be_written_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_focus(tmp_path / "file" / "focus.parquet", ["a"], [cam([1, 1])], {})


def rows(*of):
    return pd.DataFrame(of, columns=["key", "mask", "energy", "area", "pointing"])


def test_the_summary_is_worked_by_hand():
    """Energies 0.2 and 0.4 over areas 0.1 and 0.3: 0.3 / 0.2 = 1.5; 2 hits of 3, one blank.

    The area is that of all three images, 1.3 / 3, whichever of them are blank.
    """
    one = rows(("a", "lesion_mask", 0.2, 0.1, True), ("b", "lesion_mask", np.nan, 0.9, False))
    two = rows(("a", "lesion_mask", 0.4, 0.3, True), ("a", "lung_mask", 0.5, 0.5, False))
    result = summary({"baseline": [one, two], "imil": [], "mixup": [one]})
    assert list(result) == NAMES
    lesion = result.iloc[0]
    assert (lesion["arm"], lesion["mask"]) == ("baseline", "lesion_mask")
    assert (lesion["images"], lesion["blank"]) == (3, 1)
    assert lesion["energy"] == pytest.approx(0.3)
    assert lesion["area"] == pytest.approx(1.3 / 3)
    assert lesion["ratio"] == pytest.approx(1.5)
    assert lesion["pointing"] == pytest.approx(2 / 3)
    assert result[["arm", "mask"]].to_numpy().tolist()[1:] == [
        ["baseline", "lung_mask"],
        ["mixup", "lesion_mask"],
    ]


def test_an_arm_that_is_blank_everywhere_has_no_ratio():
    result = summary({"imil": [rows(("a", "lung_mask", np.nan, 0.9, False))]}).iloc[0]
    assert (result["images"], result["blank"], result["pointing"]) == (1, 1, 0)
    assert result["area"] == 0.9
    assert np.isnan(result[["energy", "ratio"]].astype(float)).all()
