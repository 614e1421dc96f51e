"""IMIL in a loop that uses accelerate."""

import contract
import pytest
import torch
from test_imil_callback import Positions
from torch import nn
from torch.utils.data import DataLoader

from imil.pytorch import IMIL


def fit(samples, ask, store, imil_epoch, epochs, *, num_outliers=5, net=None, fits=1, times=1):
    accelerate = pytest.importorskip("accelerate", reason="needs accelerate, of imil[huggingface]")
    accelerator = accelerate.Accelerator(cpu=True)
    net, drawn = net or contract.make_net(), []
    imil = ask and IMIL(
        samples, net, ask, store=store, imil_epoch=imil_epoch, num_outliers=num_outliers
    )
    wrapped, optimizer, loader = accelerator.prepare(
        net,
        torch.optim.SGD(net.parameters(), 0.1, momentum=0.9),
        DataLoader(Positions(samples), 8, shuffle=True),
    )
    torch.manual_seed(1)
    for epoch in [*range(epochs)] * fits:
        drawn.append({})
        wrapped.train()
        for i, images, labels in loader:
            drawn[-1] |= {int(n): image[0].numpy() for n, image in zip(i, images, strict=True)}
            optimizer.zero_grad()
            accelerator.backward(nn.functional.cross_entropy(wrapped(images), labels))
            optimizer.step()
        if imil:
            for _ in range(times):
                imil.after_epoch(epoch + 1)
    return net.state_dict(), drawn


@pytest.mark.parametrize("check", contract.LOOP_CHECKS, ids=lambda check: check.__name__)
def test_the_contract(check, tmp_path):
    check(fit, tmp_path)
