"""The collective operations of a training on several devices, the same calls on every rank."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from imil.pytorch.corrections import Corrections
from imil.pytorch.eval_context import eval_context
from imil.training.classifier import Classifier, StepResult
from imil.treatments import Batch, Draw

if TYPE_CHECKING:
    from imil.training.loop import Loop


class Team:
    """All ranks of a training.

    Args:
        rank: of this process.
        size: number of ranks.
        device: of this rank; what is sent lies there.
    """

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device

    def part(self, n: int) -> slice:
        """Which of n images of a step are this rank's; the first ranks have one more."""
        each, more = divmod(n, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def parallel(
        self, module: Classifier, images: Tensor
    ) -> Callable[[Batch, Draw, torch.Generator], StepResult]:
        """`module.training_step`, after whose loss `backward` gives all ranks' mean gradients.

        Args:
            images: some raw pixels, to see whether the output depends on all weights.
        """
        with warnings.catch_warnings():
            # PyTorch 2.6 does not have the option that takes the place of this one
            warnings.filterwarnings("ignore", "`broadcast_buffers`", FutureWarning)
            return DistributedDataParallel(
                _Step(module),
                broadcast_buffers=False,  # `average_statistics` does it, once an epoch
                find_unused_parameters=_has_unused(module, images),
            )

    def sums(self, *values: Tensor) -> list[float]:
        """The sum over all ranks of each of these numbers."""
        total = torch.stack([value.detach().double() for value in values]).to(self.device)
        dist.all_reduce(total)
        return total.tolist()

    def gather(self, rows: Tensor) -> Tensor:
        """The rows of all ranks, those of rank 0 first, (sum of N, …).

        Args:
            rows: (N, …) of this rank, on its device; N may differ.
        """
        count = torch.tensor([len(rows)], device=self.device)
        counts = [torch.zeros_like(count) for _ in range(self.size)]
        dist.all_gather(counts, count)
        numbers = [int(one) for one in counts]
        padded = rows.new_zeros((max(numbers), *rows.shape[1:]))  # all send the same number
        padded[: len(rows)] = rows
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        return torch.cat([part[:n] for part, n in zip(parts, numbers, strict=True)])

    def broadcast(self, value: Any) -> Any:
        """What rank 0 gives: tensors, numbers and text in dicts and lists; others give None."""
        data = torch.empty(0, dtype=torch.uint8)
        if self.rank == 0:
            file = io.BytesIO()
            torch.save(value, file)
            data = torch.frombuffer(file.getbuffer(), dtype=torch.uint8)
        length = torch.tensor([len(data)], device=self.device)
        dist.broadcast(length, 0)
        data = (
            data.to(self.device)
            if self.rank == 0
            else data.new_empty(int(length), device=self.device)
        )
        dist.broadcast(data, 0)
        if self.rank == 0:
            return value
        received = io.BytesIO(data.cpu().numpy().tobytes())
        return torch.load(received, map_location="cpu", weights_only=True)

    def share_weights(self, module: nn.Module) -> None:
        """Give every rank the weights and running averages of rank 0."""
        _in_blocks(module.state_dict().values(), lambda block: dist.broadcast(block, 0))

    def average_statistics(self, module: nn.Module) -> None:
        """Give every rank the mean of all ranks' running averages of batch normalisation."""

        def average(block: Tensor) -> None:
            dist.all_reduce(block)
            block /= self.size

        running = [
            buffer
            for part in module.modules()
            if isinstance(part, nn.modules.batchnorm._BatchNorm)
            for buffer in (part.running_mean, part.running_var)
            if buffer is not None
        ]
        _in_blocks(running, average)

    def share_state(self, loop: Loop, corrections: Corrections, *, optimizer: bool) -> None:
        """Give every rank the state of rank 0 before an epoch.

        Args:
            loop: whose network and optimizer.
            corrections: of the training set.
            optimizer: whether its state too, which afterwards stays the same on all ranks.
        """
        self.share_weights(loop.module)
        self.share_corrections(corrections)
        if optimizer:
            state = self.broadcast(loop.optimizer.state_dict() if self.rank == 0 else None)
            if self.rank != 0:
                loop.optimizer.load_state_dict(state)

    def share_corrections(self, corrections: Corrections) -> None:
        """Give every rank the corrections of rank 0."""
        given = self.broadcast(corrections.state_dict() if self.rank == 0 else None)
        if self.rank != 0:
            corrections.load_state_dict(given)


class _Step(nn.Module):
    """A training step as the `forward` that `DistributedDataParallel` calls."""

    def __init__(self, module: Classifier) -> None:
        super().__init__()
        self.module = module

    def forward(self, batch: Batch, draw: Draw, rng: torch.Generator) -> StepResult:
        return self.module.training_step(batch, draw, rng)


def _has_unused(module: Classifier, images: Tensor) -> bool:
    """Whether there are weights that the logits do not depend on, as some models of timm have."""
    with eval_context(module), torch.enable_grad():
        logits = module(images)
        weights = [weight for weight in module.parameters() if weight.requires_grad]
        gradients = torch.autograd.grad(logits.sum(), weights, allow_unused=True)
    return any(gradient is None for gradient in gradients)


def _in_blocks(tensors: Iterable[Tensor], change: Callable[[Tensor], object]) -> None:
    """Change tensors in place, all of a dtype in one call."""
    of_dtype: dict[torch.dtype, list[Tensor]] = {}
    for tensor in tensors:
        of_dtype.setdefault(tensor.dtype, []).append(tensor.detach())
    for same in of_dtype.values():
        block = torch.cat([tensor.flatten() for tensor in same])
        change(block)
        parts = block.split([tensor.numel() for tensor in same])
        for tensor, part in zip(same, parts, strict=True):
            tensor.copy_(part.view(tensor.shape))
