"""Flips and crops of a batch: each image by itself, and nothing but moved."""

import pytest
import torch

from imil.training.samples.augment import augment, crop, flip

SIDE = 16
IMAGES = torch.arange(1, 1 + 200 * 2 * SIDE * SIDE).view(200, 2, SIDE, SIDE)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_half_of_the_images_are_mirrored():
    flipped, keep = flip(IMAGES)
    assert keep is None
    mirrored = [torch.equal(now, was.flip(-1)) for now, was in zip(flipped, IMAGES, strict=True)]
    same = [torch.equal(now, was) for now, was in zip(flipped, IMAGES, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert sum(mirrored) == pytest.approx(100, abs=25)


def test_a_crop_moves_each_image_by_up_to_an_eighth_and_lets_black_in():
    seen = set()
    for now, was in zip(crop(IMAGES)[0], IMAGES, strict=True):
        kept = (now[0] > 0).nonzero()
        top, left = kept[0].tolist()
        # where a pixel that is still there came from
        row, col = (was[0] == now[0, top, left]).nonzero()[0].tolist()
        down, right = top - row, left - col
        expected = torch.zeros_like(was)
        expected[:, max(0, down) : SIDE + min(0, down), max(0, right) : SIDE + min(0, right)] = was[
            :, max(0, -down) : SIDE - max(0, down), max(0, -right) : SIDE - max(0, right)
        ]
        assert torch.equal(now, expected)
        seen.add((down, right))
    assert {down for down, _ in seen} == {right for _, right in seen} == set(range(-2, 3))


def test_changes_come_one_after_the_other_and_depend_on_the_seed_alone():
    both = augment(("flip", "crop"))
    torch.manual_seed(1)
    first, _ = both(IMAGES, None)
    torch.manual_seed(1)
    assert torch.equal(first, crop(flip(IMAGES)[0])[0])
    assert augment(())(IMAGES, None)[0] is IMAGES
    assert first.dtype == IMAGES.dtype
    assert first.shape == IMAGES.shape


@pytest.mark.parametrize("change", [flip, crop])
def test_the_mask_moves_with_its_image_and_the_border_counts_as_kept(change):
    keep = torch.rand(200, SIDE, SIDE) < 0.5
    images = keep[:, None].to(torch.uint8) + 1  # 2 where it is kept, 1 where it is not
    torch.manual_seed(2)
    moved, moved_keep = change(images, keep)
    assert moved_keep.dtype == torch.bool
    assert torch.equal(moved_keep, moved[:, 0] != 1)  # what comes in over the border is 0
    torch.manual_seed(2)
    assert torch.equal(change(images, None)[0], moved), "random numbers do not depend on the mask"
