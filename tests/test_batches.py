"""The training set in memory gives what a DataLoader gives, pixel for pixel, and no copy more."""

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from imil.cases import Correction
from imil.grid import Grid
from imil.pytorch import CorrectedDataset
from imil.training.classifier import EpochOrder
from imil.training.samples import batches
from imil.training.samples.augment import augment
from imil.training.samples.batches import Batches
from imil.training.samples.mixes import mix
from imil.training.samples.prepared_data import Pixels, to_pixels
from imil.treatments import TREATMENTS

DEVICE = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
ROWS = np.array([0, 2, 3, 5, 6, 7, 9, 11, 12, 13, 14])  # of 15 images, these are trained on
SIZE = 4  # images in a batch
FIRST, SECOND = Correction(Grid(2, 2), (1, 4)), Correction(Grid(1, 4), (2,))


def never(line):
    raise AssertionError(line)


def make(path, channels, rows=ROWS):
    """Samples over a mapped file of images, and their order."""
    shape = (15, 8, 8) if channels == 1 else (15, 8, 8, channels)
    np.save(path, np.random.default_rng(0).integers(1, 256, shape, np.uint8))
    pixels = np.load(path, mmap_mode="r")
    labels = np.arange(len(rows)) % 3
    samples = CorrectedDataset(
        Pixels(pixels, rows, labels),
        transform=to_pixels,
        view=to_pixels,
        labels=labels,
        class_names="abc",
        keys=[f"film {row}" for row in rows],
    )
    return samples, EpochOrder(len(rows), seed=0)


def make_batches(samples, order, warn, device=DEVICE):
    return Batches(samples.dataset, samples.corrections, order, SIZE, device, warn)


def treated(batch):
    """The pixels of a batch as they are trained on."""
    return TREATMENTS["imil"]().batch(batch, None, None).images


@pytest.fixture
def free(monkeypatch):
    """Says how many bytes are free: of the device's own memory, also of a CPU, and of here."""

    def is_free(device, here=0):
        monkeypatch.setattr(batches, "free_memory", lambda _device: device)
        monkeypatch.setattr(batches.host_memory, "free", lambda: here)

    return is_free


@pytest.fixture
def lie(free, monkeypatch):
    """Has images lie on the device, where a GPU would read them by itself, or in the file."""

    def place(where):
        free(*{"device": (10**9,), "pinned": (0, 10**9), "file": (None,)}[where])
        monkeypatch.setattr(batches, "BLOCK", 3 * 64)  # of eleven images, the last is not full
        if DEVICE.type == "cpu":
            monkeypatch.setattr(torch.Tensor, "pin_memory", torch.Tensor.clone)

    return place


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("where", ["device", "pinned", "file"])
def test_every_epoch_is_a_data_loaders_whatever_rounds_do(tmp_path, lie, channels, where):
    samples, order = make(tmp_path / "films.npy", channels)
    lie(where)
    ours = make_batches(samples, order, lambda _line: None)
    loader = DataLoader(samples, SIZE, sampler=order)
    rounds = [{0: SECOND, 3: FIRST}, {}, {0: FIRST, 7: FIRST}, {7: SECOND, 10: FIRST}]
    rounds += [{0: None, 7: None}, {}]
    for epoch, corrected in enumerate(rounds):
        for i, kept in corrected.items():
            samples.correct(i, kept)
        order.set_epoch(epoch)
        for batch, (theirs, their_labels) in zip(ours, loader, strict=True):
            assert batch.images.device == DEVICE
            assert batch.images.dtype == torch.uint8
            assert torch.equal(treated(batch).cpu(), theirs)
            assert torch.equal(batch.labels.cpu(), their_labels)
            corrected = [samples.corrected(i) is not None for i in batch.rows.tolist()]
            assert (batch.keep is not None) == any(corrected)
        assert (ours._on_device is not None) is (where == "device" and epoch > 0)
        assert bool(ours._pinned) is (where == "pinned" and epoch > 0)


@pytest.mark.parametrize("where", ["device", "pinned", "file"])
def test_the_file_of_decoded_images_is_never_written_to(tmp_path, lie, where):
    samples, order = make(tmp_path / "films.npy", 1)
    lie(where)
    before = (tmp_path / "films.npy").read_bytes()
    samples.correct(3, FIRST)
    ours = make_batches(samples, order, lambda _line: None)
    for _ in range(2):
        drawn = torch.cat([treated(batch) for batch in ours])
    assert (drawn == 0).any()
    assert (tmp_path / "films.npy").read_bytes() == before
    assert torch.equal(samples.view(3), to_pixels(samples.dataset[3][0])), "originals stay"


def test_a_file_of_any_size_can_be_trained_from(tmp_path):
    """To map it for writing, the system would want as much memory as the file is long."""
    images = 10**9  # 64 GB that take no room
    with (tmp_path / "films.npy").open("wb") as file:
        head = {"descr": "|u1", "fortran_order": False, "shape": (images, 8, 8)}
        np.lib.format.write_array_header_1_0(file, head)
        file.truncate(file.tell() + 64 * images)
    rows = np.linspace(0, images - 1, 8, dtype=np.intp)
    pixels = Pixels(np.load(tmp_path / "films.npy", mmap_mode="r"), rows, np.zeros(8, np.int64))
    samples = CorrectedDataset(
        pixels, transform=to_pixels, view=to_pixels, labels=pixels.labels, class_names="ab"
    )
    ours = make_batches(samples, EpochOrder(8, 0), lambda _line: None, torch.device("cpu"))
    samples.correct(5, FIRST)
    assert sum(len(batch.labels) for batch in ours) == 8


@pytest.mark.parametrize(("n", "sizes"), [(11, [4, 4, 3]), (9, [4, 4]), (8, [4, 4])])
def test_a_last_batch_of_one_is_left_out(tmp_path, n, sizes):
    samples, order = make(tmp_path / "films.npy", 1, ROWS[:n])
    ours = make_batches(samples, order, never)
    assert [len(batch.labels) for batch in ours] == sizes
    assert len(ours) == len(sizes)


def drawn_twice(ours):
    """The batches of the second epoch, after the first."""
    list(ours)
    return list(ours)


@pytest.mark.parametrize("where", ["device", "pinned"])
def test_batches_drawn_after_a_release_are_still_corrected(tmp_path, lie, where):
    samples, order = make(tmp_path / "films.npy", 1)
    lie(where)
    samples.correct(3, FIRST)
    ours = make_batches(samples, order, lambda _line: None)
    before = torch.cat([treated(batch) for batch in drawn_twice(ours)])
    ours.release()
    assert torch.equal(torch.cat([treated(batch) for batch in ours]), before)
    assert ours._on_device is None
    assert not ours._pinned


def test_images_that_do_not_fit_on_the_gpu_stay_outside_with_a_warning(tmp_path, free):
    samples, order = make(tmp_path / "films.npy", 1)
    free(2 * 11 * 64 - 1)
    warnings = []
    ours = make_batches(samples, order, warnings.append)
    assert len(drawn_twice(ours)) == 3
    assert ours._on_device is None
    assert len(warnings) == 1
    assert "stay in the computer's memory" in warnings[0]


def test_images_wait_until_the_network_has_taken_its_memory(tmp_path, free):
    samples, order = make(tmp_path / "films.npy", 1)
    free(10**9)
    warnings = []
    ours = make_batches(samples, order, warnings.append)
    list(ours)
    free(2 * 11 * 64 - 1)  # what the first epoch has left
    list(ours)
    assert ours._on_device is None
    assert len(warnings) == 1


def test_an_allocation_that_fails_does_not_stop_training(tmp_path, free, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory")

    samples, order = make(tmp_path / "films.npy", 1)
    samples.correct(3, FIRST)
    free(10**9)
    warnings = []
    ours = make_batches(samples, order, warnings.append)
    monkeypatch.setattr(batches, "_copied", full)
    theirs = list(DataLoader(samples, SIZE, sampler=order))
    for batch, (expected, _) in zip(drawn_twice(ours), theirs, strict=True):
        assert torch.equal(treated(batch).cpu(), expected)
    assert len(warnings) == 1
    list(ours)
    assert len(warnings) == 1, "it is tried once"


def test_images_that_may_not_be_pinned_are_drawn_from_the_file(tmp_path, lie, monkeypatch):
    def refuse(*_):
        raise RuntimeError("CUDA error: out of memory")

    samples, order = make(tmp_path / "films.npy", 1)
    lie("pinned")
    monkeypatch.setattr(batches, "_pinned", refuse)
    warnings = []
    ours = make_batches(samples, order, warnings.append)
    assert len(drawn_twice(ours)) == 3
    assert not ours._pinned
    assert len(warnings) == 1


@pytest.mark.parametrize("free_memory", [None, 0])
def test_images_beyond_the_memory_are_read_from_disk_with_a_warning(
    tmp_path, free, monkeypatch, free_memory
):
    samples, order = make(tmp_path / "films.npy", 1)
    free(free_memory)
    monkeypatch.setattr(batches.host_memory, "granted", lambda: 15 * 64 - 1)
    warnings = []
    drawn_twice(make_batches(samples, order, warnings.append))
    assert "from the disk" in warnings[-1]
    assert len(warnings) == 1 + (free_memory == 0)


@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="there is no CUDA GPU here, and a CPU is never waited for",
)
@pytest.mark.parametrize("where", ["device", "pinned", "file"])
@pytest.mark.parametrize("mixed", ["none", "mixup", "cutmix", "cutout"])
def test_nothing_within_an_epoch_waits_for_the_gpu(tmp_path, lie, mixed, where):
    samples, order = make(tmp_path / "films.npy", 1)
    lie(where)
    ours = make_batches(samples, order, lambda _line: None)
    samples.correct(3, FIRST)
    drawn_twice(ours)
    changed, mixing = augment(("flip", "crop")), mix(mixed, 3)
    torch.cuda.set_sync_debug_mode("error")
    try:
        for batch in ours:
            images, _ = changed(treated(batch), batch.keep)
            images, _ = mixing(images.float(), batch.labels)
            assert images.is_cuda
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_other_images_are_originals_that_are_not_in_the_batch(tmp_path):
    samples, order = make(tmp_path / "films.npy", 1)
    for i in range(len(samples)):
        samples.correct(i, FIRST)
    ours, rng = make_batches(samples, order, never), torch.Generator().manual_seed(0)
    for batch in ours:
        others = ours.draw(5, rng)
        assert not set(others.rows.tolist()) & set(batch.rows.tolist())
        assert others.keep is None
        for image, label, i in zip(others.images, others.labels, others.rows, strict=True):
            assert torch.equal(image.cpu(), samples.view(int(i)))
            assert label == samples.labels[int(i)]
