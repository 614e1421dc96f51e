"""Shares of readers reach training as how far image and cover are blended; flagged images leave."""

import warnings

import numpy as np
import pytest
import torch
from test_web_reader import WrongModel
from torch.utils.data import DataLoader, WeightedRandomSampler

from imil.cases import Correction, Reading, RoundSettings
from imil.errors import SettingsError
from imil.grid import Grid
from imil.pytorch import IMIL, CorrectedDataset, Corrections
from imil.reader_panel import ReaderPanel
from imil.rounds import restore, run_round
from imil.store import Store
from imil.training.classifier import EpochOrder
from imil.treatments import Batch, Cover, FieldOfView, GradientLoss, SquareMixUp, UpWeight

GRID = Grid(1, 4)
SOFT = Correction(GRID, (2, 3, 4), (0.0, 0.25, 0.5, 1.0))


def films(n=3, size=8):
    return [(np.full((size, size), 200, np.uint8), i % 2) for i in range(n)]


def drawn(treatment, correction=SOFT):
    samples = CorrectedDataset(films(), treatment=treatment)
    samples.correct(0, correction)
    return (samples[0][0] * 255).round().int()[0, 0].tolist()


def no_other(n):
    raise AssertionError("nothing is drawn")


def test_each_square_of_a_covered_image_stays_by_the_share_of_its_readers():
    assert drawn(Cover()) == [0, 0, 50, 50, 100, 100, 200, 200]


def test_other_fills_are_blended_by_the_same_shares():
    # the mean of the kept pixels of a flat image is the image
    assert drawn(Cover(fill="mean")) == [200] * 8
    # imputed from the squares that all readers keep
    assert drawn(Cover(fill="linear"))[6:] == [200, 200]
    assert all(190 <= value <= 210 for value in drawn(Cover(fill="linear")))


def test_shares_of_0_and_1_do_what_squares_do():
    squares = Correction(GRID, (2, 4))
    shares = Correction(GRID, (2, 4), (0.0, 1.0, 0.0, 1.0))
    assert drawn(Cover(), shares) == drawn(Cover(), squares)


def test_shares_come_back_and_are_replaced_by_squares():
    table = Corrections(2)
    table.set(1, SOFT)
    kept = table.get(1)
    assert (kept.grid, kept.squares) == (GRID, (2, 3, 4))
    assert kept.shares == pytest.approx(SOFT.shares, abs=1e-5)
    mask = table.keep(np.array([0, 1]), 2, 4)
    assert mask.dtype == np.float32
    assert mask[0].tolist() == [[1] * 4] * 2
    assert mask[1] == pytest.approx(np.array([SOFT.shares] * 2), abs=1e-5)
    table.set(1, Correction(GRID, (2,)))
    assert table.get(1) == Correction(GRID, (2,))
    assert table.keep(np.array([1]), 2, 4).dtype == bool


def test_shares_of_a_grid_that_is_too_fine_are_refused():
    grid = Grid(17, 16)
    with pytest.raises(SettingsError, match="at most 256"):
        Corrections(1).set(0, Correction(grid, (1,), (1.0,) * grid.squares))


def test_a_batch_knows_which_images_are_kept_in_part():
    keep = torch.ones(2, 2, 2)
    keep[1, 0, 0] = 0.5
    batch = Batch(torch.zeros(2, 1, 2, 2), torch.zeros(2), torch.arange(2), keep)
    assert batch.corrected().tolist() == [False, True]


def test_the_mask_of_a_sample_is_where_the_image_stays_wholly():
    samples = CorrectedDataset(films(), return_keep=True)
    samples.correct(0, SOFT)
    mask = samples[0][3]
    assert mask.dtype == torch.bool
    assert mask[0].tolist() == [False] * 6 + [True] * 2


def imil(treatment, folder, **settings):
    samples = CorrectedDataset(films(), treatment=treatment)
    panel = ReaderPanel(fusion="soft")
    return IMIL(
        samples,
        torch.nn.Flatten(),
        lambda cases: iter(()),
        store=folder / "imil.sqlite",
        panel=panel,
        **settings,
    )


@pytest.mark.parametrize(
    "treatment",
    [FieldOfView(), GradientLoss(), Cover(squares="random")],
    ids=lambda one: str(one)[:9],
)
def test_a_treatment_that_needs_squares_is_refused_with_soft_before_training(treatment, tmp_path):
    with pytest.raises(SettingsError, match="needs squares that are selected or not, and the fus"):
        imil(treatment, tmp_path)


@pytest.mark.parametrize("treatment", [Cover(), UpWeight(), SquareMixUp()], ids=str)
def test_a_treatment_that_takes_shares_is_not_refused(treatment, tmp_path):
    assert imil(treatment, tmp_path).settings.panel.fusion == "soft"


def test_a_fine_grid_is_refused_with_soft_before_training(tmp_path):
    with pytest.raises(SettingsError, match="at most 256"):
        imil(Cover(), tmp_path, grid_size="32x32")


# --- verdicts on the image ----------------------------------------------------------------


class Removable:
    """Samples of which some are taken out of training."""

    def __init__(self, n=4):
        self.n, self.kept, self.gone = n, {}, []
        self.labels = np.ones(n, np.int64)
        self.class_names = ("normal", "TB")

    def __len__(self):
        return self.n

    def key(self, i):
        return f"film-{i}"

    def image(self, i):
        return np.full((8, 8), i, np.uint8)

    def correct(self, i, kept):
        self.kept[i] = kept

    def corrected(self, i):
        return self.kept.get(i)

    def remove(self, i):
        self.gone.append(i)


def answers(*verdicts):
    """A reader for each verdict, who gives it to the first case and selects a square elsewhere."""

    def ask(cases):
        for case in cases:
            for i, verdict in enumerate(verdicts):
                given = verdict if case.number == 1 else "focus"
                yield Reading(case.id, f"reader {i}", given, (1,) if given == "focus" else ())

    return ask


def hold(store, ask, samples, epoch, flagged, said):
    return run_round(
        WrongModel(),
        samples,
        ask,
        store,
        run="films",
        epoch=epoch,
        settings=RoundSettings(num_outliers=2, panel=ReaderPanel(flagged=flagged)),
        say=said.append,
    )


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "imil.sqlite")
    made.add_run("films", class_names=["normal", "TB"], settings={}, versions={})
    yield made
    made.close()


MAJORITY = ("wrong label", "wrong label", "focus")


def test_what_most_readers_flag_leaves_training_and_is_not_asked_again(store):
    samples, said = Removable(), []
    hold(store, answers(*MAJORITY), samples, 1, "remove", said)
    (first, second) = store.cases("films@1")
    assert [samples.key(i) for i in samples.gone] == [first.key]
    assert [samples.key(i) for i in samples.kept] == [second.key]
    assert "Taken out of training from the next epoch on: case 1 (wrong label)." in said
    hold(store, answers("focus"), samples, 2, "remove", said)
    assert first.key not in [case.key for case in store.cases("films@2")]
    assert len(store.cases("films@2")) == 2, "another image takes its place"
    again = Removable()
    restore(again, store, run="films", epoch=2)
    assert [again.key(i) for i in again.gone] == [first.key]


@pytest.mark.parametrize(
    ("verdicts", "flagged"), [(MAJORITY, "leave"), (("wrong label", "focus", "focus"), "remove")]
)
def test_otherwise_it_stays(store, verdicts, flagged):
    samples = Removable()
    hold(store, answers(*verdicts), samples, 1, flagged, [])
    assert samples.gone == []


def test_a_removed_sample_has_no_weight_and_is_never_drawn():
    samples = CorrectedDataset(films(5), treatment=UpWeight(times=3))
    samples.correct(1, Correction(GRID, (1,)))
    samples.remove(1)
    samples.remove(3)
    assert samples.weights().tolist() == [1, 0, 1, 0, 1]
    sampler = WeightedRandomSampler(samples.weights(), 50)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sum(len(labels) for _, labels in DataLoader(samples, 10, sampler=sampler)) == 50
    with pytest.warns(UserWarning, match="was taken out of training by the readers"):
        samples[3]


def test_an_epoch_is_shorter_by_the_images_that_left_training():
    order = EpochOrder(6, seed=1)
    before = list(order)
    order.remove([])
    assert list(order) == before
    order.remove([2, 4])
    assert sorted(order) == [0, 1, 3, 5]
    assert len(order) == 4
    order.oversample([0, 2], 3)
    assert len(list(order)) == 4
    assert not {2, 4} & set(order)
    with pytest.raises(SettingsError, match="at least 2 must be left"):
        order.remove([0, 1, 2, 3, 4])
