"""What every framework's callback does first: check its data, and continue where training was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from imil.cases import Round
from imil.errors import SettingsError
from imil.pytorch.dataset import CorrectedDataset
from imil.pytorch.layers import unwrapped
from imil.round_schedule import check_no_rounds, say_rounds_after

if TYPE_CHECKING:
    from imil.pytorch.callback import IMIL

# MONAI's data sets that keep what they have drawn once, in memory or in files
CACHING = ("Cache", "Persistent", "LMDB", "GDS")
DEPTH = 8  # data sets around one another


def start_training(
    imil: IMIL,
    *,
    data: Any,
    module: nn.Module | None,
    epoch: int | None = None,
    last: int | None = None,
    processes: int = 1,
) -> Round | None:
    """Begin a training, or continue it after `epoch` completed epochs.

    Args:
        data: what the training draws from, a data set or a loader of one.
        module: what the framework trains; None where it does not say.
        epoch: completed epochs of a training that is resumed; None: training begins.
        last: epochs at the end of training; None: unknown.
        processes: in which the framework trains.
    Returns: the round that was due after `epoch` and is held now, if any.
    Raises: as `IMIL.begin` and `IMIL.restore`; SettingsError: training runs in several processes,
        or does not draw from the samples, or trains another module than the one that is explained,
        or begins anew with the rounds of an earlier training.
    """
    check_one_process(processes)
    check_draws_from(data, imil.samples)
    if module is not None:
        check_trains(module, imil.model.module)
    if last is not None:
        say_rounds_after(imil.imil_epoch, last, imil.say)
    if epoch is not None:
        return imil.restore(epoch)
    check_no_rounds(imil.store, imil.run, [r.epoch for r in imil.store.rounds(imil.run)])
    imil.last_epoch = 0  # of an earlier fit, in which no round was held
    imil.begin()
    return None


def check_one_process(processes: int = 1) -> None:
    """Raises: SettingsError: training runs in several processes, each with its own samples."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        processes = max(processes, torch.distributed.get_world_size())
    if processes > 1:
        raise SettingsError(
            f"training runs in {processes} processes: IMIL needs one, on one device, for a "
            "correction reaches the process that holds the round alone"
        )


def check_trains(trained: nn.Module, explained: nn.Module) -> None:
    """Check that the module which is trained is the one that rounds ask, or holds it.

    Raises: SettingsError: they are two, so that rounds would ask about a model that stays as it is.
    """
    trained, explained = unwrapped(trained), unwrapped(explained)
    pairs = ((trained, explained), (explained, trained))
    if not any(inner is part for outer, inner in pairs for part in outer.modules()):
        raise SettingsError(
            f"the {type(trained).__name__} that is trained is not the {type(explained).__name__} "
            "that IMIL was given: make IMIL with the model that you train"
        )


def check_draws_from(data: Any, samples: CorrectedDataset) -> None:
    """Check that what a training draws is what the rounds correct.

    Args:
        data: a data set, or a loader of one; data sets around the samples are looked into.
    Raises: SettingsError: it does not draw from the samples, only from a part of them, or it keeps
        what it has drawn.
    """
    # a Subset has a data set too, and is one
    dataset = data if hasattr(data, "__getitem__") else getattr(data, "dataset", data)
    chain = next(_chains(dataset, samples, ()), None)
    if chain is None:
        raise SettingsError(
            f"the training draws from a {type(dataset).__name__} that is not around the "
            "CorrectedDataset of IMIL, and would never see a correction: train on that one"
        )
    for around in chain:
        name = type(around).__name__
        if _keeps_items(around):
            raise SettingsError(
                f"{name} keeps the images as it first drew them, and would never see a "
                "correction: give it to CorrectedDataset as its data set, not the other way round"
            )
        if hasattr(around, "__len__") and len(around) < len(samples):
            raise SettingsError(
                f"the training draws {len(around)} of the {len(samples)} samples, through a "
                f"{name}: put CorrectedDataset around the part, so that no other image becomes a "
                "case (in skorch: train_split=None, or predefined_split)"
            )


def _chains(
    dataset: Any, samples: CorrectedDataset, around: tuple[Any, ...]
) -> Iterator[tuple[Any, ...]]:
    """The data sets from the outermost to the samples, for each way from one to the other."""
    if dataset is samples:
        yield around
    elif len(around) < DEPTH and not isinstance(dataset, torch.Tensor | str | bytes):
        held = dataset if isinstance(dataset, list | tuple) else getattr(dataset, "__dict__", {})
        values = held.values() if isinstance(held, dict) else held
        here = around if isinstance(dataset, list | tuple) else (*around, dataset)
        for inner in values:
            if hasattr(inner, "__getitem__") and not isinstance(inner, dict):
                yield from _chains(inner, samples, here)


def _keeps_items(dataset: Any) -> bool:
    names = [kind.__name__ for kind in type(dataset).__mro__ if "monai" in kind.__module__]
    return any(mark in name for name in names for mark in CACHING)
