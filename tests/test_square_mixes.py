"""Mixes that leave the selected squares whole, and samples that are drawn more often."""

import pytest
import torch

from imil.cases import Correction
from imil.errors import SettingsError
from imil.grid import Grid
from imil.pytorch import CorrectedDataset
from imil.treatments import Batch, SquareCutMix, SquareMixUp, UpWeight

KEEP = torch.tensor([[[True, False], [False, False]], [[True, True], [True, True]]])
OWN = Batch(
    torch.tensor([[[[10, 20], [30, 40]]], [[[50, 60], [70, 80]]]], dtype=torch.uint8),
    torch.tensor([2, 1]),
    torch.arange(2),
    KEEP,
    classes=3,
)


def other(n):
    return Batch(torch.full((n, 1, 2, 2), 200, dtype=torch.uint8), torch.zeros(n).long(), None)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_cutmix_pastes_the_selected_squares_and_shares_the_label_by_area():
    batch = SquareCutMix().batch(OWN, other, generator())
    assert batch.images.tolist() == [[[[10, 200], [200, 200]]], [[[50, 60], [70, 80]]]]
    assert batch.labels.tolist() == [[0.75, 0, 0.25], [0, 1, 0]]
    assert batch.keep is KEEP


def test_mixup_mixes_outside_the_selected_squares_alone():
    images, labels = [], []
    rng = generator()
    for _ in range(300):
        batch = SquareMixUp().batch(OWN, other, rng)
        assert batch.images.dtype == torch.uint8
        assert batch.images[0, 0, 0, 0] == 10
        assert torch.equal(batch.images[1], OWN.images[1])
        assert batch.labels[1].tolist() == [0, 1, 0]
        images.append(batch.images[0, 0, 1, 1].item())
        labels.append(batch.labels[0].tolist())
    for pixel, (theirs, _, ours) in zip(images, labels, strict=True):
        part = (ours - 0.25) / 0.75  # of the image itself, outside
        assert theirs + ours == pytest.approx(1)
        assert pixel == pytest.approx(40 * part + 200 * (1 - part), abs=0.51)
    assert torch.tensor(labels)[:, 2].mean() == pytest.approx(0.25 + 0.75 / 2, abs=0.05)


@pytest.mark.parametrize("kind", [SquareCutMix, SquareMixUp])
def test_some_draws_are_not_mixed(kind):
    rng = generator()
    same = [
        torch.equal(kind(share=0.25).batch(OWN, other, rng).images, OWN.images) for _ in range(400)
    ]
    assert sum(same) / 400 == pytest.approx(0.75, abs=0.07)


@pytest.mark.parametrize("kind", [SquareCutMix, SquareMixUp])
def test_the_number_of_classes_must_be_known(kind):
    batch = Batch(OWN.images, OWN.labels, OWN.rows, KEEP)
    with pytest.raises(SettingsError, match="give the batch `classes`"):
        kind().batch(batch, other, generator())


class Flat:
    """Image i has the value 10 + i everywhere; even ones are of class 0."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        return torch.full((1, 2, 2), 10 + i, dtype=torch.uint8), i % 2


def test_a_data_set_gives_shares_of_the_classes_for_every_sample():
    samples = CorrectedDataset(Flat(), labels=[0, 1] * 3, treatment=SquareCutMix())
    samples.correct(1, Correction(Grid(2, 2), (1, 2, 3)))
    image, label = samples[0]
    assert (label.tolist(), label.dtype) == ([1, 0], torch.float32)
    image, label = samples[1]
    value = round(image[0, 1, 1].item() * 255) - 10
    assert label.tolist() == ([0.25, 0.75] if value % 2 == 0 else [0, 1])


def test_up_weighting_leaves_images_as_they_are():
    samples = CorrectedDataset(Flat(), labels=[0, 1] * 3, treatment=UpWeight(times=4))
    samples.correct(1, Correction(Grid(2, 2), (1,)))
    assert (samples[1][0] * 255 == 11).all()
    assert samples.weights().tolist() == [1, 4, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SquareMixUp(alpha=0), r"invalid alpha 0: expected a number from 0\.01 to 100"),
        (lambda: SquareCutMix(share=1.1), r"invalid share 1\.1"),
        (lambda: UpWeight(times=0), "invalid times 0: expected a whole number from 1 to 100"),
    ],
)
def test_an_option_out_of_range_is_refused(make, message):
    with pytest.raises(SettingsError, match=message):
        make()
