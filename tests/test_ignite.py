"""IMIL in a trainer of Ignite, and in MONAI's."""

import compatible_torchvision  # noqa: F401  # before what imports torchvision
import contract
import pytest
import torch
from test_imil_callback import Positions
from torch import nn
from torch.utils.data import DataLoader, default_collate

from imil import pytorch
from imil.errors import RoundPaused, SettingsError
from imil.store import Store

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:monai")


def make_trainer(kind, module, loader, epochs):
    """The trainer, and what runs it."""
    sgd = torch.optim.SGD(module.parameters(), 0.1, momentum=0.9)
    if kind == "monai":
        from monai.engines import SupervisedTrainer

        trainer = SupervisedTrainer(
            device=torch.device("cpu"),
            max_epochs=epochs,
            train_data_loader=loader,
            network=module,
            optimizer=sgd,
            loss_function=nn.functional.cross_entropy,
        )
        return trainer, trainer.run
    from ignite.engine import create_supervised_trainer

    trainer = create_supervised_trainer(module, sgd, nn.functional.cross_entropy)
    return trainer, lambda: trainer.run(loader, max_epochs=epochs)


class Fitting:
    """A trainer, and the images that it has drawn in each epoch."""

    def __init__(self, kind, data, epochs, *, net=None):
        from ignite.engine import Events

        def collate(items):
            drawn[-1].update({i: image[0].numpy() for i, image, _ in items})
            return default_collate([item[1:] for item in items])

        drawn = self.drawn = []
        self.module = net or contract.make_net()
        loader = DataLoader(data, 8, shuffle=True, collate_fn=collate)
        self.trainer, self.run = make_trainer(kind, self.module, loader, epochs)
        self.trainer.add_event_handler(Events.EPOCH_STARTED, lambda: drawn.append({}))


@pytest.fixture(params=["ignite", pytest.param("monai", marks=pytest.mark.process)])
def kind(request):
    """The framework; importing MONAI starts a process."""
    pytest.importorskip("ignite", reason="needs Ignite: pip install imil[ignite]")
    if request.param == "monai":
        pytest.importorskip("monai", reason="needs MONAI: pip install imil[monai]")
    return request.param


def attach(fitting, samples, ask, **how):
    from imil import ignite

    callback = ignite.IMIL(pytorch.IMIL(samples, fitting.module, ask, **how))
    callback.attach(fitting.trainer)
    return callback


@pytest.fixture
def fit(kind):
    def fit(
        samples,
        ask,
        store,
        imil_epoch,
        epochs,
        *,
        num_outliers=5,
        data=None,
        net=None,
        fits=1,
        times=1,
    ):
        fitting = Fitting(kind, Positions(data or samples), epochs, net=net)
        if ask:
            more = {"store": store, "imil_epoch": imil_epoch, "num_outliers": num_outliers}
            callback = attach(fitting, samples, ask, **more)
            for _ in range(times - 1):
                callback.attach(fitting.trainer)
        torch.manual_seed(1)
        for _ in range(fits):
            fitting.run()
        return fitting.module.state_dict(), fitting.drawn

    fit.twice = SettingsError, "attached to this engine already"
    return fit


@pytest.mark.parametrize("check", contract.FRAMEWORK_CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check, fit, tmp_path):
    check(fit, tmp_path)


def test_a_trainer_that_is_run_again_goes_on_with_the_round(kind, tmp_path):
    samples, shown = contract.make_samples(), []

    def three_then_the_rest(cases):
        shown.append([case.number for case in cases])
        yield from contract.Fixed()(cases[: 3 if len(shown) == 1 else None])

    fitting = Fitting(kind, Positions(samples), 3)
    how = {"store": tmp_path / "s", "imil_epoch": 1, "num_outliers": 5}
    attach(fitting, samples, three_then_the_rest, **how)
    with pytest.raises(RoundPaused, match="2 of 5"):
        fitting.run()
    fitting.run()
    assert shown == [[1, 2, 3, 4, 5], [4, 5]]
    assert len(fitting.drawn) == 3
    assert sum(samples.corrected(i) is not None for i in range(contract.N)) == 5


def test_a_trainer_whose_state_is_loaded_needs_its_store(kind, tmp_path):
    from ignite.engine import Events

    def begin(ask, store):
        samples = contract.make_samples()
        fitting = Fitting(kind, Positions(samples), 2)
        attach(fitting, samples, ask, store=store, imil_epoch=1, num_outliers=5)
        return fitting, samples

    store = Store(tmp_path / "s")
    first, _ = begin(contract.Fixed(), store)
    saved = {}

    def save(engine):
        if engine.state.epoch == 1:
            saved.update(engine.state_dict())

    first.trainer.add_event_handler(Events.EPOCH_COMPLETED, save)
    first.run()

    later, samples = begin(contract.nobody, store)
    later.trainer.load_state_dict(saved)
    later.run()
    assert len(later.drawn) == 1
    assert sum(samples.corrected(i) is not None for i in range(contract.N)) == 5

    other, _ = begin(contract.nobody, Store(tmp_path / "other"))
    other.trainer.load_state_dict(saved)
    with pytest.raises(SettingsError, match=r"after epoch 1, and run 'run' .* has no such round"):
        other.run()


def test_a_callback_that_is_attached_twice_is_refused(kind, tmp_path):
    samples = contract.make_samples()
    fitting = Fitting(kind, Positions(samples), 1)
    callback = attach(fitting, samples, contract.nobody, store=tmp_path / "s", imil_epoch=1)
    with pytest.raises(SettingsError, match="attached to this engine already"):
        callback.attach(fitting.trainer)


@pytest.mark.process
def test_a_data_set_of_monai_that_keeps_its_items_is_refused_by_name(tmp_path):
    pytest.importorskip("monai", reason="needs MONAI: pip install imil[monai]")
    from monai.data import CacheDataset

    samples = contract.make_samples()
    fitting = Fitting("monai", CacheDataset(Positions(samples), progress=False), 1)
    attach(fitting, samples, contract.nobody, store=tmp_path / "s", imil_epoch=1)
    with pytest.raises(SettingsError, match="CacheDataset keeps the images as it first drew them"):
        fitting.run()
