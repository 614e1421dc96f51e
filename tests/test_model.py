"""A PyTorch module as the model of a round."""

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
    cams = TorchModel(net, batch_size=8).explain(samples, indices, classes)
    assert seen == [7, 2, 11, 0]  # once each, however many classes are explained
    assert len(cams) == 7
    for cam, i, wanted in zip(cams, indices, classes, strict=True):
        alone = grad_cam(net, samples.view(i)[None], np.array([[wanted]]))[0, 0]
        np.testing.assert_allclose(cam, alone, atol=1e-5)
    assert len({cam.tobytes() for cam in cams}) > 3


def test_predictions_are_one_value_with_the_samples_labels_and_keys(monkeypatch):
    torch.manual_seed(0)
    net, samples = contract.make_net(), contract.make_samples()
    predictions = TorchModel(net, batch_size=1).predict(samples)
    assert net.training, "as it was"
    assert predictions.probs.dtype == np.float64
    assert predictions.probs.shape == (len(samples), 3)
    np.testing.assert_allclose(predictions.probs.sum(axis=1), 1)
    np.testing.assert_array_equal(predictions.labels, samples.labels)
    assert predictions.keys == [samples.key(i) for i in range(len(samples))]
    assert not predictions.heat_maps
    monkeypatch.setattr("imil.pytorch.model.BATCHES", 5)  # copied from the device more often
    again = TorchModel(net, batch_size=1).predict(samples)
    np.testing.assert_array_equal(again.probs, predictions.probs)
    rows = TorchModel(net, batch_size=1).probs(samples, [7, 2])
    np.testing.assert_array_equal(rows, predictions.probs[[7, 2]])


def test_a_layer_found_by_check_is_not_searched_for_again_by_the_round():
    net, samples, passes = contract.make_net(), contract.make_samples(), []
    net.register_forward_hook(lambda *_: passes.append(1))
    model = TorchModel(net)
    model.check(samples)
    passes.clear()
    model.explain(samples, [0, 1], [0, 1])
    assert len(passes) == 1


def test_the_same_samples_are_checked_once():
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


def test_a_layer_found_under_a_head_of_zeros_is_searched_for_again():
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
        self.net, self.holds, self.batch_sizes = contract.make_net(), holds, []

    def forward(self, x):
        self.batch_sizes.append(len(x))
        if len(x) > self.holds:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
        return self.net(x)


def test_where_memory_runs_out_the_batch_size_is_reduced_with_a_warning(caplog):
    torch.manual_seed(0)
    net, samples = Small(), contract.make_samples()
    model = TorchModel(net, batch_size=8)
    probs = model.probs(samples)
    assert net.batch_sizes == [8, 4, *[2] * 12]
    np.testing.assert_array_equal(probs, TorchModel(net.net, batch_size=2).probs(samples))
    net.batch_sizes.clear()
    model.predict(samples)
    assert net.batch_sizes == [2] * 12, "the reduced size is remembered"
    (record,) = caplog.records
    assert record.getMessage() == (
        "The GPU's memory does not hold 8 images at a time: the batch size is now 2."
    )


def test_heat_maps_are_made_in_smaller_batches_where_memory_runs_out():
    torch.manual_seed(0)
    net, samples = Small(), contract.make_samples()
    indices, classes = [7, 2, 7, 11, 4, 0], [0, 1, 2, 1, 0, 2]
    cams = TorchModel(net, batch_size=64, layer="net.3").explain(samples, indices, classes)
    assert net.batch_sizes == [5, 2, 2, 1]
    expected_cams = TorchModel(net.net, batch_size=2, layer="3").explain(samples, indices, classes)
    for cam, expected in zip(cams, expected_cams, strict=True):
        np.testing.assert_array_equal(cam, expected)
    assert not any(part._forward_hooks for part in net.modules()), "also of the pass that failed"


def test_memory_too_small_for_one_image_is_an_error():
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
    reason="no CUDA GPU on this machine, and a CPU has no TF32",
)
def test_a_gpu_convolves_with_all_bits_of_float32():
    torch.manual_seed(0)
    conv, images = nn.Conv2d(64, 64, 3, bias=False), torch.randn(4, 64, 16, 16)
    with torch.no_grad(), full_precision(torch.device("cuda")):
        exact = conv.double()(images.double())
        result = conv.float().cuda()(images.cuda())
    error = (result.double().cpu() - exact).abs().max() / exact.std()
    assert error < 2e-4  # of ten bits, a thousandth


def test_a_model_with_too_few_outputs_is_refused_before_training():
    net = nn.Sequential(*contract.make_net()[:-1], nn.Linear(6, 2))
    with pytest.raises(ShapeError, match="gives 2 classes, and a label is 2, counted from 0"):
        TorchModel(net).check(contract.make_samples())
