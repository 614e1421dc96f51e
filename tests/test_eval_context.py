"""A block that looks at a model leaves no trace."""

from __future__ import annotations

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


def test_a_module_s_own_train_method_is_not_called() -> None:
    class Merging(nn.Module):
        merged = 0

        def train(self, mode: bool = True) -> Merging:
            self.merged += 1
            return super().train(mode)

    module = Merging()
    with eval_context(module):
        assert not module.training
    assert module.merged == 0


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
