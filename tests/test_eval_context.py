"""A block that looks at a model leaves no trace."""

from __future__ import annotations

import math
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from imil.pytorch.eval_context import eval_context, recording, weights_at_rest


def mixed() -> nn.Module:
    """A module in training, some of whose parts are in evaluation mode."""
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Sequential(nn.Dropout(), nn.BatchNorm2d(2))
    )
    module.train()
    module[1].eval()
    module[2][0].eval()
    return module


def flags(module: nn.Module) -> list[bool]:
    return [part.training for part in module.modules()]


def draw() -> tuple[float, float, float]:
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002


def test_every_part_is_in_evaluation_mode_inside_and_as_before_outside() -> None:
    module = mixed()
    before = flags(module)
    with eval_context(module):
        assert not any(flags(module))
    assert flags(module) == before
    assert before == [True, True, False, True, False, True]


def test_flags_come_back_after_an_exception_and_after_the_block_changed_them() -> None:
    module = mixed()
    before = flags(module)

    def change_and_fail() -> None:
        with eval_context(module):
            module.train()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_and_fail()
    assert flags(module) == before


def test_random_numbers_go_on_as_if_the_block_had_drawn_none() -> None:
    for fails in (False, True):
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002
        torch.manual_seed(3)
        expected = draw()
        random.seed(3)
        np.random.seed(3)  # noqa: NPY002
        torch.manual_seed(3)
        try:
            with eval_context(nn.Identity()):
                draw()
                if fails:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        assert draw() == expected


@pytest.mark.parametrize("outside", [True, False])
def test_recording_of_gradients_comes_back(outside: bool) -> None:
    with torch.set_grad_enabled(outside):
        with eval_context(nn.Identity()):
            torch.set_grad_enabled(not outside)
        assert torch.is_grad_enabled() is outside


def test_parameters_gradients_and_buffers_are_not_touched() -> None:
    module = mixed()
    module(torch.randn(2, 1, 8, 8)).sum().backward()
    module[0].weight.requires_grad_(False)
    state = {name: value.clone() for name, value in module.state_dict().items()}
    versions = [value._version for value in module.state_dict().values()]
    grads = [parameter.grad for parameter in module.parameters()]
    copies = [None if grad is None else grad.clone() for grad in grads]
    with eval_context(module):
        module(torch.randn(2, 1, 8, 8))
    assert all(torch.equal(state[name], value) for name, value in module.state_dict().items())
    assert [value._version for value in module.state_dict().values()] == versions
    for parameter, grad, copy in zip(module.parameters(), grads, copies, strict=True):
        assert parameter.grad is grad
        assert copy is None or torch.equal(grad, copy)
    assert [p.requires_grad for p in module.parameters()] == [False, True, True, True, True, True]


class Caching(nn.Module):
    """Keeps in evaluation mode what it computed from its weight, and forgets it in `train`."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.cache: torch.Tensor | None = None

    def train(self, mode: bool = True) -> Caching:
        self.cache = None
        return super().train(mode)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if self.training:
            return images * self.weight.exp()
        self.cache = self.weight.exp() if self.cache is None else self.cache
        return images * self.cache


@pytest.mark.parametrize("frozen", [False, True])
def test_a_model_with_a_cache_gives_the_second_round_its_own_values(frozen: bool) -> None:
    module = nn.Sequential(Caching())
    module[0].train(not frozen)
    for weight in (1.0, 2.0):  # trained in between
        with torch.no_grad():
            module[0].weight.fill_(weight)
        with eval_context(module):
            assert module(torch.ones(1)).item() == pytest.approx(math.exp(weight))
        assert flags(module) == [True, not frozen]
        assert module[0].cache is None  # it holds the graph of this block


def test_adapters_that_train_merges_leave_the_weights_bit_for_bit() -> None:
    class Merging(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 3)
            self.delta, self.merged = nn.Parameter(torch.randn(3, 3) / 3), False

        def train(self, mode: bool = True) -> Merging:
            if self.merged is mode:
                self.weight.data += -self.delta.data if mode else self.delta.data
                self.merged = not mode
            return super().train(mode)

    torch.manual_seed(0)
    module = nn.Sequential(*(Merging() for _ in range(9)))
    before = [parameter.detach().clone() for parameter in module.parameters()]
    with eval_context(module), eval_context(module):
        assert all(part.merged for part in module)
    assert not any(part.merged for part in module)
    for parameter, value in zip(module.parameters(), before, strict=True):
        torch.testing.assert_close(parameter, value, rtol=0, atol=0)


UNSTARTED = """
import torch
from imil.pytorch.eval_context import eval_context

with eval_context(torch.nn.Identity()):
    pass
assert not torch.cuda.is_initialized()
"""


def test_cuda_is_not_started() -> None:
    # in a process of its own: another test may have started it in this one
    subprocess.run([sys.executable, "-c", UNSTARTED], check=True)


@pytest.mark.skipif(
    not torch.cuda.is_available(),
    reason="there is no CUDA GPU here, and this is about its random numbers",
)
def test_random_numbers_of_cuda_go_on_as_if_the_block_had_drawn_none() -> None:
    torch.cuda.manual_seed_all(3)
    expected = torch.rand(3, device="cuda")
    torch.cuda.manual_seed_all(3)
    with eval_context(nn.Identity()):
        torch.rand(5, device="cuda")
    assert torch.equal(torch.rand(3, device="cuda"), expected)


def test_gradients_are_recorded_in_full_precision_whatever_surrounds_the_block() -> None:
    layer = nn.Linear(2, 2)
    cpu = torch.device("cpu")
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        given = torch.ones(1, 2)
        with recording(cpu):
            result = layer(given.clone())
            assert result.dtype == torch.float32
            assert result.requires_grad
        assert torch.is_inference_mode_enabled()
        assert layer(given).dtype == torch.bfloat16


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_recorded_before_a_tensor_asks_for_it(fails: bool) -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[0].weight.requires_grad_(False)
    before = [parameter.requires_grad for parameter in module.parameters()]
    try:
        with weights_at_rest(module), torch.enable_grad():
            first = module[0](torch.ones(1, 2))
            assert first.grad_fn is None
            second = module[1](first.requires_grad_())
            assert second.requires_grad
            if fails:
                raise FloatingPointError
    except FloatingPointError:
        assert fails
    assert [parameter.requires_grad for parameter in module.parameters()] == before
    assert all(parameter.grad is None for parameter in module.parameters())
