"""The choices of cases in `imil train`: what they need is there, or they are refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from imil.choices import CHOICES, choice, needs
from imil.data.table import read_data
from imil.errors import DataError, SettingsError
from imil.images.load import load_mask
from imil.phantom.dataset import write_phantoms
from imil.round_options import CHOICE_NAMES
from imil.rounds import MADE_HERE
from imil.settings import resolve
from imil.training.epoch_predictions import EpochPredictions, epochs_needed
from imil.training.run_choice import LungMasks, check_choice, lung_files, run_providers


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "films"
    return read_data(write_phantoms(folder, n=8, size=32, seed=0))


def settings(**more):
    return resolve({"data": "films.csv", **more})


def logits(*wanted):
    """Logits of two classes whose softmax gives these probabilities of the second."""
    p = torch.tensor(wanted)
    return torch.stack([(1 - p).log(), p.log()], dim=1)


@pytest.mark.parametrize("name", CHOICES)
def test_a_run_gives_each_choice_what_it_needs(name, table):
    epochs = EpochPredictions(8, 2, 5)
    providers = run_providers(settings(), table, range(8), None, None, epochs)
    assert {*needs(choice(name))} <= {*providers, *MADE_HERE}


def test_each_epoch_keeps_the_probabilities_of_its_steps():
    epochs = EpochPredictions(3, 2, last=5)
    epochs.add(torch.tensor([2, 0]), logits(0.7, 0.2))
    epochs.end_epoch()
    epochs.add(torch.tensor([1]), logits(0.9))
    epochs.add(torch.tensor([0, 0]), logits(0.3, 0.4))  # drawn twice: the last one counts
    epochs.end_epoch()
    # an image that was left out: 1/2 at first, then as in the epoch before
    expected = [[0.2, 0.5, 0.7], [0.4, 0.9, 0.7]]
    np.testing.assert_allclose(epochs.history()[:, :, 1], expected, rtol=1e-6)
    np.testing.assert_allclose(epochs.history().sum(axis=2), 1, rtol=1e-6)


def test_no_epoch_after_the_last_is_kept():
    epochs = EpochPredictions(1, 2, last=2)
    for probability in (0.1, 0.2, 0.3):
        epochs.add(torch.tensor([0]), logits(probability))
        epochs.end_epoch()
    np.testing.assert_allclose(epochs.history()[:, 0, 1], [0.1, 0.2], rtol=1e-6)


def test_epochs_go_into_a_checkpoint_and_come_back(tmp_path):
    epochs, again = EpochPredictions(1, 2, last=3), EpochPredictions(1, 2, last=3)
    epochs.add(torch.tensor([0]), logits(0.1))
    epochs.end_epoch()
    torch.save(epochs.state_dict(), tmp_path / "state")
    again.load_state_dict(torch.load(tmp_path / "state", weights_only=True), 1)
    assert (again.history() == epochs.history()).all()


def test_a_checkpoint_without_the_epochs_is_refused():
    with pytest.raises(DataError, match="after epoch 4 has the predictions of 0 epochs"):
        EpochPredictions(1, 2, last=3).load_state_dict(None, 4)


def test_early_mistakes_need_five_epochs_alone():
    assert epochs_needed("early_mistakes", 70) == 5
    assert epochs_needed("early_mistakes", 3) == 3
    assert epochs_needed("moving_average", 70) == 70


def test_lung_masks_are_those_of_the_first_column_named_so(table):
    rows = [1, 5]
    files = lung_files(table, rows)
    assert files == {0: table.masks["lung_mask"][1], 1: table.masks["lung_mask"][5]}
    masks = LungMasks(files)
    assert (masks[1] == load_mask(table.masks["lung_mask"][5])).all()
    assert sorted(masks) == [0, 1]
    some = replace(table, masks={"Lungs": (None, Path("a.png"), *[None] * 6)})
    assert lung_files(some, rows) == {0: Path("a.png")}


@pytest.mark.parametrize("name", CHOICE_NAMES)
def test_a_table_with_everything_is_accepted(name, table):
    check_choice(settings(choice=name), table, range(8))


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("off_lung", {"masks": {}}, "no training image has one: .* of now none at all"),
        ("off_lung", {"masks": {"lung_mask": (None,) * 8}}, "no training image has one"),
        ("auto", {"labels": np.zeros(8, int)}, "all training samples are of class 'normal'"),
        ("class_balanced", {"labels": np.zeros(8, int)}, "all training samples are of class"),
        ("likely_label_errors", {"patients": ("p",) * 8}, "all training images are of 'p'"),
    ],
)
def test_a_choice_that_needs_what_is_not_there_is_refused(name, changes, message, table):
    with pytest.raises(SettingsError, match=message):
        check_choice(settings(choice=name), replace(table, **changes), range(8))


@pytest.mark.parametrize("name", ["moving_average", "early_mistakes"])
def test_a_history_of_mixed_images_is_refused(name, table):
    with pytest.raises(SettingsError, match="--mix mixup mixes them"):
        check_choice(settings(choice=name, mix="mixup"), table, range(8))
    check_choice(settings(choice=name, mix="cutout"), table, range(8))


def test_an_unknown_choice_is_refused():
    with pytest.raises(SettingsError, match="unknown choice of cases 'clever': expected one of"):
        settings(choice="clever")
