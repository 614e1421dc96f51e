"""A GPU's memory that is too small costs a line or a sentence, never a crash."""

import weakref

import pandas as pd
import pytest
import torch
from rich.console import Console

from imil.errors import SettingsError
from imil.phantom.dataset import write_phantoms
from imil.training.run import Run
from imil.training.run_setup import set_up_run
from imil.training.samples import batches
from imil.training.samples.prepared_data import prepare


@pytest.fixture
def run(tmp_path):
    """A short training without a round."""
    films = write_phantoms(tmp_path / "films", n=40, size=48, seed=0)
    flags = {"data": str(films), "model": "test_resnet", "image_size": 32, "epochs": 2}
    flags |= {"batch_size": 16, "device": "cpu", "reader": "none", "val_share": 0.2}
    settings, folder = set_up_run(flags, None, tmp_path / "run")
    folder.path.mkdir()
    data = prepare(settings, folder, cache=tmp_path / "cache", progress=lambda *_: None)
    return Run(folder, settings, data, Console(quiet=True))


FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    torch.AcceleratorError("CUDA error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


def shrink(run, *, training, looking, error=FULL[0]):
    """As if the memory held so many images at a time."""
    whole = run.net.forward

    def forward(images):
        if len(images) > (training if run.net.training else looking):
            raise error
        return whole(images)

    run.net.forward = forward


@pytest.mark.parametrize("error", FULL, ids=["PyTorch", "CUDA", "cuBLAS"])
def test_a_training_whose_predictions_have_no_room_goes_on_and_says_it_once(run, caplog, error):
    shrink(run, training=16, looking=3, error=error)
    run.train(None, None)
    (message,) = (record.getMessage() for record in caplog.records)
    assert "does not hold 16 images at a time: the batch size is now" in message
    ends = pd.read_parquet(run.folder.predictions("end", "train"))
    assert len(ends) == len(run.samples["train"])


@pytest.mark.parametrize("error", FULL, ids=["PyTorch", "CUDA", "cuBLAS"])
def test_a_step_that_has_no_room_is_one_sentence(run, error):
    shrink(run, training=15, looking=16, error=error)
    with pytest.raises(SettingsError, match=r"training step of 16 images.*lower --batch-size"):
        run.train(None, None)


def test_a_gpu_that_others_have_filled_is_one_sentence_from_the_first_byte_on(run, monkeypatch):
    def full(_device):
        raise FULL[0]

    monkeypatch.setattr(batches, "free_memory", full)
    with pytest.raises(SettingsError, match="go on when other programs leave more of it"):
        run.train(None, None)


def test_a_single_image_that_has_no_room_at_the_end_is_one_sentence(run):
    shrink(run, training=16, looking=0)
    with pytest.raises(SettingsError, match="beside what else is in it"):
        run.train(None, None)


def test_another_error_of_a_network_is_not_one_of_memory(run):
    shrink(run, training=15, looking=16, error=RuntimeError("a bug"))
    with pytest.raises(RuntimeError, match=r"^a bug$"):
        run.train(None, None)


def test_images_leave_the_memory_when_training_ends(run, monkeypatch):
    """A study's worker trains one job after the other in one process."""
    copied, held = batches._copied, []

    def copy(*given):
        made = copied(*given)
        held.append(weakref.ref(made))
        return made

    monkeypatch.setattr(batches, "free_memory", lambda _device: 10**9)
    monkeypatch.setattr(batches, "_copied", copy)
    run.train(None, None)
    assert [image() for image in held] == [None]


def test_that_images_stay_outside_is_logged_where_there_is_no_console(run, monkeypatch, caplog):
    monkeypatch.setattr(batches, "free_memory", lambda _device: 1)
    monkeypatch.setattr(batches.host_memory, "free", lambda: 0)
    run.train(None, None)
    (message,) = (record.getMessage() for record in caplog.records)
    assert "they stay in the computer's memory" in message
