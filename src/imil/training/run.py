"""A run from the first image to the last table: what `imil train` and `imil resume` do."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import load_file, save

from imil.atomic_files import atomic_write, write_json
from imil.cases import Model, Reader
from imil.errors import DataError, ImilError, SettingsError
from imil.grid import Grid
from imil.metrics import accuracy, evaluate, negative_log_likelihood
from imil.predictions import Predictions
from imil.pytorch import IMIL, CorrectedDataset, TorchModel
from imil.pytorch.callback import versions
from imil.pytorch.layers import find_layer
from imil.pytorch.tokens import patch_mask
from imil.run_folder import RunFolder
from imil.settings import TrainSettings
from imil.store import Store
from imil.store.run_progress import Progress
from imil.training.augment import augment
from imil.training.batches import Batches
from imil.training.bfloat16 import Bfloat16Model
from imil.training.callbacks import Bar, History, with_reading_bar
from imil.training.checkpoints import Checkpoints, Writer, damaged, load_checkpoint
from imil.training.classifier import Classifier, EpochOrder
from imil.training.device import empty_cache, enough_memory, precision, training_device
from imil.training.loop import EpochResult, Loop, seed_everything
from imil.training.malloc_settings import keep_freed_memory
from imil.training.mixes import mix
from imil.training.network import build
from imil.training.prediction_files import read_predictions, write_metrics, write_predictions
from imil.training.prepared_data import Prepared
from imil.training.progress_reporter import ProgressReporter
from imil.training.treatment_update import TreatmentUpdate
from imil.treatments import find_treatment

Call = Callable[[int], object]  # with completed epochs
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
        planned = self.settings.imil_epoch if self.settings.reader.kind != "none" else ()
        self.rounds = tuple(epoch for epoch in planned if epoch < self.settings.epochs)
        self.marks = tuple(sorted({*self.marks, *self.rounds}))
        self.samples = {name: self.data.samples(name) for name in self.data.splits}
        self.writer = Writer()
        self.order = EpochOrder(len(self.samples["train"]), self.settings.seed)
        self._check_batch()
        seed_everything(self.settings.seed)
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
            weight_decay=self.settings.weight_decay,
            mix=mix(self.settings.mix, len(self.data.class_names)),
            augment=augment(self.settings.augment),
            treatment=find_treatment(self.settings.treatment),
        )
        self._check_mix()
        # without gradients a batch takes a fraction of the memory of training; where it is too much
        # for a GPU after all, the model halves it. A processor gains little, and
        # `keep_freed_memory` would keep these too: 11.8 GiB for ResNet-50 at 224 pixels, not 6.0
        larger = 4 if self.device.type == "cuda" else 1
        self.model = TorchModel(self.module, batch_size=larger * self.settings.batch_size)
        self._predictions: Predictions | None = None  # of the round that follows
        if self.rounds:
            self.model.check(self.samples["train"])
            grid = Grid.parse(self.settings.grid_size)
            self.module.treatment.check(self.model, self.samples["train"], grid)

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
        after_rounds: Sequence[Call] = (),
    ) -> dict[str, Any]:
        """Train from the newest checkpoint, or from the start, to the end; returns the metrics.

        Args:
            reader: who answers the rounds; without one none is held.
            store: from `open_store`; needed with a reader.
            after_rounds: called with the completed epochs when training begins and after each
                epoch, when the readings of a round that was due are stored.
        Raises: RoundPaused: the reader stopped; the run can be resumed.
        """
        bar = Bar(self.console, self.settings.epochs)
        if reader is None or store is None or not self.rounds:
            with enough_memory(self.settings.batch_size):
                self._fit(bar, [], [])
                return self._finish()
        reporter = ProgressReporter(Progress(store), self.name, self._test_metrics)
        with reporter.alive(), enough_memory(self.settings.batch_size):
            imil = self._imil(reporter.waiting(reader), store, bar)
            update = TreatmentUpdate(
                self.module.treatment,
                self.samples["train"],
                self.model,
                store,
                folder=self.folder,
                seed=self.settings.seed,
                set_field=self._set_field,
                say=partial(self.console.print, markup=False),
            )
            report = partial(reporter.report, epochs=self.settings.epochs)

            def first(epoch: int) -> None:
                if epoch == 0:
                    imil.begin()
                else:
                    round_ = imil.restore(epoch, self._predictions)
                    update.restore()
                    update.after_round(round_)
                    update.after_epoch(epoch)

            def each(epoch: int) -> None:
                update.after_round(imil.after_epoch(epoch, self._predictions))
                if epoch < self.settings.epochs:
                    update.after_epoch(epoch)

            self._fit(bar, [report, first, *after_rounds], [report, each, *after_rounds], update)
            update.finish(self.settings.epochs)
            metrics = self._finish()
            reporter.finished(self.settings.epochs, metrics["end"]["test"])
        return metrics

    def _imil(self, reader: Reader, store: Store, bar: Bar) -> IMIL:
        def ask(cases: Any) -> Any:
            bar.hide()  # the reader has the screen
            if self.at_terminal or self.settings.reader.kind == "console":
                return reader(cases)
            return with_reading_bar(reader(cases), len(cases), self.console)

        return IMIL(
            self.samples["train"],
            self.model,
            ask,
            store=store,
            run=self.name,
            imil_epoch=self.rounds,
            num_outliers=self.settings.num_outliers,
            grid_size=self.settings.grid_size,
            say=self.console.print,
            seed=self.settings.seed,
        )

    def _test_metrics(self, epoch: int) -> dict[str, Any] | None:
        """What the test set gave before the round after that epoch; None where there is none."""
        path = self.folder.predictions(f"epoch-{epoch:03}", "test")
        if epoch not in self.rounds:
            return None
        test = read_predictions(path)
        return evaluate(test.probs, test.labels)

    def _fit(
        self,
        bar: Bar,
        first: Sequence[Call],
        each: Sequence[Call],
        update: TreatmentUpdate | None = None,
    ) -> None:
        """Train to the last epoch, from the newest checkpoint if there is one.

        `first` are called when training begins, `each` after each epoch, with completed epochs.
        What an epoch leads to comes in this order: its row of the history, the bar, a checkpoint,
        the predictions before a round, the round.
        """
        empty_cache(self.device)
        batches = Batches(
            self.samples["train"].dataset,
            self.samples["train"].corrections,
            self.order,
            self.settings.batch_size,
            self.device,
            LOG.warning,  # the console of a study's worker is seen by nobody
            copy=not self.settings.low_memory,
            classes=len(self.data.class_names),
        )
        loop = Loop(
            self.module,
            batches,
            self.order,
            epochs=self.settings.epochs,
            seed=self.settings.seed,
            device=self.device,
            bfloat16=self._half,
            lr_schedule=self.settings.lr_schedule,
        )
        history = History(self.folder, self.marks, self._validate)
        if self.folder.last.exists():
            state = load_checkpoint(self.folder.last)
            loop.load_state_dict(state)
            history.rows = list(state["history"])
            if update is not None and state["treatment"] is not None:  # None: of a baseline
                update.load_state_dict(state["treatment"])

        def state_dict() -> dict[str, Any]:
            treatment = None if update is None else update.state_dict()
            return loop.state_dict() | {"history": history.rows, "treatment": treatment}

        checkpoints = Checkpoints(self.folder, self.marks, self.writer, state_dict)
        self._find_layer()

        def begin(epoch: int) -> None:
            bar.show(epoch)
            self._before_round(epoch)
            for call in first:
                call(epoch)
            self._weight_corrected()

        def after_epoch(result: EpochResult) -> None:
            history.add(result)
            bar.advance(result)
            checkpoints.save(result)
            self._before_round(result.epoch)
            for call in each:
                call(result.epoch)
            self._weight_corrected()

        try:
            loop.run(begin, after_epoch)
        except BaseException as error:
            self._settle_after(error)  # a run that is stopped goes on from there
            raise
        finally:
            bar.hide()
            batches.release()
        self.writer.settle()

    def _settle_after(self, error: BaseException) -> None:
        """Wait for the checkpoint that is being written; what stopped the training comes first."""
        try:
            self.writer.settle()
        except ImilError as failed:
            error.add_note(str(failed))

    def _set_field(self, grid: Grid, squares: Sequence[int]) -> None:
        """Let the model see these squares of every image alone, and write them down."""
        size = self.settings.image_size
        self.module.set_field(grid.mask(squares, size, size))
        if self.module.treatment.leaves_out_tokens:
            self.module.set_patches(patch_mask(self.net, grid, squares, size))
        path = self.folder.field_of_view
        if len(squares) == grid.squares:
            path.unlink(missing_ok=True)
        else:
            write_json(path, {"grid": [grid.rows, grid.cols], "squares": list(squares)})

    def load_trained(self) -> None:
        """Take the trained weights and the field of view from the folder of a finished run."""
        self.net.load_state_dict(load_file(self.folder.weights))
        self.module.to(self.device)
        if self.folder.field_of_view.exists():
            field = json.loads(self.folder.field_of_view.read_text(encoding="utf-8"))
            self._set_field(Grid(*field["grid"]), field["squares"])

    def _weight_corrected(self) -> None:
        """Draw corrected samples as often as the treatment says."""
        weight, positions = self.module.treatment.weight, self._corrected()
        if weight > 1 and positions:
            self.order.oversample(positions, weight)

    def _corrected(self) -> list[int]:
        return self.samples["train"].corrections.positions()

    def _check_mix(self) -> None:
        mix, treatment = self.settings.mix, self.settings.treatment
        if mix in ("mixup", "cutmix") and not self.module.treatment.allows_mix:
            raise SettingsError(
                f"--mix {mix} and --treatment {treatment} contradict each other: the treatment "
                "needs whole images with their own labels after it; give --mix none or cutout"
            )

    def _find_layer(self) -> None:
        """The layer whose features the treatment's loss is given, if it needs them."""
        if self.module.treatment.needs_features:
            samples = self.samples["train"]
            views = torch.stack([samples.view(i) for i in range(min(2, len(samples)))])
            self.module.layer = find_layer(self.module, views.to(self.device))

    def check_checkpoint(self) -> None:
        """Check now whether training can go on from the newest checkpoint.

        Raises: DataError: it is damaged, or was written by another version or with other settings.
        """
        path = self.folder.last
        if not path.exists():
            return
        state = load_checkpoint(path)
        try:
            shapes = {name: weight.shape for name, weight in state["model"].items()}
            options = set(state["optimizer"]["param_groups"][0])
        except Exception as error:  # a damaged pickle may hold whatever it likes
            raise damaged(path) from error
        expected = {name: weight.shape for name, weight in self.module.state_dict().items()}
        if shapes != expected or options != set(self.module.make_optimizer().param_groups[0]):
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

    def _before_round(self, epoch: int) -> None:
        """Predict all images if a round follows, also when training resumes right there."""
        if epoch not in self.marks:
            return
        model: Model[CorrectedDataset] = self.model
        if self._half:
            n = self.settings.num_outliers
            model = Bfloat16Model(self.model, n, heat_maps=epoch in self.rounds)
        self._predictions = self._predict_all(f"epoch-{epoch:03}", model)

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
            # as bytes: an error of the disk then has the system's own words
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
