"""A run's checkpoints: written beside the training, and no more often than they are worth."""

from __future__ import annotations

import logging
from collections.abc import Callable, Container
from concurrent.futures import Future, ThreadPoolExecutor, wait
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from imil.atomic_files import atomic_write, link_or_copy
from imil.errors import DataError
from imil.run_folder import RunFolder
from imil.training.loop import EpochResult
from imil.training.throttle import Throttle

LOG = logging.getLogger(__name__)
FORMAT = 1
ENTRIES = {"format", "epoch", "model", "optimizer", "history", "treatment"}


class Writer:
    """Writes a checkpoint while training goes on; whole, or not at all.

    Memory meanwhile: the checkpoint twice, once as tensors and once as bytes; never more, for
    the next one waits.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "imil-checkpoint")
        self._writing: Future[None] | None = None
        self._throttle = Throttle()

    def due(self) -> bool:
        """Whether the last one is written and long enough ago."""
        return (self._writing is None or self._writing.done()) and self._throttle.due()

    def write(self, checkpoint: dict[str, Any], path: Path) -> None:
        """Copy what is to be written and return; `settle` waits for the end.

        Raises: DataError: the one before could not be written.
        """
        self.settle()
        # on the host, and here: the thread must not stand in the way of a GPU
        self._writing = self._pool.submit(self._write, _on_cpu(checkpoint), path)

    def settle(self) -> None:
        """Wait until everything is on disk. Raises: DataError: it could not be written."""
        writing = self._writing
        if writing is not None:
            wait([writing])  # a Ctrl-C here must not forget it
            self._writing = None
            writing.result()

    def _write(self, checkpoint: dict[str, Any], path: Path) -> None:
        with self._throttle.timed(), atomic_write(path) as half:
            data = BytesIO()
            torch.save(checkpoint, data)  # straight into a file, a full disk has no name
            half.write_bytes(data.getbuffer())


class Checkpoints:
    """A checkpoint now and then and after the last epoch, and one that stays before each round.

    Args:
        folder: where they lie.
        always: completed epochs after which one stays; it is on disk when `save` returns.
        writer: writes them.
        state: what they hold, see `ENTRIES`; asked only where one is written.
    """

    def __init__(
        self,
        folder: RunFolder,
        always: Container[int],
        writer: Writer,
        state: Callable[[], dict[str, Any]],
    ) -> None:
        self._folder, self._always, self._writer, self._state = folder, always, writer, state

    def save(self, result: EpochResult, *, now: bool = False) -> None:
        """Write one where it is due, or in any case: the training is about to be stopped."""
        epoch = result.epoch
        if epoch in self._always:
            self._write(self._folder.at(epoch))
            self._writer.settle()
            link_or_copy(self._folder.at(epoch), self._folder.last)  # a round waits: write it once
        elif now or epoch == result.epochs or self._writer.due():
            self._write(self._folder.last)

    def _write(self, path: Path) -> None:
        self._writer.write({"format": FORMAT, **self._state()}, path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What the file holds, its tensors on the CPU.

    Raises: DataError: it is damaged, or was written by another version of imil.
    """
    try:
        state = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except Exception as error:  # a damaged pickle raises whatever it likes
        raise damaged(path) from error
    if not isinstance(state, dict):
        raise damaged(path)
    if "pytorch-lightning_version" in state or _format(state) != FORMAT:
        raise DataError(
            f"{path} was written by another version of imil, whose checkpoints this one cannot "
            "read: go on with that version, or train anew with another --out"
        )
    if ENTRIES - state.keys() or not _has_kinds(state):
        raise damaged(path)
    return state


def _format(state: dict[str, Any]) -> object:
    found = state.get("format", FORMAT)
    return found if isinstance(found, int) else None


def newest_checkpoint(folder: RunFolder) -> dict[str, Any]:
    """What the newest checkpoint with finite weights holds; it becomes the run's last one.

    Where the last one's weights are not numbers, the one before is taken, which was kept before
    a round, and a warning says so.

    Raises: DataError: the last one is damaged or of another version, or none has finite weights.
    """
    state = load_checkpoint(folder.last)
    if _is_finite(state):
        return state
    for path in sorted(folder.last.parent.glob("epoch-*.ckpt"), reverse=True):
        if path.samefile(folder.last):
            continue  # the same file under another name
        before = load_checkpoint(path)
        if _is_finite(before):
            LOG.warning(
                "the weights in %s are not numbers: training goes on from %s",
                folder.last,
                path.name,
            )
            link_or_copy(path, folder.last)
            return before
    raise DataError(
        f"the weights in {folder.last} are not numbers, and no checkpoint before has others: train "
        "anew with another --out and a lower --lr"
    )


def _has_kinds(state: dict[str, Any]) -> bool:
    """Whether its entries are of the kinds that a training needs."""
    match state:
        case {
            "epoch": int(epoch),
            "model": dict(model),
            "optimizer": dict(),
            "history": list(history),
            "treatment": dict() | None,
        }:
            tensors = all(isinstance(weight, torch.Tensor) for weight in model.values())
            return epoch >= 0 and tensors and all(isinstance(row, dict) for row in history)
    return False


def _is_finite(state: dict[str, Any]) -> bool:
    return all(bool(torch.isfinite(weight).all()) for weight in state["model"].values())


def damaged(path: Path) -> DataError:
    """The error of a checkpoint that does not hold what it should."""
    return DataError(
        f"{path} is damaged: put a copy of another checkpoint of this run in its place "
        "(epoch-*.ckpt), or train anew with another --out"
    )


def _on_cpu(value: Any) -> Any:
    """A copy of what dicts and lists hold, its tensors on the CPU."""
    if isinstance(value, torch.Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _on_cpu(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_on_cpu(one) for one in value]
    return value
