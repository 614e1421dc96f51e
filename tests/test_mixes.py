"""The augmentations that the paper compares with."""

import pytest
import torch

from imil.training.mixes import mix

BATCH = torch.rand(8, 1, 224, 224) + 1
LABELS = torch.tensor([0, 1] * 4)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_cutout_blacks_out_one_square_of_50_pixels_in_each_image_of_224():
    # paper 3.3.3: 50×50
    images, labels = mix("cutout", 2)(BATCH, LABELS)
    assert labels is LABELS
    holes = images[:, 0] == 0
    assert (holes.sum(dim=(1, 2)) == 2500).all()
    for hole in holes:
        rows, cols = hole.any(dim=1).nonzero(), hole.any(dim=0).nonzero()
        assert rows.max() - rows.min() == 49
        assert cols.max() - cols.min() == 49
    assert len({tuple(hole.nonzero()[0].tolist()) for hole in holes}) > 1  # each its own
    assert (images[:, 0][~holes] == BATCH[:, 0][~holes]).all()


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
