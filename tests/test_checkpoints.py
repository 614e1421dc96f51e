"""Checkpoints cost little, hold what was at the time, and lie on disk where one must."""

from contextlib import suppress
from threading import Event
from time import sleep

import compatible_torchvision  # noqa: F401  # before what imports torchvision
import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from imil.errors import DataError
from imil.run_folder import RunFolder
from imil.training import checkpoints, throttle
from imil.training.checkpoints import Checkpoints, Writer
from imil.training.throttle import LONGEST, SHARE, Throttle


class Net(LightningModule):
    """Learns to add 1 in each epoch of one batch."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def training_step(self, batch, _index):
        return -self.weight.sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=1)


def fit(folder, *, epochs, kept, writer, more=()):
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=[Checkpoints(folder, kept, writer), *more],
        plugins=[writer],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Net(), [torch.zeros(1)])


def weight(path):
    """What the checkpoint holds: as many as epochs were complete."""
    return torch.load(path, weights_only=True)["state_dict"]["weight"].item()


def test_what_costs_a_second_is_done_when_it_is_a_small_share_of_the_time(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(throttle, "monotonic", lambda: now[0])
    often = Throttle()
    assert often.due()
    with often.doing():
        now[0] += 1
    now[0] += 1 / SHARE - 0.1
    assert not often.due()
    now[0] += 0.2
    assert often.due()
    with often.doing():
        now[0] += 1000
    now[0] += LONGEST
    assert often.due(), "a slow disk must not cost hours of training"


def test_one_stays_before_each_round_and_the_last_epoch_is_never_missing(tmp_path, monkeypatch):
    folder, writer = RunFolder(tmp_path), Writer()
    monkeypatch.setattr(writer, "due", lambda: False)
    fit(folder, epochs=5, kept=(2,), writer=writer)
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

    class Round(checkpoints.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                assert (weight(folder.at(2)), weight(folder.last), len(written)) == (2, 2, 1)
                assert folder.last.samefile(folder.at(2)) == links

    fit(folder, epochs=3, kept=(2,), writer=writer, more=[Round()])
    assert (weight(folder.at(2)), weight(folder.last)) == (2, 3), "not the round's any more"


def test_training_goes_on_while_one_is_written(tmp_path, monkeypatch):
    """The second epoch ends while the first one's checkpoint still waits for the disk."""
    folder, writer, disk, real = RunFolder(tmp_path), Writer(), Event(), torch.save

    def save(*args):
        assert disk.wait(30)
        real(*args)

    monkeypatch.setattr(checkpoints.torch, "save", save)

    class Second(checkpoints.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 2:
                assert pl_module.weight.item() == 2
                assert not folder.last.exists()
                disk.set()
                writer.settle()
                assert weight(folder.last) == 1, "what was, not what has become of it"

    fit(folder, epochs=3, kept=(), writer=writer, more=[Second()])
    assert weight(folder.last) == 3


def test_what_cannot_be_written_is_said_in_a_sentence(tmp_path):
    (tmp_path / "checkpoints").write_text("no folder")
    with pytest.raises(DataError, match="cannot be written"):
        fit(RunFolder(tmp_path), epochs=2, kept=(1,), writer=Writer())


def test_a_run_that_is_stopped_goes_on_from_what_was_being_written(tmp_path, monkeypatch):
    folder, writer, real = RunFolder(tmp_path), Writer(), torch.save
    stopped = Event()

    def save(*args):
        stopped.wait(30)
        sleep(0.5)  # nobody but the callback waits for it
        real(*args)

    monkeypatch.setattr(checkpoints.torch, "save", save)

    class Stop(checkpoints.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                stopped.set()
                raise ValueError

    with suppress(ValueError):
        fit(folder, epochs=3, kept=(), writer=writer, more=[Stop()])
    assert weight(folder.last) == 1


def test_what_stopped_the_training_is_not_hidden_by_a_checkpoint_that_failed(tmp_path):
    (tmp_path / "checkpoints").write_text("no folder")

    class Stop(checkpoints.Callback):
        def on_train_epoch_start(self, trainer, pl_module):
            if trainer.current_epoch == 1:
                raise ValueError("the real reason")

    with pytest.raises(ValueError, match="the real reason") as caught:
        fit(RunFolder(tmp_path), epochs=3, kept=(), writer=Writer(), more=[Stop()])
    assert "cannot be written" in caught.value.__notes__[0]
