"""The augmentations that the paper compares with."""

import pytest
import torch

from imil.training.samples.mixes import mix

BATCH = torch.rand(8, 1, 224, 224) + 1
LABELS = torch.tensor([0, 1] * 4)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_cutout_blacks_out_a_square_of_50_pixels_that_is_cut_off_at_the_border():
    # paper 3.3.3: 50×50; DeVries and Taylor 2017, 3.2: the centre anywhere
    batch = BATCH[:1].repeat(400, 1, 1, 1)
    labels = torch.zeros(400, dtype=torch.int64)
    images, same = mix("cutout", 2)(batch, labels)
    assert same is labels
    holes = images[:, 0] == 0
    cut = 0
    for hole in holes:
        spans = []
        for lines in (hole.any(dim=1), hole.any(dim=0)):
            first, last = lines.nonzero()[[0, -1], 0].tolist()
            inside = first > 0 and last < 223
            assert last - first + 1 == 50 if inside else 25 <= last - first + 1 <= 50
            spans.append(last - first + 1)
            cut += int(lines.sum()) < 50
        assert hole.sum() == spans[0] * spans[1]
    # a centre within 25 pixels of either border: 49 or 50 of 224 places cut the square
    assert cut / 800 == pytest.approx(49 / 224, abs=0.05)
    assert (images[:, 0][~holes] == batch[:, 0][~holes]).all()


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_targets_say_how_much_of_each_class_is_in_an_image(name):
    dark, bright = torch.zeros(1, 1, 64, 64), torch.ones(1, 1, 64, 64)
    images = torch.cat([dark, bright] * 4)
    mixed, targets = mix(name, 2)(images, LABELS)
    assert targets.shape == (8, 2)
    assert torch.allclose(targets.sum(dim=1), torch.ones(8))
    # a bright image is class 1, so the share of class 1 is the mean brightness
    assert torch.allclose(mixed.mean(dim=(1, 2, 3)), targets[:, 1], atol=1e-5)


def test_none_leaves_everything_as_it_was():
    images, labels = mix("none", 2)(BATCH, LABELS)
    assert images is BATCH
    assert labels is LABELS
