"""IMIL as a Lightning callback."""

import compatible_torchvision  # noqa: F401  # before what imports torchvision
import contract
import lightning.pytorch as pl
import pytest
import torch
from lightning.pytorch.loggers import Logger
from test_imil_callback import Positions
from torch import nn
from torch.utils.data import DataLoader

from imil import pytorch
from imil.errors import RoundPaused, SettingsError
from imil.lightning import IMIL
from imil.store import Store


class Module(pl.LightningModule):
    def __init__(self, net=None):
        super().__init__()
        self.net = net or contract.make_net()
        self.drawn = []

    def forward(self, images):
        return self.net(images)

    def on_train_epoch_start(self):
        self.drawn.append({})

    def training_step(self, batch, _index):
        i, images, labels = batch
        self.drawn[-1] |= {int(n): image[0].numpy() for n, image in zip(i, images, strict=True)}
        return nn.functional.cross_entropy(self(images), labels)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1, momentum=0.9)


def trainer(epochs, *callbacks, folder=None):
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def callback(*args, **kwargs):
    return IMIL(pytorch.IMIL(*args, **kwargs))


def fit(
    samples, ask, store, imil_epoch, epochs, *, num_outliers=5, data=None, net=None, fits=1, times=1
):
    module = Module(net)
    callbacks = []
    if ask:
        more = {"store": store, "imil_epoch": imil_epoch, "num_outliers": num_outliers}
        callbacks = [callback(samples, module, ask, **more)] * times
    torch.manual_seed(1)
    loader = DataLoader(Positions(data or samples), 8, shuffle=True)
    for _ in range(fits):
        trainer(epochs, *callbacks).fit(module, loader)
    return module.state_dict(), module.drawn


fit.twice = RuntimeError, "more than one stateful callback of type `IMIL`"  # Lightning says it


@pytest.mark.parametrize("check", contract.FRAMEWORK_CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check, tmp_path):
    check(fit, tmp_path)


def test_resuming_from_a_checkpoint_puts_corrections_back_and_goes_on_with_the_round(tmp_path):
    store = Store(tmp_path / "s")

    class Save(pl.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            trainer.save_checkpoint(tmp_path / f"{trainer.current_epoch + 1}.ckpt")

    def two(cases):
        yield from contract.Fixed()(cases[:2])

    samples = contract.make_samples()
    loader, module = DataLoader(Positions(samples), 8), Module()
    stopping = callback(samples, module, two, store=store, imil_epoch=2, num_outliers=5)
    with pytest.raises(RoundPaused, match="3 of 5"):
        trainer(4, Save(), stopping).fit(module, loader)
    shown = []

    def rest(cases):
        shown.extend(case.number for case in cases)
        yield from contract.Fixed()(cases)

    samples = contract.make_samples()
    loader = DataLoader(Positions(samples), 8)
    module = Module()
    going_on = callback(samples, module, rest, store=store, imil_epoch=2, num_outliers=5)
    trainer(4, going_on).fit(module, loader, ckpt_path=tmp_path / "2.ckpt")
    assert shown == [3, 4, 5]
    assert len(module.drawn) == 2  # epochs 3 and 4
    assert sum(samples.corrected(i) is not None for i in range(len(samples))) == 5


def test_a_round_after_the_last_epoch_is_reported_when_training_begins(tmp_path):
    samples, messages = contract.make_samples(), []
    loader = DataLoader(Positions(samples), 8, shuffle=True)
    module, store = Module(), tmp_path / "s"
    imil = callback(
        samples, module, contract.Fixed(), store=store, imil_epoch=2, say=messages.append
    )
    trainer(1, imil).fit(module, loader)
    assert messages == ["No round will be held after epoch 2: training ends at 1."]


def test_a_training_that_resumes_without_its_store_is_refused(tmp_path):
    samples = contract.make_samples()
    loader, module = DataLoader(Positions(samples), 8), Module()
    first = callback(samples, module, contract.Fixed(), store=tmp_path / "s", imil_epoch=1)
    one = trainer(1, first)
    one.fit(module, loader)
    one.save_checkpoint(tmp_path / "1.ckpt")
    other = callback(samples, module, contract.nobody, store=tmp_path / "other", imil_epoch=1)
    with pytest.raises(SettingsError, match="has no such round: give the store and the run of"):
        trainer(2, other).fit(module, loader, ckpt_path=tmp_path / "1.ckpt")


def test_a_module_that_is_not_the_one_that_is_explained_is_refused(tmp_path):
    samples = contract.make_samples()
    other = callback(samples, Module(), contract.nobody, store=tmp_path / "s", imil_epoch=1)
    with pytest.raises(SettingsError, match="the Module that is trained is not the Module that"):
        trainer(1, other).fit(Module(), DataLoader(Positions(samples), 8))


def test_an_invalid_layer_is_reported_before_the_first_step(tmp_path):
    samples, module = contract.make_samples(), Module()
    imil = callback(samples, module, contract.Fixed(), store=tmp_path / "s", layer="net.44")
    with pytest.raises(SettingsError, match=r"unknown layer 'net\.44' of Module"):
        trainer(2, imil).fit(module, DataLoader(Positions(samples), 8))
    assert module.drawn == []


def test_the_trainers_loggers_get_the_numbers_of_a_round_under_stable_names(tmp_path):
    class Kept(Logger):
        name, version = "kept", 0

        def log_metrics(self, metrics, step=None):
            got.append((step, dict(metrics)))

        def log_hyperparams(self, *_args, **_kwargs):
            pass

    got, samples, module = [], contract.make_samples(), Module()
    imil = callback(
        samples, module, contract.Fixed(), store=tmp_path / "s", imil_epoch=2, num_outliers=5
    )
    one = trainer(3, imil)
    one.loggers = [Kept(), Kept()]
    one.fit(module, DataLoader(Positions(samples), 8))
    rounds = [(step, found) for step, found in got if "imil/round/epoch" in found]
    expected = {
        "imil/round/epoch": 2,
        "imil/round/readings/cases": 5,
        "imil/round/readings/readers": 1,
        "imil/round/readings/focus": 5,
        "imil/round/readings/skip": 0,
        "imil/round/readings/wrong_label": 0,
        "imil/round/readings/not_assessable": 0,
        "imil/round/readings/squares": 3.0,
        "imil/round/readings/seconds": 0.0,
    }
    assert rounds == [(6, expected)] * 2
