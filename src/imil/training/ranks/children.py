"""The ranks that `imil train --devices` starts itself, on one machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from imil.errors import SettingsError
from imil.safe_path import child_environment
from imil.settings import TrainSettings
from imil.training.hardware.device import training_device

END_SECONDS = 10.0  # for children to end by themselves


class Children:
    """The ranks that this process started.

    Args:
        processes: of ranks 1, 2 …
    """

    def __init__(self, processes: list[subprocess.Popen[bytes]]) -> None:
        self.processes = processes

    def ended(self) -> str:
        """A sentence about one that ended; "" while all run."""
        for rank, process in enumerate(self.processes, 1):
            if process.poll() is not None:
                return f"the process of rank {rank} ended with {process.returncode} at its start"
        return ""


@contextmanager
def child_ranks(size: int, file: Path) -> Iterator[Children]:
    """Ranks 1, 2 … of this machine, which end with the block."""
    children = Children([])
    words = [sys.executable, "-m", "imil.training.ranks.child", str(file), str(size)]
    try:
        for rank in range(1, size):
            # in a session of its own: Ctrl-C is for rank 0, which tells the others
            children.processes.append(
                subprocess.Popen(
                    [*words, str(rank)],
                    env=child_environment() | {"OMP_NUM_THREADS": str(torch.get_num_threads())},
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                )
            )
        yield children
    finally:
        for process in children.processes:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def share_processors(ranks: int) -> None:
    """Give each rank of this machine its share of the processors, if nobody said how many."""
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, torch.get_num_threads() // ranks))


def check_devices(settings: TrainSettings, ranks: int) -> None:
    """Raises: SettingsError: this machine has fewer devices."""
    device = training_device(settings.device)
    if device.type == "mps":
        raise SettingsError(
            f"--devices is {ranks}, and mps has one device: give 1, or --device cpu, where it "
            "means processes"
        )
    if device.type == "cuda" and torch.cuda.device_count() < ranks:
        raise SettingsError(
            f"--devices is {ranks}, and this machine has {torch.cuda.device_count()} GPU: give as "
            "many or fewer, or --device cpu, where it means processes"
        )
