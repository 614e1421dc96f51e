"""The table of corrections: what a worker draws is what a round decided."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from slow_params import slow
from torch.utils.data import DataLoader

from imil.cases import Correction
from imil.errors import DataError, SquareError
from imil.grid import Grid
from imil.pytorch import CorrectedDataset, Corrections

HALF = Correction(Grid(1, 2), (2,))  # the right half


class Ones:
    def __len__(self):
        return 6

    def __getitem__(self, i):
        return np.ones((4, 4), np.uint8), 0


def one_sample(image):
    """A training set of this image alone, drawn as it is."""
    return CorrectedDataset(
        [(image, 0)], transform=lambda raw: raw, view=lambda raw: raw, labels=[0], keys=["a"]
    )


@pytest.mark.parametrize("context", ["fork", *slow("spawn")])
@pytest.mark.process
def test_workers_that_live_on_see_a_correction_in_the_next_epoch(context):
    samples = CorrectedDataset(Ones(), keys="abcdef")
    loader = DataLoader(
        samples, 2, num_workers=2, persistent_workers=True, multiprocessing_context=context
    )
    before = torch.cat([images for images, _ in loader]) * 255
    workers = [worker.pid for worker in loader._iterator._workers]
    samples.correct(3, HALF)
    after = torch.cat([images for images, _ in loader]) * 255
    samples.correct(3, None)
    restored = torch.cat([images for images, _ in loader]) * 255
    assert [worker.pid for worker in loader._iterator._workers] == workers
    del loader
    assert (before == 1).all()
    assert (after[3, 0] == torch.tensor([[0.0, 0, 1, 1]] * 4)).all()
    assert (after[[0, 1, 2, 4, 5]] == 1).all()
    assert (restored == 1).all()


@given(st.integers(1, 64), st.integers(1, 64), st.data())
def test_what_is_kept_comes_back_for_any_grid(rows, cols, data):
    grid = Grid(rows, cols)
    squares = data.draw(st.sets(st.integers(1, grid.squares), min_size=1))
    kept = Correction(grid, tuple(sorted(squares)))
    table = Corrections(2)
    table.set(1, kept)
    assert table.get(1) == kept
    assert table.get(0) is None


@pytest.mark.parametrize(
    "image",
    [
        np.full((4, 6), 9, np.uint8),
        np.full((4, 6, 3), 60_000, np.uint16),
        np.full((4, 6), 9, ">u2"),
        torch.full((1, 4, 6), 9, dtype=torch.uint8),
        torch.full((3, 4, 6), 0.5),
        torch.full((4, 6), 9),
        Image.new("L", (6, 4), 9),
        Image.new("RGB", (6, 4), (9, 9, 9)),
    ],
    ids=lambda image: f"{type(image).__name__}-{getattr(image, 'shape', None) or image.mode}",
)
def test_every_kind_of_raw_image_keeps_its_kind(image):
    samples = one_sample(image)
    assert samples[0][0] is image
    samples.correct(0, HALF)
    out = samples[0][0]
    assert type(out) is (type(image) if not isinstance(image, Image.Image) else Image.Image)
    values, originals = np.asarray(out), np.asarray(image)
    assert values.shape == originals.shape
    assert values.dtype == originals.dtype
    if isinstance(image, torch.Tensor) and image.ndim == 3:
        values, originals = values.transpose(1, 2, 0), originals.transpose(1, 2, 0)
    assert (values[:, :3] == 0).all()
    assert (values[:, 3:] == originals[:, 3:]).all()


@pytest.mark.parametrize("mode", ["P", "PA", "CMYK", "YCbCr", "HSV", "RGBA", "LA", "1"])
def test_unselected_squares_are_black_in_every_colour_model(mode):
    colours = Image.new("RGB", (6, 4), (200, 90, 30))
    if mode in ("P", "PA"):  # without black, and with white at 0
        image = Image.new("P", (6, 4), 1)
        image.putpalette([255, 255, 255, 200, 90, 30])
        image = image.convert(mode)
    else:
        image = colours.convert(mode)
    samples = one_sample(image)
    samples.correct(0, HALF)
    out = samples[0][0]
    assert out.mode == ("RGB" if mode in ("P", "PA") else mode)
    seen, before = (np.asarray(one.convert("RGB")) for one in (out, image))
    assert (seen[:, :3] == 0).all()
    assert (seen[:, 3:] == before[:, 3:]).all()
    if mode not in ("P", "PA"):
        assert (np.asarray(out)[:, 3:] == np.asarray(image)[:, 3:]).all()


def test_a_batch_has_a_mask_only_where_a_sample_of_it_is_corrected():
    table = Corrections(5)
    table.set(2, HALF)
    keep = table.keep(np.array([4, 2, 0]), 2, 4)
    assert keep.tolist() == [
        [[True] * 4] * 2,
        [[False, False, True, True]] * 2,
        [[True] * 4] * 2,
    ]
    assert table.keep(np.array([4, 0]), 2, 4) is None
    assert table.is_corrected(np.array([4, 2])).tolist() == [False, True]


def test_masks_of_a_batch_are_those_of_each_sample_whatever_its_grid():
    soft = Correction(Grid(2, 2), (1, 2), (0.25, 1.0, 0.0, 0.0))
    given = [HALF, FINE, None, COARSE, soft, Correction(Grid(2, 2), (4,))]
    table = Corrections(len(given))
    for i, correction in enumerate(given):
        table.set(i, correction)
    rows = np.array([5, 1, 4, 2, 0, 3, 1])
    keep = table.keep(rows, 24, 36)
    assert keep.dtype == np.float32
    for row, mask in zip(rows, keep, strict=True):
        correction = given[row]
        expected = np.ones((24, 36))
        if correction is not None:
            shares = np.zeros(correction.grid.squares)
            shares[np.array(correction.squares) - 1] = 1
            shares = np.array(correction.shares or shares)
            expected = shares[correction.grid.labels(24, 36) - 1]
        assert np.abs(mask - expected).max() < 1e-4
    assert table.keep(rows[[0, 1, 3, 4, 5]], 24, 36).dtype == bool


def test_correction_comes_before_the_transform():
    samples = CorrectedDataset(
        Ones(),
        transform=lambda image: torch.from_numpy(image[None].astype(np.float32) - 0.5),
        view=lambda image: torch.from_numpy(image[None].astype(np.float32)),
        keys="abcdef",
    )
    samples.correct(0, HALF)
    assert samples[0][0][0, 0].tolist() == [-0.5, -0.5, 0.5, 0.5]  # black, then normalised
    assert (samples.view(0) == 1).all()  # the original
    assert (samples.image(0) == 1).all()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"keys": "abc"}, "3 keys"),
        ({"keys": "abcdea"}, "the key 'a' names more than one sample"),
        ({"labels": [0, 1]}, "2 labels"),
        ({"labels": [0, 1, 2, 0, 0, 0], "class_names": ["a", "b"]}, "label 2 is out of range"),
        ({"labels": [0.7, 0, 0, 0, 0, 0]}, "not one whole number"),
        ({"labels": [float("nan"), 0, 0, 0, 0, 0]}, "not one whole number"),
        ({"labels": ["TB", "TB", "TB", "TB", "TB", "TB"]}, "not one whole number"),
        ({"labels": np.eye(6)}, "not one whole number"),
        ({"labels": torch.eye(6)}, "not one whole number"),
        ({"transform": np.asarray}, "give `view` too"),
    ],
)
def test_a_training_set_that_does_not_fit_is_refused(more, message):
    with pytest.raises(DataError, match=message):
        CorrectedDataset(Ones(), **more)


@pytest.mark.parametrize(
    "labels", [torch.arange(6), [torch.tensor(i) for i in range(6)], np.arange(6.0), range(6)]
)
def test_whole_numbers_of_any_kind_are_labels(labels):
    assert CorrectedDataset(Ones(), labels=labels).labels.tolist() == [0, 1, 2, 3, 4, 5]


def looked_at(raw):
    class One(Ones):
        def __getitem__(self, i):
            return raw, 0

    return CorrectedDataset(One(), keys="abcdef").image(0)


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"])
def test_a_reader_is_shown_what_any_kind_of_image_looks_like(mode):
    grey = Image.fromarray(np.repeat([[0, 255]], 4, axis=1).astype(np.uint8))
    seen = looked_at(grey.convert(mode))
    assert seen.shape in ((1, 8), (1, 8, 3))
    assert seen.dtype in (np.uint8, np.uint16)
    dark, light = seen[0, :4], seen[0, 4:]
    assert (dark < 4).all()
    assert (light > 250).all()


@pytest.mark.parametrize("shape", [(3, 16, 16), (16, 16, 2), (16, 16, 4), (2, 16, 16, 3)])
def test_an_array_that_is_not_an_image_is_refused(shape):
    with pytest.raises(DataError, match=r"shape .* cannot be shown: give \(H, W\)"):
        looked_at(np.zeros(shape, np.uint8))


def test_labels_names_and_keys_are_taken_from_the_data_set_where_it_has_them():
    class Folder(Ones):
        def __getitem__(self, i):
            return super().__getitem__(i)[0], i % 2

        targets = (0, 1, 0, 1, 0, 1)
        classes = ("normal", "TB")
        samples = tuple((f"{i}.png", i % 2) for i in range(6))

    samples = CorrectedDataset(Folder())
    assert samples.labels.tolist() == [0, 1, 0, 1, 0, 1]
    assert samples.class_names == ("normal", "TB")
    assert samples.key(3) == "3.png"


def test_labels_are_those_of_the_items_where_targets_are_transformed():
    class Transformed(Ones):
        targets = (0, 1, 2, 0, 1, 2)  # as in torchvision, before target_transform
        classes = ("normal", "TB")

        def __getitem__(self, i):
            return super().__getitem__(i)[0], min(self.targets[i], 1)  # two kinds of TB

    samples = CorrectedDataset(Transformed())
    assert samples.labels.tolist() == [0, 1, 1, 0, 1, 1]
    assert [samples[i][1] for i in range(6)] == [0, 1, 1, 0, 1, 1]


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"image": 1, "label": 0}, "a dictionary of 'image', 'label'"),
        ((np.ones((4, 4)), 0, 7), "a tuple of 3"),
        (np.ones((4, 4)), "a ndarray"),
    ],
)
def test_items_that_are_no_pairs_are_refused_in_a_sentence(item, message):
    with pytest.raises(DataError, match=f"item 0 of the data set is {message}: give .*pairs"):
        CorrectedDataset([item])
    with pytest.raises(DataError, match=message):
        CorrectedDataset([item], labels=[0]).view(0)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 16, 20), np.uint8), "channels first: give arrays"),
        (torch.zeros(16, 20, 1), "channels last: give tensors"),
    ],
)
def test_images_whose_axes_are_in_another_order_are_refused(image, message):
    samples = CorrectedDataset([(image, 0)], view=torch.as_tensor)
    with pytest.raises(DataError, match=message):
        samples.view(0)
    with pytest.raises(DataError, match=message):
        samples[0]


@pytest.mark.process
def test_where_there_is_no_shared_memory_forked_workers_see_corrections_too(monkeypatch, caplog):
    def refuse(_tensor):
        raise RuntimeError("unable to open shared memory object: Read-only file system (30)")

    with monkeypatch.context() as patch, caplog.at_level("INFO", "imil"):
        patch.setattr(torch.Tensor, "share_memory_", refuse)
        samples = CorrectedDataset(Ones(), keys="abcdef")
        CorrectedDataset([], keys=[])
    assert "Shared memory cannot be used (unable to open" in caplog.text
    loader = DataLoader(
        samples, 2, num_workers=1, persistent_workers=True, multiprocessing_context="fork"
    )
    before = torch.cat([images for images, _ in loader]) * 255
    samples.correct(3, HALF)
    after = torch.cat([images for images, _ in loader]) * 255
    del loader
    assert (before == 1).all()
    assert after[3, 0, 0].tolist() == [0, 0, 1, 1]


FINE, COARSE = Correction(Grid(64, 64), (1, 113, 4096)), Correction(Grid(8, 14), (1, 112))


def test_grids_of_any_size_are_kept_and_given_to_another_process():
    mine, other = Corrections(6), Corrections(6)
    other.set(0, FINE)
    for i, correction in ((1, COARSE), (2, FINE), (3, COARSE), (4, FINE), (3, FINE), (2, None)):
        mine.set(i, correction)
    mine.set(4, COARSE)
    other.load_state_dict(mine.state_dict())
    for one in (mine, other):
        assert [one.get(i) for i in range(6)] == [None, COARSE, None, FINE, COARSE, None]
        assert one.positions() == [1, 3, 4]
    other.set(5, FINE)  # beside what was given
    assert (other.get(3), other.get(5)) == (FINE, FINE)
    other.load_state_dict(Corrections(6).state_dict())
    assert other.positions() == []


def test_fine_grids_in_too_many_samples_are_refused(monkeypatch):
    monkeypatch.setattr("imil.pytorch.corrections._MOST_LONG", 1)
    corrections = Corrections(3)
    corrections.set(0, FINE)
    corrections.set(1, COARSE)
    with pytest.raises(
        SquareError, match="on grids of more than 112 squares, and 64×64 is the next"
    ):
        corrections.set(2, FINE)
    assert corrections.get(0) == FINE
    assert corrections.positions() == [0, 1]
