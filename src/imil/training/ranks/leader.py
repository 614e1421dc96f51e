"""Rank 0 of a training on several devices: starts the others, leads them and misses them."""

from __future__ import annotations

import shlex
import socket
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from imil.atomic_files import atomic_write
from imil.errors import DataError, ImilError, SettingsError
from imil.pytorch.corrections import Corrections
from imil.run_folder import RunFolder
from imil.settings import TrainSettings
from imil.training.hardware.device import training_device
from imil.training.loop import Loop
from imil.training.ranks.channel import Hello, Peer
from imil.training.ranks.children import Children, check_devices, child_ranks, share_processors
from imil.training.ranks.commands import (
    Field,
    Join,
    Predict,
    Ready,
    Setup,
    Stop,
    TrainEpoch,
    fingerprint,
)
from imil.training.ranks.meeting import Meeting, join, open_meeting, rendezvous_seconds
from imil.training.ranks.placement import Placement
from imil.training.ranks.team import Team
from imil.training.ranks.watch import RankEnded, Watch
from imil.training.samples.prepared_data import Prepared

ERROR_SECONDS = 10.0  # in which a failed operation is explained by a rank that ended


class RankLost(ImilError):
    """A rank ended before the training did."""


class Leader:
    """What rank 0 does for the others.

    Args:
        placement: of this process.
        meeting: where the others came.
        peers: the other ranks.
        watch: of them.
    """

    def __init__(
        self, placement: Placement, meeting: Meeting, peers: dict[int, Peer], watch: Watch
    ) -> None:
        self._placement, self._meeting, self._peers, self._watch = placement, meeting, peers, watch
        self.field: Field | None = None  # the squares that the model sees
        self._optimizer_sent = False
        self._team: Team | None = None

    @property
    def size(self) -> int:
        """The number of ranks."""
        return self._placement.size

    @property
    def others(self) -> tuple[Hello, ...]:
        """The other ranks, in order."""
        return tuple(self._peers[rank].hello for rank in sorted(self._peers))

    @property
    def team(self) -> Team:
        """All ranks, once they are ready."""
        assert self._team is not None
        return self._team

    def begin(
        self, settings: TrainSettings, folder: RunFolder, cache: Path, data: Prepared
    ) -> None:
        """Have all ranks prepare the same images, and join them.

        On each machine one rank decodes the images, before the others read them.

        Raises: DataError: a rank has others. SettingsError: two ranks have the same GPU.
        """
        threads = None if self._placement.host else torch.get_num_threads()
        setup = Setup(
            folder.path.absolute(), cache.absolute(), settings.model_dump(mode="json"), threads
        )
        first = {peer.hello.host: peer for peer in reversed(self._peers.values())}
        leading = {peer.hello.rank for peer in first.values()}
        ready = self._prepare(setup, [rank for rank in self._peers if rank in leading])
        ready += self._prepare(setup, [rank for rank in self._peers if rank not in leading])
        for one in ready:
            if one.images != fingerprint(data):
                raise DataError(
                    f"{self._peers[one.rank].hello} has other images or other splits than rank 0: "
                    "all nodes must see the same data and the same run folder"
                )
        device = training_device(settings.device)
        self._check_gpus(ready, device)
        self._send(Join())
        join(self._meeting.store, 0, self.size, device)
        self._team = Team(0, self.size, device)

    def begin_epoch(self, loop: Loop, corrections: Corrections) -> None:
        """Have all ranks train the loop's next epoch, from its state and these corrections."""
        first, self._optimizer_sent = not self._optimizer_sent, True
        record = loop.record is not None and loop.record.keeps_more
        self._send(TrainEpoch(loop.epoch, self.field, first, record))
        self.team.share_state(loop, corrections, optimizer=first)

    def predict(self, split: str, *, bfloat16: bool, batch_size: int) -> None:
        """Have all ranks predict their part of a split."""
        self._send(Predict(split, self.field, bfloat16, batch_size))

    def stop(self) -> None:
        """Let the others end."""
        self._watch.stop()
        for peer in self._peers.values():
            with suppress(OSError):
                peer.connection.send(Stop())

    def _prepare(self, setup: Setup, ranks: Sequence[int]) -> list[Ready]:
        self._send(setup, ranks)
        return [self._watch.messages.get() for _ in ranks]

    def _check_gpus(self, ready: Sequence[Ready], device: torch.device) -> None:
        seen = {(socket.gethostname(), gpu_id(device)): "rank 0"}
        for one in ready:
            hello = self._peers[one.rank].hello
            other = seen.setdefault((hello.host, one.gpu), str(hello))
            if one.gpu and other != str(hello):
                raise SettingsError(
                    f"{hello} and {other} have the same GPU: give --devices the number of GPUs of "
                    "a machine, or --device cpu, where it means processes"
                )

    def _send(self, message: Any, ranks: Sequence[int] | None = None) -> None:
        for rank in self._peers if ranks is None else ranks:
            with suppress(OSError):  # it has ended: the watch says why
                self._peers[rank].connection.send(message)


@contextmanager
def leading(placement: Placement, settings: TrainSettings, folder: RunFolder) -> Iterator[Leader]:
    """The leader of all ranks, which have come; they end with the block.

    Raises: SettingsError: a rank does not come, or this machine has fewer GPUs. RankLost: a rank
        ended in the block; the sentence is in the run's folder (`RunFolder.stopped`) by then.
    """
    with ExitStack() as stack:
        file, children = None, Children([])
        if not placement.host:
            check_devices(settings, placement.size)
            file = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="imil-"))) / "ranks"
            share_processors(placement.size)
        meeting = open_meeting(placement, file)
        assert meeting.door is not None
        if file is not None:
            children = stack.enter_context(child_ranks(placement.size, file))
        ranks = range(1, placement.size)
        try:
            peers = meeting.door.wait_for(ranks, rendezvous_seconds(), children.ended)
        finally:
            meeting.door.close()
        watch = Watch(peers, lambda sentence: _write(folder, sentence))
        leader = Leader(placement, meeting, peers, watch)
        with _ends_in_one_sentence(leader, watch, folder):
            yield leader


@contextmanager
def _ends_in_one_sentence(leader: Leader, watch: Watch, folder: RunFolder) -> Iterator[None]:
    try:
        watch.start()
        yield
    except BaseException as error:
        if isinstance(error, RuntimeError | RankEnded):  # as of a collective operation
            watch.settle(ERROR_SECONDS)
        if not watch.sentence:
            raise
        raise RankLost(_with_remedy(watch.sentence, folder)) from error
    finally:
        leader.stop()
        # NCCL may wait for a rank that is lost; gloo does not
        if dist.is_initialized() and (not watch.sentence or dist.get_backend() == "gloo"):
            dist.destroy_process_group()


def _write(folder: RunFolder, sentence: str) -> None:
    with suppress(ImilError), atomic_write(folder.stopped) as half:
        half.write_text(_with_remedy(sentence, folder) + "\n", encoding="utf-8")


def _with_remedy(sentence: str, folder: RunFolder) -> str:
    command = f"imil resume {shlex.quote(str(folder.path))}"
    return f"{sentence}; every reading so far is stored: continue with {command}"


def gpu_id(device: torch.device) -> str:
    """Which GPU it is; "" for a CPU."""
    if device.type != "cuda":
        return ""
    return str(getattr(torch.cuda.get_device_properties(device), "uuid", device.index))
