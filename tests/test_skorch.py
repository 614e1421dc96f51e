"""IMIL as a callback of skorch's nets."""

import contract
import pytest
import torch
from test_imil_callback import Positions
from torch import nn
from torch.utils.data import default_collate

from imil import pytorch
from imil.errors import RoundPaused, SettingsError
from imil.store import Store


@pytest.fixture
def skorch():
    """The module under test, imported where it is used alone."""
    pytest.importorskip("skorch", reason="needs skorch: pip install imil[skorch]")
    from imil import skorch

    return skorch


def net_of(module, *callbacks, epochs, train_split=None, **more):
    """A net, and the images that it has drawn in each epoch."""
    from skorch import NeuralNetClassifier
    from skorch.callbacks import Callback

    class Epochs(Callback):
        def on_epoch_begin(self, *args, **kwargs):
            drawn.append({})

    def collate(items):
        drawn[-1].update({i: image[0].numpy() for i, image, _ in items})
        return default_collate([item[1:] for item in items])

    drawn = []
    net = NeuralNetClassifier(
        module,
        max_epochs=epochs,
        criterion=nn.CrossEntropyLoss,
        classes=[0, 1, 2],
        optimizer=torch.optim.SGD,
        lr=0.1,
        optimizer__momentum=0.9,
        batch_size=8,
        iterator_train__shuffle=True,
        iterator_train__collate_fn=collate,
        train_split=train_split,
        callbacks=[*callbacks, Epochs()],
        verbose=0,
        **more,
    )
    return net, drawn


@pytest.fixture
def fit(skorch):
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
            callbacks = [skorch.IMIL(pytorch.IMIL(samples, module, ask, **more))] * times
        net, drawn = net_of(module, *callbacks, epochs=epochs)
        torch.manual_seed(1)
        for _ in range(fits):
            net.fit(Positions(data or samples), y=None)
        return module.state_dict(), drawn

    return fit


@pytest.mark.parametrize("check", contract.FRAMEWORK_CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check, fit, tmp_path):
    check(fit, tmp_path)


def test_a_net_that_continues_from_its_history_goes_on_with_the_round(skorch, tmp_path):
    from skorch.callbacks import Checkpoint

    store, shown = Store(tmp_path / "s"), []
    how = {"store": store, "imil_epoch": [1, 2], "num_outliers": 5}

    def stops_in_the_second(cases):
        first = cases[0].epoch == 1
        yield from contract.Fixed()(cases if first else cases[:2])

    def rest(cases):
        shown.extend(case.number for case in cases)
        yield from contract.Fixed()(cases)

    def begin(ask, store):
        samples, module = contract.make_samples(), contract.make_net()
        imil = pytorch.IMIL(samples, module, ask, **how | {"store": store})
        checkpoint = Checkpoint(monitor=None, dirname=tmp_path, f_criterion=None)
        net, drawn = net_of(module, checkpoint, skorch.IMIL(imil), epochs=2)
        return net, samples, drawn, checkpoint

    net, samples, _, _ = begin(stops_in_the_second, store)
    with pytest.raises(RoundPaused, match="3 of 5"):
        net.fit(Positions(samples), y=None)

    net, samples, drawn, checkpoint = begin(rest, store)
    net.initialize()
    net.load_params(checkpoint=checkpoint)
    net.partial_fit(Positions(samples), y=None)
    assert shown == [3, 4, 5]
    assert len(drawn) == 2  # epochs 3 and 4
    assert sum(samples.corrected(i) is not None for i in range(contract.N)) > 5

    net, samples, _, checkpoint = begin(contract.nobody, Store(tmp_path / "other"))
    net.initialize()
    net.load_params(checkpoint=checkpoint)
    with pytest.raises(SettingsError, match=r"after epoch 1, and run 'run' .* has no such round"):
        net.partial_fit(Positions(samples), y=None)


def test_a_part_that_skorch_leaves_out_for_validation_is_refused(skorch, tmp_path):
    from skorch.dataset import ValidSplit

    samples, module = contract.make_samples(), contract.make_net()
    imil = pytorch.IMIL(samples, module, contract.nobody, store=tmp_path / "s", imil_epoch=1)
    net, _ = net_of(module, skorch.IMIL(imil), epochs=1, train_split=ValidSplit(4))
    with pytest.raises(SettingsError, match=r"draws 18 of the 24 samples.*train_split=None"):
        net.fit(samples, y=None)


def test_copies_as_for_the_folds_of_a_cross_validation_are_refused(skorch, tmp_path):
    from sklearn.base import clone

    samples, module = contract.make_samples(), contract.make_net()
    imil = pytorch.IMIL(samples, module, contract.nobody, store=tmp_path / "s", imil_epoch=1)
    net, _ = net_of(module, skorch.IMIL(imil), epochs=1)
    with pytest.raises(SettingsError, match="give every training, such as each fold"):
        clone(net)
