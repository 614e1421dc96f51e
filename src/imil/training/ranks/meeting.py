"""How the ranks of a training find each other."""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from imil.errors import SettingsError
from imil.training.ranks.channel import Door, connect
from imil.training.ranks.placement import Placement

SECONDS = 600.0  # for all ranks to come: they may load Python from a slow network
ADDRESS = "imil/rank-0"  # the entry with what a rank needs to connect
TOLD = "imil/told"  # the number of ranks that know that there will be no meeting
TELL_SECONDS = 30.0  # for them to come and hear it
LOOPBACK = "127.0.0.1"
Store = Any  # of torch.distributed, which some builds of PyTorch lack


@dataclass(frozen=True)
class Meeting:
    """Where the ranks meet.

    Args:
        store: of `torch.distributed`, which all ranks reach.
        door: of rank 0; None on the others.
    """

    store: Store
    door: Door | None


# whether this process has opened one: from then on a rank notices rank 0's end by itself
_opened = False


def rendezvous_seconds() -> float:
    """How long ranks wait for each other, in seconds.

    Raises: SettingsError: the variable is not a number above 0.
    """
    text = os.environ.get("IMIL_RENDEZVOUS_SECONDS", str(SECONDS))
    with suppress(ValueError):
        if float(text) > 0:
            return float(text)
    raise SettingsError(f"IMIL_RENDEZVOUS_SECONDS is {text!r}: give a number of seconds")


def open_meeting(placement: Placement, file: Path | None = None) -> Meeting:
    """What rank 0 opens for the others.

    Args:
        file: where ranks of this machine alone meet; None: at the placement's address.
    Raises: SettingsError: it cannot be opened.
    """
    global _opened
    key = secrets.token_bytes(32)
    store = _store(placement, file)
    _opened = True
    door = Door(LOOPBACK if file else "", key)
    host = LOOPBACK if file else placement.host
    store.set(ADDRESS, json.dumps({"host": host, "port": door.port, "key": key.hex()}))
    return Meeting(store, door)


def come(placement: Placement, file: Path | None = None) -> tuple[Store, Connection]:
    """The store, and a connection to rank 0, for any other rank.

    Raises: SettingsError: rank 0 does not come, or says that it ends.
    """
    store = _store(placement, file)
    try:
        address = json.loads(store.get(ADDRESS))
    except RuntimeError as error:
        raise _absent(placement) from error
    if "ended" in address:
        store.add(TOLD, 1)
        raise SettingsError(f"rank 0 ended before the ranks met: {address['ended']}")
    key = bytes.fromhex(address["key"])
    host, port = address["host"], address["port"]
    return store, connect(host, port, key, placement.rank, rendezvous_seconds())


@contextmanager
def telling_others(placement: Placement) -> Iterator[None]:
    """If rank 0 ends in the block before it has opened the meeting, the others end with its words.

    Those that a launcher started on other machines would wait for it for minutes. Where rank 0
    itself serves the address, it stays until all have heard, for `TELL_SECONDS` at most.
    """
    try:
        yield
    except Exception as error:
        if placement.host and placement.size > 1 and not _opened:
            with suppress(SettingsError, RuntimeError):
                _tell(placement, str(error) or type(error).__name__)
        raise


def _tell(placement: Placement, sentence: str) -> None:
    store = _store(placement, None)
    store.set(ADDRESS, json.dumps({"ended": sentence}))
    until = time.monotonic() + (0 if placement.launcher_listens else TELL_SECONDS)
    while store.add(TOLD, 0) < placement.size - 1 and time.monotonic() < until:
        time.sleep(0.1)


def join(store: Store, rank: int, size: int, device: torch.device) -> None:
    """Begin collective operations; every rank calls this at the same time."""
    cuda = device.type == "cuda"
    dist.init_process_group(
        "nccl" if cuda else "gloo",
        store=dist.PrefixStore("imil/collectives", store),  # type: ignore[attr-defined]
        rank=rank,
        world_size=size,
        device_id=device if cuda else None,
    )


def _store(placement: Placement, file: Path | None) -> Store:
    """Raises: SettingsError: the address is taken, or rank 0 does not listen there."""
    if not dist.is_available():
        raise SettingsError(
            "the installed PyTorch is built without torch.distributed: give --devices 1"
        )
    seconds = timedelta(seconds=rendezvous_seconds())
    if file is not None:
        store: Store = dist.FileStore(str(file), placement.size)  # type: ignore[attr-defined]
        store.set_timeout(seconds)
        return store
    serves = placement.rank == 0 and not placement.launcher_listens
    try:
        return dist.TCPStore(  # type: ignore[attr-defined]
            placement.host, placement.port, None, serves, seconds, wait_for_workers=False
        )
    except RuntimeError as error:
        if serves:
            raise SettingsError(
                f"rank 0 cannot listen at port {placement.port} ({_first_line(error)}): set "
                "MASTER_PORT to a free port"
            ) from error
        raise _absent(placement) from error


def _absent(placement: Placement) -> SettingsError:
    return SettingsError(
        f"rank {placement.rank} of {placement.size} waited {rendezvous_seconds():.0f} seconds for "
        f"rank 0 at {placement.host or 'this machine'}, which did not come: look at the messages "
        "of rank 0, and at the network between the nodes"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
