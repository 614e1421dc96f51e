"""Attention losses against values worked out by hand, and by finite differences."""

import numpy as np
import pytest
import torch
from test_field_of_view import GRID, Samples, Sum, readings
from torch import nn

from imil.errors import SettingsError
from imil.pytorch.gradcam import features_of
from imil.treatments import Batch, CamLoss, GradientLoss, ResLoss

UPPER = torch.tensor([[[True, True], [False, False]]])


class Tiny(nn.Module):
    """Features 2·x; logits 3 and 0 times their mean: the heat-map of class 0 is 1.5·x."""

    def __init__(self):
        super().__init__()
        self.features = nn.Conv2d(1, 1, 1, bias=False, dtype=torch.float64)
        self.head = nn.Linear(1, 2, bias=False, dtype=torch.float64)
        with torch.no_grad():
            self.features.weight.fill_(2)
            self.head.weight.copy_(torch.tensor([[3.0], [0.0]]))

    def forward(self, images):
        return self.head(self.features(images).mean(dim=(2, 3)))


def batch_of(images, keep):
    count = len(images)
    return Batch(images, torch.zeros(count, dtype=torch.int64), torch.arange(count), keep)


def loss_of(treatment, net, images, keep):
    images = images.clone().requires_grad_()
    with features_of(net, "features") as features:
        outputs = net(images)
    return treatment.loss(outputs, features[0], batch_of(images, keep))


PIXELS = torch.tensor([[[[1.0, 2], [3, 4]]]], dtype=torch.float64)


def test_the_share_of_energy_outside_the_squares():
    assert loss_of(CamLoss(strength=2), Tiny(), PIXELS, UPPER).item() == pytest.approx(2 * 7 / 10)


def test_attention_outside_is_forgiven_up_to_the_tolerance():
    # scaled by the maximum, 4: outside 0.75 and 1; (0.25 + 0.5) / 2
    loss = loss_of(ResLoss(tolerance=0.5), Tiny(), PIXELS, UPPER)
    assert loss.item() == pytest.approx(0.375)
    assert loss_of(ResLoss(tolerance=1), Tiny(), PIXELS, UPPER).item() == 0


def test_gradients_outside_are_those_of_the_log_probabilities():
    # the mean feature is 5, so logits are 15 and 0; of the sum of log-probabilities, z - 2 log(1 +
    # e^z), the derivative is 1 - 2 sigmoid(15), times dz/dx = 3·2/4 at each pixel
    slope = (1 - 2 / (1 + torch.exp(torch.tensor(-15.0, dtype=torch.float64)))) * 1.5
    expected = 2 * (slope * PIXELS.std()) ** 2
    loss = loss_of(GradientLoss(), Tiny(), PIXELS, UPPER)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_gradient_loss_is_the_same_in_other_units_of_brightness():
    net, other = Tiny(), Tiny()
    with torch.no_grad():
        other.features.weight.div_(255)
    losses = [
        loss_of(GradientLoss(), net, PIXELS / 10, UPPER),
        loss_of(GradientLoss(), other, PIXELS * 25.5, UPPER),
    ]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)


ALL = [CamLoss(), ResLoss(), GradientLoss()]


@pytest.mark.parametrize("treatment", ALL, ids=lambda t: type(t).__name__)
def test_images_that_are_not_corrected_have_no_part_in_the_loss(treatment):
    pixels = torch.cat([PIXELS, PIXELS])
    keep = torch.cat([UPPER, torch.ones_like(UPPER)])
    one = loss_of(treatment, Tiny(), torch.cat([PIXELS] * 2), torch.cat([UPPER] * 2))
    assert loss_of(treatment, Tiny(), pixels, keep).item() == pytest.approx(one.item(), rel=1e-6)
    assert loss_of(treatment, Tiny(), PIXELS, torch.ones_like(UPPER)).item() == 0
    assert treatment.loss(torch.zeros(1, 2), None, batch_of(PIXELS, None)) is None


class Small(nn.Module):
    """Two smooth layers, so that finite differences are exact enough."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.Softplus())
        self.head = nn.Linear(3, 2)

    def forward(self, images):
        return self.head(self.features(images).square().mean(dim=(2, 3)))


def small(seed=0):
    torch.manual_seed(seed)
    net = Small().double()
    images = torch.rand(3, 1, 6, 6, dtype=torch.float64)
    keep = torch.zeros(3, 6, 6, dtype=torch.bool)
    keep[:, :3] = True
    return net, images, keep


@pytest.mark.parametrize("treatment", ALL, ids=lambda t: type(t).__name__)
def test_gradients_by_the_weights_equal_finite_differences(treatment):
    net, images, keep = small(2)
    with torch.no_grad():
        net.head.weight[0].abs_()  # a heat-map of class 0 that is not 0
    net.zero_grad()
    loss_of(treatment, net, images, keep).backward()
    weight, step = net.features[0].weight, 1e-2  # heat-maps are float32
    for at in [(0, 0, 1, 1), (2, 0, 0, 2)]:
        values = []
        for sign in (1, -1):
            with torch.no_grad():
                weight[at] += sign * step
            values.append(loss_of(treatment, net, images, keep).item())
            with torch.no_grad():
                weight[at] -= sign * step
        numeric = (values[0] - values[1]) / (2 * step)
        assert weight.grad[at].item() == pytest.approx(numeric, rel=0.02, abs=2e-5)


@pytest.mark.parametrize("treatment", ALL, ids=lambda t: type(t).__name__)
def test_some_steps_of_training_move_attention_into_the_squares(treatment):
    net, images, keep = small(2)
    with torch.no_grad():
        net.head.weight[0].abs_()
    images[:, :, 3:] += 1
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    losses = []
    for _ in range(25):
        loss = loss_of(treatment, net, images, keep)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_images_without_gradients_are_refused():
    with pytest.raises(SettingsError, match=r"call images\.requires_grad_\(\) before the model"):
        GradientLoss().loss(torch.zeros(1, 2), None, batch_of(PIXELS, UPPER))


def test_a_missing_layer_is_refused():
    with pytest.raises(SettingsError, match="features_of"):
        CamLoss().loss(torch.zeros(1, 2), None, batch_of(PIXELS, UPPER))


@pytest.mark.parametrize("kind", [CamLoss, ResLoss, GradientLoss])
def test_a_negative_strength_is_refused(kind):
    with pytest.raises(SettingsError, match="invalid strength -1: expected a number from 0"):
        kind(strength=-1)


def test_the_loss_of_all_images_is_outside_what_readings_predict():
    samples = Samples(np.random.default_rng(3))
    treatment = CamLoss(images="all", irrelevant=0.2)
    rng = np.random.default_rng(0)
    selection = treatment.relevance(readings(), GRID, Sum(), samples, rng)
    assert {selection.squares[i] for i in range(5, 40)} == {(3, 4)}
    assert selection.squares[2] == (2, 3, 4)  # as its reader selected
    assert selection.squares[3] == (4,)
    assert "on average 2.0 of 4 squares" in selection.evidence["sentence"]
    assert CamLoss().relevance(readings(), GRID, Sum(), samples, rng) is None
    with pytest.raises(SettingsError, match="do not tell which squares"):
        treatment.relevance(readings(rng.random((20, 4)) < 0.4), GRID, Sum(), samples, rng)


def test_options_of_the_prediction_need_a_prediction():
    with pytest.raises(SettingsError, match="give images=all, or leave both out"):
        CamLoss(by="features")
