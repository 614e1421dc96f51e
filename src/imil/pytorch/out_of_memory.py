"""Recognising that a device's memory is full, whichever library reports it."""

from __future__ import annotations

import torch

# of CUDA itself (with a class of its own, or as an error of the accelerator), of cuBLAS, of cuDNN
MESSAGES = ("out of memory", "ALLOC_FAILED")


def ran_out(error: RuntimeError) -> bool:
    """Whether it says that a GPU's memory is full."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    message = str(error)
    return any(sign in message for sign in MESSAGES)
