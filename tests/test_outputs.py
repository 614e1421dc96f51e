"""Models that end in a sigmoid or softmax, and those that only seem to."""

import contract
import numpy as np
import pytest
import torch
from torch import nn

from imil.errors import SettingsError, ShapeError
from imil.pytorch import IMIL, CorrectedDataset, TorchModel


class Two(contract.Films):
    """Films of two classes, for one output."""

    classes = ("no", "yes")

    def __init__(self):
        super().__init__()
        self.targets = self.targets % 2


def with_single_output(*ending):
    net = contract.make_net()
    net[-1] = nn.Linear(6, 1)
    return nn.Sequential(*net, *ending)


def both(*ending, single=False):
    """A network that gives logits, the same one with an ending, and samples."""
    net = with_single_output() if single else contract.make_net()
    return net, nn.Sequential(*net, *ending), make_samples(single)


def make_samples(single):
    return CorrectedDataset(Two()) if single else contract.make_samples()


class Averaged(nn.Module):
    """The mean of two networks' probabilities: its graph does not end in a softmax."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, images):
        return (self.net(images).softmax(1) + self.net(images).softmax(1)) / 2


@pytest.mark.parametrize("single", [False, True])
def test_a_model_that_ends_in_a_sigmoid_or_softmax_is_a_question_before_training(tmp_path, single):
    _, net, samples = both(nn.Sigmoid() if single else nn.Softmax(1), single=single)
    imil = IMIL(samples, net, contract.nobody, store=tmp_path / "a.sqlite")
    with pytest.raises(SettingsError, match='outputs="probabilities"'):
        imil.begin()
    for outputs in ("logits", "probabilities"):
        chosen = tmp_path / f"{outputs}.sqlite"
        IMIL(samples, net, contract.nobody, store=chosen, outputs=outputs).begin()


@pytest.mark.parametrize(("single", "ending"), [(False, nn.Softmax(1)), (True, nn.Sigmoid())])
def test_probabilities_are_taken_as_such(single, ending):
    plain, ends, samples = both(ending, single=single)
    expected = TorchModel(plain)
    model = TorchModel(ends, outputs="probabilities")
    model.check(samples)
    np.testing.assert_allclose(model.probs(samples), expected.probs(samples), atol=1e-6)
    views = model.views(samples, range(5))
    logits, as_given = model.logits(views), expected.logits(views)
    np.testing.assert_allclose(  # log-odds of the classes
        logits[:, 1] - logits[:, 0], as_given[:, 1] - as_given[:, 0], atol=1e-4
    )
    if single:  # log-odds: the very gradient of the logit; a softmax mixes the classes' logits
        maps = model.explain(samples, [0, 1], [0, 1])
        for made, right in zip(maps, expected.explain(samples, [0, 1], [0, 1]), strict=True):
            np.testing.assert_allclose(made, right, atol=1e-3)


def test_probabilities_rounded_to_0_or_1_stay_finite():
    certain = nn.Sequential(*with_single_output(), nn.Threshold(1e9, 1.0))  # always 1
    model = TorchModel(certain, outputs="probabilities")
    samples = make_samples(True)
    assert np.isfinite(model.logits(model.views(samples, [0]))).all()
    np.testing.assert_allclose(model.probs(samples)[:, 1], 1, atol=1e-6)


def test_probabilities_that_no_last_operation_gives_away_are_found_in_all_outputs():
    net, samples = Averaged(contract.make_net()), contract.make_samples()
    TorchModel(net).check(samples)  # two images say nothing
    with pytest.raises(SettingsError, match="look like probabilities"):
        TorchModel(net).predict(samples)
    TorchModel(net, outputs="logits").predict(samples)


def test_logits_within_0_and_1_are_no_question():
    net, samples = with_single_output(), make_samples(True)
    with torch.no_grad():
        net[-1].weight.zero_()
        net[-1].bias.fill_(0.4)  # of all images
    model = TorchModel(net)
    model.check(samples)
    np.testing.assert_allclose(model.predict(samples).probs[:, 1], 1 / (1 + np.exp(-0.4)))


def test_what_is_called_probabilities_and_is_none_is_refused():
    samples = contract.make_samples()
    with pytest.raises(ShapeError, match='outputs="logits"'):
        TorchModel(contract.make_net(), outputs="probabilities").predict(samples)
    with pytest.raises(SettingsError, match="auto, logits, probabilities"):
        TorchModel(contract.make_net(), outputs="odds")
