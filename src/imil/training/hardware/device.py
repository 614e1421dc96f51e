"""Where a network is trained, and in which precision."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from imil.errors import SettingsError
from imil.pytorch.out_of_memory import ran_out
from imil.settings import TrainSettings


def training_device(name: str) -> torch.device:
    """The device of that name; `auto` takes the best there is.

    Raises: SettingsError: there is no such kind, or this machine or build of PyTorch has none.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name not in ("auto", *available):
        raise SettingsError(f"--device is '{name}': give auto, {', '.join(available)}")
    if name == "auto":
        name = next(kind for kind in available if available[kind])
    if not available[name]:
        why = (
            "none was detected" if _is_built(name) else "the installed PyTorch is built without it"
        )
        raise SettingsError(
            f"--device {name} is not available on this machine ({why}): give "
            f"{' or '.join(kind for kind in available if available[kind])}, or auto "
            "(of a run that is resumed: in its config.toml)"
        )
    return torch.device(name, 0) if name == "cuda" else torch.device(name)


def rank_device(name: str, local_rank: int) -> torch.device:
    """The device of a rank, as `training_device` names it.

    Args:
        local_rank: among the ranks of its machine, from 0.
    Raises: SettingsError: this machine has fewer.
    """
    device = training_device(name)
    if device.type != "cuda":
        return device
    gpus = torch.cuda.device_count()
    if local_rank >= gpus > 1:
        raise SettingsError(f"rank {local_rank} of its machine has no GPU: there are {gpus}")
    device = torch.device("cuda", local_rank if local_rank < gpus else 0)  # or each has its own
    torch.cuda.set_device(device)
    return device


def resolve_auto(settings: TrainSettings) -> TrainSettings:
    """The settings with what `auto` comes to on this machine: a resumed run must not differ.

    Raises: SettingsError: this machine lacks the device.
    """
    device = training_device(settings.device)
    volumes = settings.image_depth > 1
    half = precision(settings.precision, device, volumes=volumes) == "bf16-mixed"
    return settings.model_copy(
        update={"device": device.type, "precision": "bf16" if half else "32"}
    )


def precision(
    setting: str, device: torch.device, *, volumes: bool = False
) -> Literal["32-true", "bf16-mixed"]:
    """`bf16-mixed` (weights in float32) or `32-true`; `auto`: as the hardware has it.

    Args:
        volumes: whether the network convolves volumes. In bfloat16 on a processor, PyTorch 2.13
            takes gradients of small maps from memory that was never written.
    Raises: SettingsError: bfloat16 is asked for there.
    """
    if volumes and device.type == "cpu":
        if setting == "bf16":
            raise SettingsError(
                "--precision bf16 computes wrong gradients of volumes on a processor: give "
                "--precision 32, or a GPU"
            )
        return "32-true"
    if setting == "32":
        return "32-true"
    if setting == "bf16":
        return "bf16-mixed"
    return "bf16-mixed" if has_bfloat16(device) else "32-true"


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16, rather than imitating it."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "mps":
        return False
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def free_memory(device: torch.device) -> int | None:
    """Bytes of the device's own memory that are free; None where it shares the computer's."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


@contextmanager
def enough_memory(batch_size: int) -> Iterator[None]:
    """A block in which a GPU whose memory is full becomes one sentence.

    Raises: SettingsError: its memory is full.
    """
    try:
        yield
    except RuntimeError as error:
        if not ran_out(error):
            raise
        raise SettingsError(
            f"the GPU's memory does not hold a training step of {batch_size} images beside what "
            "else is in it: train anew with a lower --batch-size, or go on when other programs "
            "leave more of it"
        ) from error


def empty_cache(device: torch.device) -> None:
    """Give back what earlier trainings of this process have left in a GPU's memory."""
    if device.type == "cuda":
        gc.collect()  # an earlier run's objects may refer to each other
        torch.cuda.empty_cache()


def _is_built(name: str) -> bool:
    built = torch.backends.cuda if name == "cuda" else torch.backends.mps
    return bool(built.is_built())
