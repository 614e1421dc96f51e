"""A PyTorch module as a round sees it."""

import contract
import numpy as np
import torch

from imil.pytorch import TorchModel
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
