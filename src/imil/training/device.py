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


def training_device(asked: str) -> torch.device:
    """The device of that name; `auto` takes the best there is.

    Raises: SettingsError: this machine, or this build of PyTorch, has none.
    """
    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    name = next(kind for kind in there if there[kind]) if asked == "auto" else asked
    if not there[name]:
        why = "none is found" if _is_built(name) else "the installed PyTorch is built without it"
        raise SettingsError(
            f"--device {name} is not to be had here ({why}): give "
            f"{' or '.join(kind for kind in there if there[kind])}, or auto (of a run that is "
            "resumed: in its config.toml)"
        )
    return torch.device(name, 0) if name == "cuda" else torch.device(name)


def resolve_auto(settings: TrainSettings) -> TrainSettings:
    """The settings with what `auto` comes to on this machine: a resumed run must not differ.

    Raises: SettingsError: this machine lacks the device.
    """
    device = training_device(settings.device)
    half = precision(settings.precision, device) == "bf16-mixed"
    return settings.model_copy(
        update={"device": device.type, "precision": "bf16" if half else "32"}
    )


def precision(asked: str, device: torch.device) -> Literal["32-true", "bf16-mixed"]:
    """Lightning's name for the precision; `auto` takes bfloat16 where the hardware has it."""
    if asked == "32":
        return "32-true"
    if asked == "bf16":
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
    """A training in which a GPU's memory that is full, from its first byte on, is one sentence.

    Raises: SettingsError: it is.
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
        gc.collect()  # a trainer, its module and its callbacks name each other
        torch.cuda.empty_cache()


def _is_built(name: str) -> bool:
    built = torch.backends.cuda if name == "cuda" else torch.backends.mps
    return bool(built.is_built())
