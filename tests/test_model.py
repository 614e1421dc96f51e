"""A PyTorch module as a round sees it."""

import contract
import numpy as np
import pytest
import torch
from torch import nn

from imil.errors import ShapeError
from imil.pytorch import TorchModel
from imil.pytorch.eval_context import full_precision
from imil.pytorch.gradcam import grad_cam


def test_each_pair_of_sample_and_class_gets_its_own_heat_map(monkeypatch):
    torch.manual_seed(0)
    net, samples = contract.make_net().eval(), contract.make_samples()
    indices, classes = [7, 2, 7, 11, 2, 2, 0], [0, 1, 2, 1, 0, 2, 1]
    seen = []
    monkeypatch.setattr(samples, "view", lambda i, view=samples.view: seen.append(i) or view(i))
    found = TorchModel(net, batch_size=8).explain(samples, indices, classes)
    assert seen == [7, 2, 11, 0]  # once each, however many classes are asked about
    assert len(found) == 7
    for cam, i, wanted in zip(found, indices, classes, strict=True):
        alone = grad_cam(net, samples.view(i)[None], np.array([[wanted]]))[0, 0]
        np.testing.assert_allclose(cam, alone, atol=1e-5)
    assert len({cam.tobytes() for cam in found}) > 3


def test_predictions_in_parts_are_those_of_the_whole():
    torch.manual_seed(0)
    net, samples = contract.make_net(), contract.make_samples()
    model = TorchModel(net, batch_size=1)
    parts = []
    for part in model.parts(samples):
        assert net.training, "as it was, also between two parts"
        parts.append(part)
    assert [len(part) for part in parts] == [16, 8]
    whole = model.predict(samples)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_allclose(whole.sum(axis=1), 1)


def test_a_layer_that_was_found_in_time_costs_the_round_no_look():
    net, samples, passes = contract.make_net(), contract.make_samples(), []
    net.register_forward_hook(lambda *_: passes.append(1))
    model = TorchModel(net)
    model.check(samples)
    passes.clear()
    model.explain(samples, [0, 1], [0, 1])
    assert len(passes) == 1


def test_the_same_samples_are_looked_at_but_once():
    net, samples, passes = contract.make_net(), contract.make_samples(), []
    net.register_forward_hook(lambda *_: passes.append(1))
    model = TorchModel(net)
    model.check(samples)
    once = len(passes)
    model.check(samples)
    assert len(passes) == once
    model.check(contract.make_samples())
    assert len(passes) > once


class Aside(nn.Module):
    """Ends in a map that adds nothing to the scores: they are read from the map before it."""

    def __init__(self):
        super().__init__()
        self.read, self.unread = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        x = self.read(x).abs()
        return self.head(x.mean((2, 3))) + 0 * self.unread(x).mean()


def test_a_layer_that_was_found_under_a_head_of_zeros_is_looked_for_again():
    torch.manual_seed(0)
    net, samples = Aside(), contract.make_samples()
    nn.init.zeros_(net.head.weight)
    model = TorchModel(net)
    model.check(samples)
    nn.init.constant_(net.head.weight, 1)  # training has begun
    cam = model.explain(samples, [0], [1])[0]
    assert cam.any()  # where the scores do not look, all is zero


class Small(nn.Module):
    """A network on a device whose memory holds three images at a time."""

    def __init__(self, holds=3):
        super().__init__()
        self.net, self.holds, self.asked = contract.make_net(), holds, []

    def forward(self, x):
        self.asked.append(len(x))
        if len(x) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return self.net(x)


def test_where_memory_runs_out_fewer_images_are_looked_at_together_and_it_is_said(caplog):
    torch.manual_seed(0)
    net, samples = Small(), contract.make_samples()
    model = TorchModel(net, batch_size=8)
    probs = model.predict(samples)
    assert net.asked == [8, 4, *[2] * 12]
    np.testing.assert_array_equal(probs, TorchModel(net.net, batch_size=2).predict(samples))
    net.asked.clear()
    model.predict(samples)
    assert net.asked == [2] * 12, "it is remembered"
    (said,) = caplog.records
    assert said.getMessage() == (
        "The GPU's memory does not hold 8 images at a time: the model looks at 2."
    )


def test_heat_maps_are_made_of_fewer_images_at_a_time_where_memory_runs_out():
    torch.manual_seed(0)
    net, samples = Small(), contract.make_samples()
    indices, classes = [7, 2, 7, 11, 4, 0], [0, 1, 2, 1, 0, 2]
    found = TorchModel(net, batch_size=64, layer="net.3").explain(samples, indices, classes)
    assert net.asked == [5, 2, 2, 1]
    there = TorchModel(net.net, batch_size=2, layer="3").explain(samples, indices, classes)
    for cam, expected in zip(found, there, strict=True):
        np.testing.assert_array_equal(cam, expected)
    assert not any(part._forward_hooks for part in net.modules()), "also of the pass that failed"


def test_what_a_single_image_has_no_room_for_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        TorchModel(Small(holds=0)).predict(contract.make_samples())


def precision():
    """Of a GPU's convolutions, by the name that this PyTorch has for it."""
    conv = getattr(torch.backends.cudnn, "conv", None)
    return torch.backends.cudnn.allow_tf32 if conv is None else conv.fp32_precision


def test_predictions_and_heat_maps_keep_all_bits_of_float32():
    net, samples, seen = contract.make_net(), contract.make_samples(), []
    net.register_forward_hook(lambda *_: seen.append(precision()))
    before = precision()
    model = TorchModel(net)
    with torch.autocast("cpu", torch.bfloat16):
        model.predict(samples)
        model.explain(samples, [0], [1])
    assert set(seen) <= {"ieee", False}
    assert precision() == before
    assert torch.backends.cudnn.allow_tf32, "as PyTorch has it, also by its older name"


@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="there is no CUDA GPU here, and a CPU knows no TF32",
)
def test_a_gpu_convolves_with_all_bits_of_float32():
    torch.manual_seed(0)
    conv, images = nn.Conv2d(64, 64, 3, bias=False), torch.randn(4, 64, 16, 16)
    with torch.no_grad(), full_precision(torch.device("cuda")):
        exact = conv.double()(images.double())
        found = conv.float().cuda()(images.cuda())
    error = (found.double().cpu() - exact).abs().max() / exact.std()
    assert error < 2e-4  # of ten bits, a thousandth


def test_a_model_with_too_few_outputs_is_told_before_training():
    net = nn.Sequential(*contract.make_net()[:-1], nn.Linear(6, 2))
    with pytest.raises(ShapeError, match="gives 2 classes, and a label is 2, counted from 0"):
        TorchModel(net).check(contract.make_samples())
