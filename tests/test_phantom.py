"""Phantoms: their shapes, their masks, their letters, and the files they are written to."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from imil.errors import DataError, SettingsError
from imil.phantom.dataset import CLASS_NAMES, LETTERS, draw, write_phantoms


def pair(seed=0, **options):
    """A normal phantom and the same chest with lesions."""
    return [draw(label, np.random.default_rng(seed), **options) for label in (0, 1)]


def rows_of(manifest):
    with manifest.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pixels(manifest, row, column="image"):
    return np.asarray(Image.open(manifest.parent / row[column]))


def fingerprint(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def lettered(image):
    """Which marker is in an upper corner: white on one side alone, for shoulders come in pairs."""
    white = image[:36] > 210  # of 256 pixels
    left, right = white[:, :50].sum(), white[:, -50:].sum()
    return None if abs(int(left) - int(right)) < 25 else "R" if left > right else "L"


@pytest.mark.parametrize("size", [32, 65, 256])
@pytest.mark.parametrize(("depth", "kind"), [(8, np.uint8), (16, np.uint16)])
def test_image_and_masks_have_the_given_size_and_depth(size, depth, kind):
    for phantom in pair(size=size, depth=depth):
        assert phantom.image.shape == phantom.lung.shape == phantom.lesion.shape == (size, size)
        assert phantom.image.dtype == kind
        assert phantom.lung.dtype == phantom.lesion.dtype == bool
        assert phantom.image.max() > np.iinfo(kind).max * 0.8
        assert phantom.image.min() < np.iinfo(kind).max * 0.1


def test_sixteen_bits_hold_more_greys_than_eight():
    fine, _ = pair(depth=16)
    assert len(np.unique(fine.image)) > 2000


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("difficulty", [0, 1])
def test_lesions_lie_in_the_lungs_of_class_lesion_only(size, difficulty):
    for seed in range(40):
        normal, sick = pair(seed, size=size, difficulty=difficulty)
        assert not normal.lesion.any()
        assert sick.lesion.any()
        assert not (sick.lesion & ~sick.lung).any()


def test_lungs_are_two_dark_regions_of_plausible_size():
    for seed in range(20):
        phantom, _ = pair(seed, size=128)
        assert 0.12 < phantom.lung.mean() < 0.42  # real lung masks: about a quarter
        assert phantom.image[phantom.lung].mean() < phantom.image[~phantom.lung].mean()
        halves = phantom.lung[:, :64].mean(), phantom.lung[:, 64:].mean()
        assert min(halves) > 0.25 * max(halves)


def test_a_lesion_brightens_the_lung_and_less_so_when_it_is_difficult():
    def contrast(difficulty):
        result = []
        for seed in range(40):
            _, sick = pair(seed, size=64, difficulty=difficulty)
            lesion, rest = sick.image[sick.lesion], sick.image[sick.lung & ~sick.lesion]
            result.append(lesion.mean() - rest.mean())
        return np.mean(result)

    easy, hard = contrast(0), contrast(1)
    assert easy > hard + 10  # grey values
    assert hard > 0


def test_no_two_phantoms_are_equal():
    images = [draw(0, np.random.default_rng(seed), size=48).image for seed in range(8)]
    assert len({image.tobytes() for image in images}) == 8


def test_the_same_state_draws_the_same_phantom():
    first, again = (draw(1, np.random.default_rng(3), size=64, letter="L") for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_letter_changes_only_its_own_upper_corner():
    plain, left, right = (
        draw(0, np.random.default_rng(1), size=128, letter=letter).image.astype(int)
        for letter in (None, "R", "L")
    )
    for marked, columns in ((left, np.s_[:32]), (right, np.s_[-32:])):
        changed = marked != plain
        assert changed[:26, columns].sum() > 20
        changed[:26, columns] = False
        assert not changed.any()


def test_the_manifest_lists_every_file_and_nothing_else(tmp_path):
    manifest = write_phantoms(tmp_path / "set", n=10, size=48, seed=1)
    rows = rows_of(manifest)
    named = {row[column] for row in rows for column in ("image", "lung_mask", "lesion_mask")}
    written = {p.relative_to(tmp_path / "set").as_posix() for p in manifest.parent.rglob("*.png")}
    assert named - {""} == written
    assert list(rows[0]) == [
        "image", "label", "class_name", "split", "patient", "lung_mask", "lesion_mask",
    ]  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ["set"]


def test_classes_and_splits_come_in_exact_shares(tmp_path):
    rows = rows_of(write_phantoms(tmp_path / "set", n=40, size=32, seed=2, test=0.25))
    counts = Counter((row["label"], row["split"]) for row in rows)
    assert counts == {
        ("0", "train"): 15, ("1", "train"): 15, ("0", "test"): 5, ("1", "test"): 5,
    }  # fmt: skip
    assert all(row["class_name"] == CLASS_NAMES[int(row["label"])] for row in rows)
    assert all(bool(row["lesion_mask"]) == (row["label"] == "1") for row in rows)
    assert len({row["patient"] for row in rows}) == 40
    assert len({row["label"] for row in rows[:8]}) == 2  # mixed, not class after class


def test_masks_are_black_and_white_and_as_large_as_the_image(tmp_path):
    manifest = write_phantoms(tmp_path / "set", n=6, size=40, seed=3)
    for row in rows_of(manifest):
        for column in ("lung_mask", "lesion_mask"):
            if row[column]:
                mask = pixels(manifest, row, column)
                assert mask.shape == (40, 40)
                assert set(np.unique(mask)) == {0, 255}


@pytest.mark.parametrize("depth", [8, 16])
def test_files_have_the_given_depth(tmp_path, depth):
    manifest = write_phantoms(tmp_path / "set", n=4, size=64, seed=4, depth=depth)
    image = pixels(manifest, rows_of(manifest)[0])
    assert (image.max() > 255) == (depth == 16)


def test_the_letter_matches_the_label_as_often_as_given_and_is_random_in_the_test_split(tmp_path):
    manifest = write_phantoms(tmp_path / "set", n=40, size=256, seed=5, letter=0.9, test=0.5)
    agrees = Counter()
    for row in rows_of(manifest):
        letter = lettered(pixels(manifest, row))
        assert letter is not None, row
        agrees[row["split"], row["label"], letter == LETTERS[int(row["label"])]] += 1
    assert agrees == {
        ("train", "0", True): 9, ("train", "0", False): 1,
        ("train", "1", True): 9, ("train", "1", False): 1,
        ("test", "0", True): 5, ("test", "0", False): 5,
        ("test", "1", True): 5, ("test", "1", False): 5,
    }  # fmt: skip


def test_without_a_letter_the_corners_carry_none(tmp_path):
    manifest = write_phantoms(tmp_path / "set", n=20, size=256, seed=6)
    assert not any(lettered(pixels(manifest, row)) for row in rows_of(manifest))


def test_the_same_seed_writes_the_same_bytes_and_another_seed_others(tmp_path):
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        write_phantoms(tmp_path / name, n=6, size=48, seed=seed, letter=0.8)
    assert fingerprint(tmp_path / "a") == fingerprint(tmp_path / "b")
    assert fingerprint(tmp_path / "a") != fingerprint(tmp_path / "c")


def test_an_empty_folder_is_used_and_any_other_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    write_phantoms(tmp_path / "empty", n=4, size=32, seed=0)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty"):
        write_phantoms(tmp_path / "full", n=4, size=32, seed=0)
    assert [p.name for p in (tmp_path / "full").iterdir()] == ["thesis.txt"]


def test_a_folder_that_cannot_be_made_is_named_in_one_sentence(tmp_path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DataError, match="cannot be written to"):
        write_phantoms(tmp_path / "file" / "set", n=4, size=32, seed=0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": 3}, {"size": 31}, {"size": 5000}, {"seed": -1}, {"letter": 1.1},
        {"letter": float("nan")}, {"test": 1}, {"test": -0.1}, {"depth": 12},
        {"difficulty": 2},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused_before_anything_is_written(tmp_path, wrong):
    with pytest.raises(SettingsError, match=str(next(iter(wrong.values())))):
        write_phantoms(tmp_path / "set", **({"n": 8, "size": 32, "seed": 0} | wrong))
    assert not list(tmp_path.iterdir())
