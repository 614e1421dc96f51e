"""A run from the first image to the last table: what `imil train` and `imil resume` do."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import lightning.pytorch as pl
import pandas as pd
import torch
from lightning.pytorch.callbacks import LambdaCallback
from rich.console import Console
from safetensors.torch import save

from imil.atomic_files import atomic_write
from imil.cases import Model, Reader
from imil.errors import DataError, SettingsError
from imil.lightning import IMIL
from imil.metrics import accuracy, evaluate, negative_log_likelihood
from imil.predictions import Predictions
from imil.pytorch import CorrectedDataset, TorchModel
from imil.pytorch.callback import versions
from imil.run_folder import RunFolder
from imil.settings import TrainSettings
from imil.store import Store
from imil.store.run_progress import Progress
from imil.training.augment import augment
from imil.training.batches import Batches
from imil.training.bfloat16 import Bfloat16Model
from imil.training.callbacks import Bar, EpochSeed, Evaluation, History, with_reading_bar
from imil.training.checkpoints import Checkpoints, Writer
from imil.training.classifier import Classifier, EpochOrder
from imil.training.compile_trial import compiled, worth_compiling
from imil.training.device import empty_cache, enough_memory, precision, training_device
from imil.training.malloc_settings import keep_freed_memory
from imil.training.mixes import mix
from imil.training.network import build
from imil.training.prediction_files import read_predictions, write_metrics, write_predictions
from imil.training.prepared_data import Prepared
from imil.training.progress_reporter import ProgressReporter

LOG = logging.getLogger(__name__)


@dataclass
class Run:
    """A training that is prepared: its folder, settings, data and network.

    `marks` are epochs after which a checkpoint and predictions are kept, as before a round;
    `at_terminal` says that the reader has the terminal, where no bar may count the readings.
    """

    folder: RunFolder
    settings: TrainSettings
    data: Prepared
    console: Console
    marks: tuple[int, ...] = ()
    at_terminal: bool = False
    rounds: tuple[int, ...] = field(init=False)
    name: str = field(init=False)
    device: torch.device = field(init=False)
    order: EpochOrder = field(init=False)

    def __post_init__(self) -> None:
        if not self.settings.low_memory:
            keep_freed_memory()
        self.device = training_device(self.settings.device)
        asked = self.settings.imil_epoch if self.settings.reader.kind != "none" else ()
        self.rounds = tuple(epoch for epoch in asked if epoch < self.settings.epochs)
        self.marks = tuple(sorted({*self.marks, *self.rounds}))
        self.samples = {name: self.data.samples(name) for name in self.data.splits}
        self.writer = Writer()
        self.order = EpochOrder(len(self.samples["train"]), self.settings.seed)
        self._check_batch()
        pl.seed_everything(self.settings.seed, verbose=False)
        self.net = build(
            self.settings.model,
            classes=len(self.data.class_names),
            image_size=self.settings.image_size,
            # a resumed run has its weights in the checkpoint
            weights="none" if self.folder.last.exists() else self.settings.weights,
        )
        # a convolution is faster so; other layers do not mind
        self.net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.module = Classifier(
            self.net,
            optimizer=self.settings.optimizer,
            lr=self.settings.lr,
            momentum=self.settings.momentum,
            mix=mix(self.settings.mix, len(self.data.class_names)),
            augment=augment(self.settings.augment),
        )
        # without gradients a batch takes a fraction of the memory of training; where it is too much
        # for a GPU after all, the model halves it. A processor gains little, and `keep_buffers`
        # would keep these too: ResNet-50 at 224 pixels had 11.8 GiB in place of 6.0
        larger = 4 if self.device.type == "cuda" else 1
        self.model = TorchModel(self.module, batch_size=larger * self.settings.batch_size)
        self._imil_callback: IMIL | None = None
        if self.rounds:
            self.model.check(self.samples["train"])

    def open_store(self) -> Store:
        """The run's store, in which the run is recorded under the name it got at its start."""
        store = Store(self.folder.store)
        self.name = next((row["name"] for row in store.runs()), self.folder.name)
        store.add_run(
            self.name,
            class_names=self.data.class_names,
            settings=self.settings.model_dump(mode="json"),
            versions=versions(),
        )
        return store

    def train(
        self,
        reader: Reader | None,
        store: Store | None,
        *,
        after_rounds: Sequence[pl.Callback] = (),
    ) -> dict[str, Any]:
        """Train from the newest checkpoint, or from the start, to the end; returns the metrics.

        Args:
            reader: who answers the rounds; without one none is held.
            store: from `open_store`; needed with a reader.
            after_rounds: callbacks that follow each round, when its readings are stored.
        Raises: RoundPaused: the reader stopped; the run can be resumed.
        """
        bar = Bar(self.console)
        callbacks = [
            EpochSeed(self.settings.seed),
            History(self.folder, self.marks, self._validate),
            bar,  # before what may fail: it gives the terminal back
            Checkpoints(self.folder, self.marks, self.writer),
            Evaluation(self.marks, self._predict_at),
        ]
        if reader is None or store is None or not self.rounds:
            with enough_memory(self.settings.batch_size):
                self._fit(callbacks)
                return self._finish()
        reporter = ProgressReporter(Progress(store), self.name, self._test_metrics)
        with reporter.alive(), enough_memory(self.settings.batch_size):
            imil = self._imil(reporter.waiting(reader), store, bar)
            resumed = LambdaCallback(
                on_train_start=lambda trainer, _: self._read_predictions(trainer.current_epoch)
            )
            self._fit([*callbacks, reporter, resumed, imil, *after_rounds])
            metrics = self._finish()
            reporter.finished(self.settings.epochs, metrics["end"]["test"])
        return metrics

    def _imil(self, reader: Reader, store: Store, bar: Bar) -> IMIL:
        def ask(cases: Any) -> Any:
            bar.hide()  # the reader has the screen
            if self.at_terminal or self.settings.reader.kind == "console":
                return reader(cases)
            return with_reading_bar(reader(cases), len(cases), self.console)

        self._imil_callback = IMIL(
            self.samples["train"],
            ask,
            store=store,
            run=self.name,
            imil_epoch=self.rounds,
            num_outliers=self.settings.num_outliers,
            grid_size=self.settings.grid_size,
            say=self.console.print,
            seed=self.settings.seed,
            model=self.model,
        )
        return self._imil_callback

    def _test_metrics(self, epoch: int) -> dict[str, Any] | None:
        """What the test set gave before the round after that epoch; None where there is none."""
        path = self.folder.predictions(f"epoch-{epoch:03}", "test")
        if epoch not in self.rounds:
            return None
        test = read_predictions(path)
        return evaluate(test.probs, test.labels)

    def _fit(self, callbacks: list[pl.Callback]) -> None:
        logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)  # we speak for ourselves
        empty_cache(self.device)
        trainer = pl.Trainer(
            max_epochs=self.settings.epochs,
            accelerator=self.device.type,
            devices=1,
            precision=precision(self.settings.precision, self.device),
            plugins=[self.writer],
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,  # ours are written before a round, and whole
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            deterministic="warn",  # some operations on a GPU have no deterministic form
        )
        # no operation here reads memory before it is written, and to fill it takes time
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        batches = Batches(
            self.samples["train"],
            self.order,
            self.settings.batch_size,
            self.device,
            LOG.warning,  # the console of a study's worker is seen by nobody
            hold=not self.settings.low_memory,
        )
        last = self.folder.last if self.folder.last.exists() else None
        self._compile(len(batches))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")  # advice for other uses of it
            try:
                trainer.fit(self.module, batches, ckpt_path=last, weights_only=True)
            except SystemExit:  # what Lightning makes of Ctrl-C
                raise KeyboardInterrupt from None
            finally:
                batches.release()
        self.module.to(self.device)  # Lightning leaves it on the CPU

    def _compile(self, batches: int) -> None:
        """Compile the network if that is asked for; what `auto` came to is written down."""
        asked = self.settings.compile
        if asked == "off":
            return
        size, side = self.settings.batch_size, self.settings.image_size
        done = len(pd.read_csv(self.folder.history)) if self.folder.history.exists() else 0
        pixels = torch.zeros(size, self.settings.channels, side, side, dtype=torch.uint8)
        self.module.to(self.device)
        pays = worth_compiling(
            self.net.train(),
            self.module.normalised(pixels.to(self.device)),
            asked,
            steps=(self.settings.epochs - done) * batches,
            half=self._half,
            say=self.console.print,
        )
        if asked == "auto":  # a resumed run must not decide anew
            self.settings = self.settings.model_copy(update={"compile": "on" if pays else "off"})
            with atomic_write(self.folder.config) as half:
                self.settings.write(half)
        if pays:
            self.module.learn_through(compiled(self.net, size))

    def check_checkpoint(self) -> None:
        """Find out now whether training can go on from the newest checkpoint.

        Raises: DataError: it is damaged, or was written with other settings.
        """
        path = self.folder.last
        if not path.exists():
            return
        try:
            there = torch.load(path, map_location="cpu", mmap=True, weights_only=True)
            shapes = {name: w.shape for name, w in there["state_dict"].items()}
            (optimizer,) = there["optimizer_states"]
            options = set(optimizer["param_groups"][0])
        except Exception as error:  # a damaged pickle raises whatever it likes
            raise DataError(
                f"{path} is damaged: put a copy of another checkpoint of this run in its place "
                "(epoch-*.ckpt), or train anew with another --out"
            ) from error
        own = {name: w.shape for name, w in self.module.state_dict().items()}
        if shapes != own or options != set(self.module.configure_optimizers().param_groups[0]):
            raise DataError(
                f"{path} was written with another model or optimizer than {self.folder.config} "
                "says: put it back as it was, or train anew with another --out"
            )

    def _check_batch(self) -> None:
        samples, size = self.samples["train"], self.settings.batch_size
        if len(samples) < size:
            raise SettingsError(
                f"{len(samples)} training images are fewer than a batch of {size}: "
                f"lower --batch-size to {len(samples)} or less"
            )

    @property
    def _half(self) -> bool:
        """Whether training multiplies in bfloat16."""
        return precision(self.settings.precision, self.device) == "bf16-mixed"

    def _validate(self) -> dict[str, float]:
        if "val" not in self.samples:
            return {}
        probs, labels = self.model.probs(self.samples["val"]), self.samples["val"].labels
        loss, share = negative_log_likelihood(probs, labels), accuracy(probs, labels)
        return {"loss": float(loss), "accuracy": float(share)}

    def _predict_at(self, epoch: int) -> None:
        """Predict every split; the round that may follow gets the training set's predictions."""
        model: Model[CorrectedDataset] = self.model
        if self._half:
            n = self.settings.num_outliers
            model = Bfloat16Model(self.model, n, heat_maps=epoch in self.rounds)
        predictions = self._predict_all(f"epoch-{epoch:03}", model)
        if self._imil_callback is not None:
            self._imil_callback.predictions = predictions

    def _read_predictions(self, epoch: int) -> None:
        """Give the round at which training is resumed the predictions that were made for it."""
        path = self.folder.predictions(f"epoch-{epoch:03}", "train")
        if self._imil_callback is not None and path.exists():
            self._imil_callback.predictions = read_predictions(path)

    def _predict_all(self, when: str, train_model: Model[CorrectedDataset]) -> Predictions:
        """Write the predictions of each split that has none yet; returns the training set's.

        Args:
            train_model: predicts the training set; the run's model predicts the others.
        """
        for name, samples in self.samples.items():
            path = self.folder.predictions(when, name)
            if name != "train" and not path.exists():
                write_predictions(path, self.model.predict(samples))
        path = self.folder.predictions(when, "train")
        if path.exists():
            return read_predictions(path)
        predictions = train_model.predict(self.samples["train"])
        write_predictions(path, predictions)
        return predictions

    def _finish(self) -> dict[str, Any]:
        self._predict_all("end", self.model)
        with atomic_write(self.folder.weights) as half:
            # as bytes: what the system says of a full disk is then said in its own words
            half.write_bytes(save({k: v.contiguous() for k, v in self.net.state_dict().items()}))
        return redraw(self.folder, seed=self.settings.seed)


def redraw(folder: RunFolder, *, seed: int) -> dict[str, Any]:
    """Every figure and table of a finished run, from its files alone; returns the metrics."""
    # here: matplotlib takes half a second, which a training need not wait for
    from imil.training.case_report import write_case_report
    from imil.training.training_curve import draw_training_curve

    held = []
    if folder.store.exists():
        store = Store(folder.store, readonly=True)
        held = [
            {"run": r.run, "epoch": r.epoch, "cases": r.cases, **_verdicts(store, r.id)}
            for r in store.rounds()
        ]
        if held:
            write_case_report(store, held[0]["run"], folder.page)
        store.close()
    draw_training_curve(folder.history, [h["epoch"] for h in held], folder.curve)
    return write_metrics(folder, seed=seed, rounds=held)


def _verdicts(store: Store, round_id: str) -> dict[str, Any]:
    verdicts = [reading.verdict for reading in store.newest_readings(round_id).values()]
    return {"verdicts": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}}
