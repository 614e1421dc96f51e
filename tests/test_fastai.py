"""IMIL as a callback of fastai's Learner."""

import contract
import pytest
import torch
from test_imil_callback import Positions
from torch import nn
from torch.utils.data import DataLoader, default_collate

from imil import pytorch
from imil.errors import RoundPaused, SettingsError
from imil.store import Store

pytestmark = pytest.mark.filterwarnings("ignore")  # fastai's own, of newer libraries


@pytest.fixture
def fastai():
    """The module under test, imported where it is used alone."""
    from imil.pytorch.torchvision_import import import_torchvision

    import_torchvision()
    pytest.importorskip("fastai", reason="needs fastai: pip install imil[fastai]")
    from imil import fastai

    return fastai


def learner_of(module, data, *callbacks):
    """A Learner, and the images that it has drawn in each epoch."""
    from fastai.callback.core import Callback
    from fastai.data.core import DataLoaders
    from fastai.learner import Learner

    class Epochs(Callback):
        def before_train(self):
            drawn.append({})

    def collate(items):
        if module.training:
            drawn[-1].update({i: image[0].numpy() for i, image, _ in items})
        return default_collate([item[1:] for item in items])

    drawn = []
    loaders = [DataLoader(data, 8, shuffle=True, collate_fn=collate) for _ in range(2)]
    loaders[1] = DataLoader(
        data, 8, collate_fn=lambda items: default_collate([i[1:] for i in items])
    )
    learner = Learner(
        DataLoaders(*loaders),
        module,
        loss_func=nn.CrossEntropyLoss(),
        opt_func=sgd(),
        cbs=[Epochs(), *callbacks],
    )
    return learner, drawn


def sgd():
    from functools import partial

    from fastai.optimizer import OptimWrapper

    return partial(OptimWrapper, opt=torch.optim.SGD, momentum=0.9)


@pytest.fixture
def fit(fastai):
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
        module, callbacks = net or contract.make_net(), []
        if ask:
            more = {"store": store, "imil_epoch": imil_epoch, "num_outliers": num_outliers}
            callbacks = [fastai.IMIL(pytorch.IMIL(samples, module, ask, **more))] * times
        learner, drawn = learner_of(module, Positions(data or samples), *callbacks)
        torch.manual_seed(1)
        with learner.no_bar(), learner.no_logging():
            for _ in range(fits):
                learner.fit(epochs, 0.1)
        return module.state_dict(), drawn

    return fit


@pytest.mark.parametrize("check", contract.FRAMEWORK_CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check, fit, tmp_path):
    check(fit, tmp_path)


def test_a_training_that_starts_at_a_later_epoch_goes_on_with_the_round(fastai, tmp_path):
    store, shown = Store(tmp_path / "s"), []

    def stops(cases):
        first = cases[0].epoch == 1
        yield from contract.Fixed()(cases if first else cases[:2])

    def rest(cases):
        shown.extend(case.number for case in cases)
        yield from contract.Fixed()(cases)

    def learner(ask, store):
        samples, module = contract.make_samples(), contract.make_net()
        how = {"store": store, "imil_epoch": [1, 2], "num_outliers": 5}
        imil = pytorch.IMIL(samples, module, ask, **how)
        learner, drawn = learner_of(module, Positions(samples), fastai.IMIL(imil))
        learner.path = tmp_path
        return learner, samples, drawn

    first, _, _ = learner(stops, store)
    with (
        pytest.raises(RoundPaused, match="3 of 5 cases unread"),
        first.no_bar(),
        first.no_logging(),
    ):
        first.fit(4, 0.1)
    first.save("stopped")

    again, samples, drawn = learner(rest, store)
    again.load("stopped")
    with again.no_bar(), again.no_logging():
        again.fit(4, 0.1, start_epoch=2)
    assert shown == [3, 4, 5]
    assert len(drawn) == 2  # epochs 3 and 4
    assert sum(samples.corrected(i) is not None for i in range(contract.N)) > 5

    without, _, _ = learner(contract.nobody, Store(tmp_path / "other"))
    with pytest.raises(SettingsError, match="the store has no round after epoch 1: give"):
        without.fit(4, 0.1, start_epoch=2)


def test_the_search_for_a_learning_rate_holds_no_round(fastai, tmp_path):
    from fastai.callback import schedule  # noqa: F401 - has lr_find

    samples, module = contract.make_samples(), contract.make_net()
    imil = pytorch.IMIL(samples, module, contract.nobody, store=tmp_path / "s", imil_epoch=1)
    learner, _ = learner_of(module, Positions(samples), fastai.IMIL(imil))
    learner.path = tmp_path
    with learner.no_bar(), learner.no_logging():
        learner.lr_find(num_it=9, show_plot=False)
    assert imil.store.rounds("run") == []
