"""Checkpoints cost little, hold what was at the time, and lie on disk where one must."""

from threading import Event

import compatible_torchvision  # noqa: F401  # before what imports torchvision
import pytest
import torch

from imil.errors import DataError
from imil.run_folder import RunFolder
from imil.training import checkpoints, throttle
from imil.training.checkpoints import Checkpoints, Writer, load_checkpoint, newest_checkpoint
from imil.training.loop import EpochResult
from imil.training.throttle import MAX_INTERVAL, TIME_SHARE, Throttle


def train(folder, *, epochs, kept, writer, before=lambda _epoch: None, after=lambda _epoch: None):
    """A training that adds 1 to its weight in each epoch; calls `before` and `after` each."""
    weight = torch.zeros(1)
    state = {"epoch": 0, "model": {"weight": weight}, "optimizer": {}, "history": []}
    state["treatment"] = None
    checkpoints = Checkpoints(folder, kept, writer, lambda: state)
    for epoch in range(1, epochs + 1):
        before(epoch)
        weight += 1
        checkpoints.save(EpochResult(epoch, epochs, 0.0, 0.0))
        after(epoch)
    writer.settle()


def weight(path):
    """What the checkpoint holds: as many as epochs were complete."""
    return load_checkpoint(path)["model"]["weight"].item()


def test_what_costs_a_second_is_done_when_it_is_a_small_share_of_the_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(throttle, "monotonic", lambda: now[0])
    often = Throttle()
    assert often.due()
    with often.timed():
        now[0] += 1
    now[0] += 1 / TIME_SHARE - 0.1
    assert not often.due()
    now[0] += 0.2
    assert often.due()
    with often.timed():
        now[0] += 1000
    now[0] += MAX_INTERVAL
    assert often.due(), "a slow disk must not cost hours of training"


def test_one_stays_before_each_round_and_the_last_epoch_is_never_missing(tmp_path, monkeypatch):
    folder, writer = RunFolder(tmp_path), Writer()
    monkeypatch.setattr(writer, "due", lambda: False)
    train(folder, epochs=5, kept=(2,), writer=writer)
    assert weight(folder.at(2)) == 2
    assert weight(folder.last) == 5
    assert len(list(folder.last.parent.iterdir())) == 2


@pytest.mark.parametrize("links", [True, False], ids=["linked", "copied"])
def test_before_a_round_one_is_written_once_and_has_two_names(tmp_path, monkeypatch, links):
    folder, writer, written, real = RunFolder(tmp_path), Writer(), [], torch.save
    monkeypatch.setattr(writer, "due", lambda: False)
    monkeypatch.setattr(checkpoints.torch, "save", lambda *a: written.append(1) or real(*a))

    def refuse(*_args):
        raise OSError("this file system knows no links")

    if not links:
        monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)

    def after(epoch):
        if epoch == 2:
            assert (weight(folder.at(2)), weight(folder.last), len(written)) == (2, 2, 1)
            assert folder.last.samefile(folder.at(2)) == links

    train(folder, epochs=3, kept=(2,), writer=writer, after=after)
    assert (weight(folder.at(2)), weight(folder.last)) == (2, 3), "not the round's any more"


def test_training_goes_on_while_one_is_written(tmp_path, monkeypatch):
    """The second epoch ends while the first one's checkpoint still waits for the disk."""
    folder, writer, disk, real = RunFolder(tmp_path), Writer(), Event(), torch.save

    def save(*args):
        assert disk.wait(30)
        real(*args)

    monkeypatch.setattr(checkpoints.torch, "save", save)

    def third(epoch):
        if epoch == 3:
            assert not folder.last.exists()
            disk.set()
            writer.settle()
            assert weight(folder.last) == 1, "what was, not what has become of it"

    train(folder, epochs=3, kept=(), writer=writer, before=third)
    assert weight(folder.last) == 3


def test_a_checkpoint_that_cannot_be_written_is_reported_in_one_sentence(tmp_path):
    (tmp_path / "checkpoints").write_text("no folder")
    with pytest.raises(DataError, match="cannot be written"):
        train(RunFolder(tmp_path), epochs=2, kept=(1,), writer=Writer())


@pytest.mark.parametrize("state", [{"pytorch-lightning_version": "2.6"}, {"format": 99}])
def test_a_checkpoint_of_another_version_is_refused_in_a_sentence(tmp_path, state):
    torch.save(state, tmp_path / "last.ckpt")
    with pytest.raises(DataError, match=r"last\.ckpt was written by another version of imil"):
        load_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.parametrize("state", [{"epoch": 1}, [1]])
def test_a_file_that_holds_something_else_is_damaged(tmp_path, state):
    torch.save(state, tmp_path / "last.ckpt")
    with pytest.raises(DataError, match=r"last\.ckpt is damaged"):
        load_checkpoint(tmp_path / "last.ckpt")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("format", torch.zeros(2)),
        ("epoch", "3"),
        ("epoch", -1),
        ("model", {"weight": [1.0]}),
        ("history", {"rows": 3}),
        ("treatment", 7),
    ],
)
def test_a_checkpoint_with_an_entry_of_another_kind_is_refused_in_a_sentence(tmp_path, name, value):
    folder = RunFolder(tmp_path)
    train(folder, epochs=1, kept=(), writer=Writer())
    torch.save(load_checkpoint(folder.last) | {name: value}, tmp_path / "last.ckpt")
    with pytest.raises(DataError, match=r"last\.ckpt (is damaged|was written by another version)"):
        load_checkpoint(tmp_path / "last.ckpt")


def test_weights_that_are_no_numbers_are_refused_and_the_checkpoint_before_is_taken(
    tmp_path, caplog
):
    folder = RunFolder(tmp_path)
    train(folder, epochs=5, kept=(2, 4), writer=Writer())
    for path in (folder.last, folder.at(4)):
        path.unlink()  # it may be another name of the same file
        nan = {"weight": torch.tensor([float("nan")])}
        torch.save(load_checkpoint(folder.at(2)) | {"model": nan}, path)
    assert newest_checkpoint(folder)["model"]["weight"].item() == 2
    assert "not numbers: training goes on from epoch-002.ckpt" in caplog.text
    assert weight(folder.last) == 2
    folder.last.unlink()
    folder.at(2).unlink()
    folder.at(4).rename(folder.last)
    with pytest.raises(DataError, match="no checkpoint before has others"):
        newest_checkpoint(folder)
