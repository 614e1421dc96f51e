"""Every rank but rank 0: prepares the same images, and does what rank 0 says."""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from imil.errors import ImilError, SettingsError
from imil.grid import Grid
from imil.pytorch import TorchModel
from imil.run_folder import RunFolder
from imil.settings import TrainSettings, resolve
from imil.training.classifier import EpochOrder
from imil.training.epoch_predictions import EpochPredictions
from imil.training.hardware.device import precision, rank_device
from imil.training.hardware.malloc_settings import keep_freed_memory
from imil.training.loop import Loop, seed_everything
from imil.training.ranks.channel import Failed
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
from imil.training.ranks.leader import gpu_id
from imil.training.ranks.meeting import come, join
from imil.training.ranks.placement import Placement
from imil.training.ranks.sharded_model import predict_part
from imil.training.ranks.team import Team
from imil.training.run_classifier import (
    build_classifier,
    find_features,
    predicted_at_a_time,
    weight_corrected,
)
from imil.training.samples.batches import Batches
from imil.training.samples.prepared_data import Prepared, prepare

LOG = logging.getLogger(__name__)
GRACE_SECONDS = 30.0  # for a collective operation to fail after rank 0 has ended
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")


class LeaderLost(ImilError):
    """Rank 0 ended without a word."""


def follow(placement: Placement, file: Path | None = None) -> None:
    """Be a rank until rank 0 says that the training is over.

    Args:
        placement: of this process; not of rank 0.
        file: where ranks of one machine meet.
    Raises: SettingsError: rank 0 does not come. LeaderLost: it ended.
    """
    logging.getLogger("imil").setLevel(logging.ERROR)  # rank 0 warns for all
    for name in SIGNALS:  # they stop rank 0, which finishes its epoch with all ranks
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    store, connection = come(placement, file)
    inbox = Inbox(connection)
    try:
        _obey(placement, store, inbox)
    except LeaderLost:
        raise
    except Exception as error:
        if inbox.is_over():  # rank 0 has stopped, or ended: this follows from it
            return
        own = isinstance(error, ImilError)
        lines = str(error).strip().splitlines() or [""]
        connection.send(Failed(str(error) if own else f"{type(error).__name__}: {lines[0]}", own))
        raise SystemExit(2) from None  # rank 0 prints it


class Inbox:
    """What rank 0 sends, read in a thread, so that its end is noticed during an operation."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._messages: queue.Queue[Any] = queue.Queue()
        self._over = threading.Event()
        self._noticed = threading.Event()
        threading.Thread(target=self._read, name="imil-rank", daemon=True).start()

    def next(self) -> Any:
        """The next message, however long it takes.

        Raises: LeaderLost: rank 0 ended without a word.
        """
        message = self._messages.get()
        if message is None:
            self._noticed.set()
            raise LeaderLost("rank 0 ended before the training did: look at its messages")
        return message

    def is_over(self) -> bool:
        """Whether rank 0 has stopped or ended, or does so now."""
        return self._over.wait(GRACE_SECONDS / 10)

    def _read(self) -> None:
        while True:
            try:
                message = self.connection.recv()
            except (EOFError, OSError):
                message = None
            if message is None or isinstance(message, Stop):
                self._over.set()
            self._messages.put(message)
            if message is None or isinstance(message, Stop):
                break
        if not self._noticed.wait(GRACE_SECONDS) and message is None:
            os._exit(2)  # an operation that never returns


def _obey(placement: Placement, store: Any, inbox: Inbox) -> None:
    setup = inbox.next()
    if isinstance(setup, Stop):
        return
    follower = Follower(setup, placement)
    inbox.connection.send(
        Ready(placement.rank, fingerprint(follower.data), gpu_id(follower.device))
    )
    if not isinstance(inbox.next(), Join):
        return
    join(store, placement.rank, placement.size, follower.device)
    follower.build()
    while True:
        match inbox.next():
            case TrainEpoch() as epoch:
                follower.train_epoch(epoch)
            case Predict() as wanted:
                follower.predict(wanted)
            case Stop():
                dist.destroy_process_group()
                return


class Follower:
    """A rank's images, network and loop.

    Args:
        setup: the training.
        placement: of this rank.
    """

    def __init__(self, setup: Setup, placement: Placement) -> None:
        if setup.threads is not None:
            torch.set_num_threads(setup.threads)
        self._settings: TrainSettings = resolve(setup.settings)
        self.device = rank_device(self._settings.device, placement.local_rank)
        self._team = Team(placement.rank, placement.size, self.device)
        self.data = _prepared(self._settings, setup)
        self._field: Field | None = None

    def build(self) -> None:
        """Make the network and the loop."""
        settings = self._settings
        if not settings.low_memory:
            keep_freed_memory()
        self._samples = {name: self.data.samples(name) for name in self.data.splits}
        samples, classes = self._samples["train"], len(self.data.class_names)
        self._order = EpochOrder(len(samples), settings.seed)
        seed_everything(settings.seed)
        # the weights come from rank 0
        self._module = build_classifier(settings, classes=classes, resumed=True)
        batches = Batches(
            samples.dataset,
            samples.corrections,
            self._order,
            settings.batch_size,
            self.device,
            LOG.warning,
            copy=not settings.low_memory,
            classes=classes,
            team=self._team,
        )
        self._loop = Loop(
            self._module,
            batches,
            self._order,
            epochs=settings.epochs,
            seed=settings.seed,
            device=self.device,
            bfloat16=precision(settings.precision, self.device) == "bf16-mixed",
            lr_schedule=settings.lr_schedule,
            team=self._team,
        )
        find_features(self._module, samples, self.device)
        self._model = TorchModel(
            self._module,
            batch_size=predicted_at_a_time(settings, self.device),
            outputs="logits",
            heat_map=settings.heat_map,
        )

    def train_epoch(self, wanted: TrainEpoch) -> None:
        """Train this rank's part of an epoch."""
        self._see(wanted.field)
        self._loop.epoch = wanted.epoch
        self._loop.record = ForwardedPredictions() if wanted.record else None
        self._team.share_state(
            self._loop, self._samples["train"].corrections, optimizer=wanted.optimizer
        )
        weight_corrected(self._module.treatment, self._samples["train"].corrections, self._order)
        self._loop.train_epoch()

    def predict(self, wanted: Predict) -> None:
        """Predict this rank's part of a split."""
        self._see(wanted.field)
        self._team.share_weights(self._module)
        predict_part(
            self._team,
            self._model,
            self._samples[wanted.split],
            batch_size=wanted.batch_size,
            bfloat16=wanted.bfloat16,
        )

    def _see(self, field: Field | None) -> None:
        if field == self._field:
            return
        self._field = field
        assert field is not None  # once there is one, all squares are one too
        (rows, cols), squares = field
        tokens = self._module.treatment.leaves_out_tokens
        self._module.see(Grid(rows, cols), squares, self._settings.image_size, tokens=tokens)


class ForwardedPredictions(EpochPredictions):
    """The predictions of an epoch's steps on their way to rank 0, which keeps them."""

    def __init__(self) -> None:
        super().__init__(0, 0, 1)

    def take(self, rows: Tensor, logits: Tensor) -> None:
        """Keep nothing: rank 0 does."""


def _prepared(settings: TrainSettings, setup: Setup) -> Prepared:
    folder = RunFolder(setup.folder)
    if not folder.splits.exists():
        raise SettingsError(
            f"{folder.path} is not there: all nodes must see the run's folder under the same path"
        )
    return prepare(settings, folder, cache=setup.cache, progress=lambda _done, _total: None)
