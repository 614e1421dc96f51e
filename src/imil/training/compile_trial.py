"""Compiling the network, where that pays within the run."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Literal

import torch
from torch import Tensor, nn

from imil.errors import SettingsError

Call = Callable[[Tensor], Tensor]
TIMED = 3  # steps
SHORT = 300.0  # seconds of steps: compiling takes a minute or two, and saves a fifth of them


@dataclass(frozen=True)
class Trial:
    """What was measured, in seconds.

    Args:
        eager: a training step as it is.
        compiled: the same, compiled.
        cost: of compiling.
    """

    eager: float
    compiled: float
    cost: float

    def pays(self, steps: int) -> bool:
        """Whether so many steps take less time if the network is compiled for them."""
        return self.cost + steps * self.compiled < steps * self.eager


def compiled(net: nn.Module, batch_size: int) -> Call:
    """The network, compiled for whole batches; a smaller one goes through it as it is.

    The network itself stays as it was: its weights are shared.
    """
    # a function: as a module it would hold every weight a second time
    whole: Call = torch.compile(lambda images: net(images), dynamic=False)
    return lambda images: whole(images) if len(images) == batch_size else net(images)


def worth_compiling(
    net: nn.Module,
    images: Tensor,
    asked: Literal["on", "off", "auto"],
    *,
    steps: int,
    half: bool,
    say: Callable[[str], None],
) -> bool:
    """Whether to compile: as asked, or by trying it on a copy of the network.

    Args:
        net: in training mode, on the device; left as it is, and so are random states.
        images: a batch as the network takes it.
        steps: that are left of the training.
        half: whether they are done in bfloat16.
        say: is told what was measured.
    Raises: SettingsError: it is to be compiled, and cannot be.
    """
    if asked == "off":
        return False
    devices = [images.device] if images.is_cuda else []
    with torch.random.fork_rng(devices):
        try:
            eager = _seconds(copy.deepcopy(net), images, half) if asked == "auto" else 0.0
            if asked == "auto" and steps * eager < SHORT:
                return False
            copied = copy.deepcopy(net)
            began = perf_counter()
            faster = compiled(copied, len(images))
            _step(faster, images, half)
            cost = perf_counter() - began
            if asked == "on":
                return True
            trial = Trial(eager, _seconds(faster, images, half), max(0.0, cost - eager))
        except (RuntimeError, OSError) as error:  # no C++ compiler, no memory
            why = f"the network cannot be compiled here ({str(error).strip().splitlines()[0]})"
            if asked == "auto":
                say(f"Not compiled: {why}.")
                return False
            raise SettingsError(
                f"{why}: give --compile off (of a run that is resumed: in its config.toml)"
            ) from error
    told = f"{trial.compiled / trial.eager:.2f} of a step's time, after {trial.cost:.0f} s"
    say(f"{'Compiled' if trial.pays(steps) else 'Not compiled'}: it takes {told}.")
    return trial.pays(steps)


def _seconds(net: Call, images: Tensor, half: bool) -> float:
    _step(net, images, half)
    return median(_step(net, images, half) for _ in range(TIMED))


def _step(net: Call, images: Tensor, half: bool) -> float:
    """Seconds of a forward and a backward pass."""
    began = perf_counter()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=half):
        logits = net(images)
    logits.float().square().mean().backward()
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return perf_counter() - began
