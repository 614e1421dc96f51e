"""A run: a training that is prepared, and trained from the first image to the last table."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from safetensors.torch import load_file

from imil.asked_cases import Wrapped
from imil.atomic_files import write_json
from imil.cases import Reader, RoundSettings
from imil.grid import Grid
from imil.heat_map_names import write_heat_map_method
from imil.library_versions import versions
from imil.pytorch import TorchModel
from imil.pytorch.fusion_check import check_fusion
from imil.pytorch.rank_check import check_rank
from imil.pytorch.treatment_update import TreatmentUpdate, takes_rounds_whole
from imil.reader_panel import ReaderPanel
from imil.round_settings import most_cases, reader_panel
from imil.run_folder import RunFolder
from imil.settings import TrainSettings
from imil.store import Store
from imil.store.run_progress import Progress
from imil.store_claim import open_run_store, store_place
from imil.training.callbacks import History
from imil.training.checkpoints import Writer
from imil.training.classifier import EpochOrder
from imil.training.continued import check_continued, continued_from, nobody, take_over_round
from imil.training.discrepancy_folder import EPOCH
from imil.training.hardware.device import empty_cache, enough_memory, precision, training_device
from imil.training.hardware.malloc_settings import keep_freed_memory
from imil.training.live_readings import LiveReadings, live_readings
from imil.training.live_record import LiveRecord
from imil.training.live_rounds import LiveRounds
from imil.training.loop import Loop, seed_everything
from imil.training.outputs.learned_map import draw_learned_map
from imil.training.outputs.progress_reporter import ProgressReporter
from imil.training.outputs.run_results import write_results
from imil.training.progress_bars import Bar, with_reading_bar
from imil.training.round_calls import RoundCalls
from imil.training.round_timing import KeptEpochs
from imil.training.run_classifier import (
    build_classifier,
    check_batch_size,
    find_features,
    predicted_at_a_time,
    weight_corrected,
)
from imil.training.run_epochs import Call, RunEpochs
from imil.training.run_predictions import RunPredictions
from imil.training.run_rounds import RunRounds
from imil.training.samples.batches import Batches, BeforeBatch
from imil.training.samples.prepared_data import Prepared
from imil.training.trackers import RunTracker, check_logger
from imil.training.trained_model import Description, write_model
from imil.training.treatment_files import read_decisions, read_field

if TYPE_CHECKING:
    from imil.training.ranks.leader import Leader
    from imil.training.ranks.sharded_model import ShardedModel

LOG = logging.getLogger(__name__)
EXACT_IN_BFLOAT16 = ("confident_mistakes", "auto")  # choices for which `Bfloat16Model` is made


@dataclass
class Run:
    """A training that is prepared: its folder, settings, data and network.

    `rounds` are the epochs of the rounds, or their latest ones where they are not on schedule;
    `marks` are others after which a checkpoint and predictions are kept, as before a round;
    `at_terminal` says that the reader has the terminal, where no bar may count the readings;
    `leader` leads the other ranks, where it is trained on several devices; `continued` is the
    folder of the round that it begins with, where it goes on from a trained model.
    """

    folder: RunFolder
    settings: TrainSettings
    data: Prepared
    console: Console
    marks: tuple[int, ...] = ()
    at_terminal: bool = False
    leader: Leader | None = None
    rounds: tuple[int, ...] = field(init=False)
    continued: Path | None = field(init=False)
    name: str = field(init=False)
    device: torch.device = field(init=False)
    order: EpochOrder = field(init=False)

    def __post_init__(self) -> None:
        check_logger(self.settings.logger)
        if not self.settings.low_memory:
            keep_freed_memory()
        self.device = training_device(self.settings.device)
        self.continued = continued_from(self.folder)
        if self.continued is not None:
            check_continued(self.settings)
            self.marks = (*self.marks, EPOCH)
        self._rounds = RunRounds(
            self.settings, self.data, marks=self.marks, rows=lambda: self._history.rows
        )
        self.rounds = self._rounds.epochs
        self.samples = {name: self.data.samples(name) for name in self.data.splits}
        self.writer = Writer()
        self.order = EpochOrder(len(self.samples["train"]), self.settings.seed)
        ranks = 1 if self.leader is None else self.leader.size
        check_batch_size(self.samples["train"], self.settings.batch_size, ranks)
        seed_everything(self.settings.seed)
        self.module = build_classifier(
            self.settings,
            classes=len(self.data.class_names),
            resumed=self.folder.last.exists(),
        )
        self.net = self.module.net
        batch_size = predicted_at_a_time(self.settings, self.device)
        self.model = TorchModel(
            self.module,
            batch_size=batch_size,
            outputs="logits",
            heat_map=self.settings.heat_map,
        )
        self._before_batch: BeforeBatch | None = None
        self._tracker: RunTracker | None = None
        self._tracked_store: Store | None = None
        self._bfloat16 = self._precision() == "bf16-mixed"
        self._kept_epochs = KeptEpochs(self.marks, self._rounds.due)
        self._predictions = RunPredictions(
            self.folder,
            self._predicting_model(),
            self.samples,
            marks=self._kept_epochs,
            rounds=self._rounds.due,
            num_outliers=most_cases(self.settings),
            bfloat16=self._bfloat16 and self.settings.choice in EXACT_IN_BFLOAT16,
        )
        self._history = History(self.folder, self._kept_epochs, self._predictions.validation)
        if self.rounds:
            grid = Grid.parse(self.settings.grid_size)
            check_rank(self.module.treatment, grid, 3 if self.data.are_volumes else 2)
            self.model.check(self.samples["train"])
            write_heat_map_method(self.folder.heat_map, self.model.heat_map)
            self.module.treatment.check(self.model, self.samples["train"], grid)
            check_fusion(self.module.treatment, RoundSettings(grid=grid, panel=self.panel))

    def _precision(self) -> str:
        volumes = self.data.are_volumes
        return precision(self.settings.precision, self.device, volumes=volumes)

    @property
    def panel(self) -> ReaderPanel:
        """The readers of its rounds together."""
        return reader_panel(self.settings)

    @property
    def has_store(self) -> bool:
        """Whether it holds rounds, or begins with one."""
        return bool(self.rounds) or self.continued is not None

    def open_store(self) -> Store:
        """The run's store, in which the run is recorded under the name it got at its start."""
        store, self.name = open_run_store(
            self.settings, self.folder, self.data.class_names, versions()
        )
        if self.continued is not None:
            take_over_round(store, self.name, self.continued)
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
        Raises: RoundPaused: the reader stopped, or the round is parked; the run can be resumed.
        """
        with self._tracking():
            return self._train(reader, store, after_rounds)

    def _train(
        self, reader: Reader | None, store: Store | None, after_rounds: Sequence[Call]
    ) -> dict[str, Any]:
        bar = Bar(self.console, self.settings.epochs)
        self._tracked_store = store
        if self.continued is not None and reader is None:
            reader = nobody
        if reader is None or store is None or not self.has_store:
            with enough_memory(self.settings.batch_size):
                self._fit(bar, [], [])
                return self._finish()
        reporter = ProgressReporter(Progress(store), self.name, self._predictions.test_metrics)
        with ExitStack() as stack:
            stack.enter_context(reporter.alive())
            stack.enter_context(enough_memory(self.settings.batch_size))
            self._open_rounds(reporter.waiting(reader), store, bar)
            readings = None
            if self.settings.wait == "live":
                readings = stack.enter_context(live_readings(store, self.name, reader))
            update, calls = self._calls(store, readings)
            report = partial(reporter.report, epochs=self.settings.epochs)
            first: list[Call] = [report, calls.begin, *after_rounds]
            self._fit(bar, first, [report, calls.after_epoch, *after_rounds], update)
            calls.end()
            draw_learned_map(store, self.name, self.samples["train"], self.folder)
            metrics = self._finish()
            reporter.finished(self.settings.epochs, metrics["end"]["test"])
        return metrics

    def _calls(
        self, store: Store, readings: LiveReadings | None
    ) -> tuple[TreatmentUpdate, RoundCalls]:
        """What the treatment makes of readings, and what is done about rounds."""
        samples, live = self.samples["train"], None
        whole = takes_rounds_whole(self.module.treatment)
        if readings is not None:
            live = LiveRounds(
                *(samples, self.order, store, self.name),
                record=LiveRecord(self.folder.live),
                readings=readings,
                whole=whole,
                say=partial(self.console.print, markup=False, soft_wrap=True),
            )
            self._before_batch = live.before_batch
        update = TreatmentUpdate(
            self.module.treatment,
            samples,
            self.model,
            store,
            run=self.name,
            seed=self.settings.seed,
            set_field=self._set_field,
            record=self._record_decision,
            counts_from=None if live is None else live.counts_from,
        )
        calls = RoundCalls(
            *(self._rounds, update, self._predictions, live),
            epochs=self.settings.epochs,
            taken_up=partial(self._draw_learned_map, store),
        )
        return update, calls

    def _draw_learned_map(self, store: Store) -> None:
        """Show the reader at the end of a round what the model learns from the squares."""
        if draw_learned_map(store, self.name, self.samples["train"], self.folder):
            self.console.print(
                f"What the model learns from the squares is drawn in {self.folder.learned_map}.",
                markup=False,
                soft_wrap=True,
            )

    def _open_rounds(self, reader: Reader, store: Store, bar: Bar) -> None:
        def ask(cases: Any) -> Any:
            bar.hide()  # the reader has the screen
            if self.at_terminal or self.settings.reader.kind == "console":
                return reader(cases)
            return with_reading_bar(reader(cases), len(cases), self.console)

        say = partial(self.console.print, markup=False)  # names of readers are not markup
        asked = Wrapped(reader, ask)
        self._rounds.open(self.samples["train"], self.model, asked, store, self.name, say)

    def _fit(
        self,
        bar: Bar,
        first: Sequence[Call],
        each: Sequence[Call],
        update: TreatmentUpdate | None = None,
    ) -> None:
        """Train to the last epoch, from the newest checkpoint if there is one.

        `first` are called when training begins, `each` after each epoch, with completed epochs; in
        both cases after the predictions before a round.
        """
        empty_cache(self.device)
        epochs = RunEpochs(
            self._loop(),
            self.folder,
            marks=self._kept_epochs,
            writer=self.writer,
            history=self._history,
            bar=bar,
            update=update,
        )
        epochs.load_checkpoint()
        find_features(self.module, self.samples["train"], self.device)
        predict = self._predictions.before_round
        end = [self._weight_corrected, self._track]
        epochs.train([predict, *first, *end], [predict, self._track, *each, *end])

    def _loop(self) -> Loop:
        samples = self.samples["train"]
        batches = Batches(
            samples.dataset,
            samples.corrections,
            self.order,
            self.settings.batch_size,
            self.device,
            LOG.warning,  # the console of a study's worker is seen by nobody
            copy=not self.settings.low_memory,
            classes=len(self.data.class_names),
            team=None if self.leader is None else self.leader.team,
            before_batch=self._before_batch,
        )
        return Loop(
            self.module,
            batches,
            self.order,
            epochs=self.settings.epochs,
            seed=self.settings.seed,
            device=self.device,
            bfloat16=self._bfloat16,
            lr_schedule=self.settings.lr_schedule,
            record=self._rounds.record,
            team=None if self.leader is None else self.leader.team,
            before_epoch=self._before_epoch,
        )

    def _before_epoch(self, loop: Loop) -> None:
        if self.leader is not None:
            self.leader.begin_epoch(loop, self.samples["train"].corrections)

    def _predicting_model(self) -> TorchModel | ShardedModel:
        """The model that predicts whole splits."""
        if self.leader is None:
            return self.model
        from imil.training.ranks.sharded_model import ShardedModel  # here: one device needs none

        return ShardedModel(self.model, self.leader, self.samples)

    def _record_decision(self, epoch: int, decision: dict[str, Any]) -> None:
        """Say what the treatment decided, and write it down; an epoch that is repeated, once."""
        self.console.print(decision["sentence"], markup=False)
        path = self.folder.treatment
        rows = read_decisions(path) if path.exists() else []
        rows = [row for row in rows if row["epoch"] < epoch]
        write_json(path, [*rows, {"epoch": epoch, **decision}])

    def _set_field(self, grid: Grid, squares: Sequence[int]) -> None:
        """Let the model see these squares of every image alone, and write them down."""
        if self.leader is not None:
            self.leader.field = (grid.rows, grid.cols), tuple(squares)
        tokens = self.module.treatment.leaves_out_tokens
        self.module.see(grid, squares, self.settings.image_size, tokens=tokens)
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
            self._set_field(*read_field(self.folder.field_of_view))

    def _weight_corrected(self, _epoch: int) -> None:
        """Draw corrected samples as often as the treatment says."""
        weight_corrected(self.module.treatment, self.samples["train"].corrections, self.order)

    def _finish(self) -> dict[str, Any]:
        self._predictions.at_end()
        write_model(self.folder.weights, self.net.state_dict(), self._description())
        run = self.name if self.has_store else None
        place = store_place(self.settings, self.folder)
        metrics = write_results(self.folder, seed=self.settings.seed, store=place, run=run)
        if self._tracker is not None:
            self._track(self.settings.epochs)
            self._tracker.end(self.settings.epochs, metrics)
        return metrics

    @contextmanager
    def _tracking(self) -> Iterator[None]:
        """Show the run in its tracker while the block runs."""
        if self.settings.logger == "none":
            yield
            return
        say = partial(self.console.print, markup=False, soft_wrap=True)
        self._tracker = RunTracker(self.settings, self.folder, self._rounds.due, say)
        try:
            yield
        finally:
            self._tracker.close()

    def _track(self, epoch: int) -> None:
        """Send the tracker what is new."""
        if self._tracker is not None:
            store = self._tracked_store if self.has_store else None
            name = self.name if self.has_store else ""
            self._tracker.update(epoch, self._history.rows, store, name)

    def _description(self) -> Description:
        """How the trained network is used."""
        grid: tuple[int, int] | None = None
        squares: tuple[int, ...] = ()
        if self.folder.field_of_view.exists():
            seen, squares = read_field(self.folder.field_of_view)
            grid = seen.rows, seen.cols
        return Description(
            model=self.settings.model,
            image_size=self.settings.image_size,
            channels=self.settings.channels,
            class_names=self.data.class_names,
            grid=grid,
            squares=squares,
            tokens=self.module.treatment.leaves_out_tokens,
            image_depth=self.settings.image_depth,
        )
