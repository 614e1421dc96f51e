"""Evaluating a model without changing it: modes, random states, gradients, precision."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
import torch
from torch import nn


@contextmanager
def eval_context(module: nn.Module) -> Iterator[None]:
    """A block in which the module is in evaluation mode; afterwards all is as it was.

    Put back, also after an exception: the training flag of every submodule, the random states
    of Python, NumPy and torch (CPU, and every CUDA device if CUDA is in use), and whether
    gradients are recorded. Parameters, their gradients, buffers and hooks are not touched.

    A part's own `train` is called before and after: some keep what they computed from their weights
    in evaluation mode, and forget it only there. What it does to its parameters, such as merging
    adapters, is put back bit for bit.

    Args:
        module: any module; some of its parts may be in evaluation mode already.
    """
    flags = [(part, part.training) for part in module.modules()]
    own = [(part, on) for part, on in flags if type(part).train is not nn.Module.train]
    values = [(p, p.detach().clone()) for part, _ in own for p in part.parameters(recurse=False)]
    was_recording = torch.is_grad_enabled()
    restore_random = _remember_random()
    try:
        for part, _ in own:
            part.train(False)
        for part, _ in flags:
            part.training = False
        yield
    finally:
        for part, training in own:
            part.train(training)
        for parameter, value in values:
            if not torch.equal(parameter.data, value):
                parameter.data.copy_(value)
        for part, training in flags:  # a part's train() reaches into others
            part.training = training
        restore_random()
        torch.set_grad_enabled(was_recording)


@contextmanager
def recording(device: torch.device) -> Iterator[None]:
    """A block that records gradients in full precision, whatever surrounds it.

    Args:
        device: where the module computes.
    """
    with (
        without_compilation(),
        torch.inference_mode(False),
        torch.enable_grad(),
        full_precision(device),
    ):
        yield


def without_compilation() -> AbstractContextManager[object]:
    """A block in which compiled parts run uncompiled: compiled code would run past hooks."""
    if "torch._dynamo" not in sys.modules:
        return nullcontext()
    return torch.compiler.set_stance("force_eager")


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """A block in which float32 keeps all of its bits, whatever surrounds it.

    PyTorch lets convolutions on a GPU round float32 to TF32, to 10 bits of 23, unless it is told
    not to.

    Args:
        device: where the module computes.
    """
    holder, name, full = _convolutions()
    before = getattr(holder, name)
    setattr(holder, name, full)
    try:
        with torch.autocast(device.type, enabled=False):
            yield
    finally:
        setattr(holder, name, before)


def rounding(device: torch.device) -> AbstractContextManager[object]:
    """A block that multiplies in bfloat16, whatever surrounds it.

    Args:
        device: where the module computes.
    """
    # without the cache: weights that are rounded here know no gradient, and a training around
    # this block would take them for its own
    return torch.autocast(device.type, torch.bfloat16, cache_enabled=False)


def _convolutions() -> tuple[object, str, object]:
    """Where PyTorch keeps the precision of a GPU's convolutions, and its value for all bits."""
    conv = getattr(torch.backends.cudnn, "conv", None)
    # the older name, since PyTorch 2.9 an error where a user has set the newer one
    old = (torch.backends.cudnn, "allow_tf32", False)
    return old if conv is None else (conv, "fp32_precision", "ieee")


@contextmanager
def weights_at_rest(module: nn.Module) -> Iterator[None]:
    """A block in which no gradient can reach the module's parameters; afterwards as before.

    Only what follows a tensor that asks for its gradient is then recorded: a pass costs as much
    as under no_grad up to there, also where parts of the module turn recording on or off.
    """
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


def _remember_random() -> Callable[[], None]:
    """A function that puts the global random states back to what they are now."""
    python, cpu = random.getstate(), torch.get_rng_state()
    numpy = np.random.get_state(legacy=False)  # noqa: NPY002 - the user's own is kept
    # only where CUDA runs already: to ask for its state would start it
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []

    def restore() -> None:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002 - the user's own is put back
        torch.set_rng_state(cpu)
        if cuda:
            torch.cuda.set_rng_state_all(cuda)

    return restore
