"""A run in its tracker while it trains: what is new is sent after each epoch, and once."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from imil.atomic_files import atomic_write, write_json
from imil.cases import Case, Round
from imil.json_files import read_table
from imil.round_numbers import round_numbers
from imil.run_folder import RunFolder
from imil.settings import Logger, TrainSettings
from imil.store import Store
from imil.training.outputs.case_report import stacked
from imil.training.outputs.prediction_files import measure
from imil.training.throttle import Throttle
from imil.training.trackers.csv_tracker import CsvTracker
from imil.training.trackers.mlflow_tracker import MlflowTracker
from imil.training.trackers.tensorboard_tracker import TensorBoardTracker
from imil.training.trackers.tracker import Tracker
from imil.training.trackers.wandb_tracker import WandbTracker

# of the settings, those without a path or a person's name
SHOWN_SETTINGS = (
    *("model", "image_size", "epochs", "batch_size", "optimizer", "lr", "momentum", "seed"),
    *("imil_epoch", "num_outliers", "choice", "grid_size", "treatment", "augment", "mix"),
)
HEADER = ("case", "label", "predicted", "confidence")
PICTURES = 16  # cases of a round in its picture


class RunTracker:
    """Sends a run to its tracker. What was sent is in tracker.json, so that a resumed run goes on.

    What a tracker that is not local gets has no key of an image, which may name a patient, and
    no image unless `images` says so. Where the tracker fails, training goes on without it.

    Args:
        settings: of the run; its logger is not `none`.
        folder: of the run.
        due: completed epochs after which a round is held.
        say: receives a line of text for the person who is watching.
    """

    def __init__(
        self,
        settings: TrainSettings,
        folder: RunFolder,
        due: Container[int],
        say: Callable[[str], object],
    ) -> None:
        self._folder, self._due, self._say = folder, due, say
        self._logger: Logger = settings.logger
        self._images = settings.logger_images
        self._path = folder.path / "tracker.json"
        self._sent = _sent(self._path, settings.logger)
        self._throttle = Throttle()
        self._tracker: Tracker | None = None
        self._trying(lambda: self._open(settings))

    def update(
        self, epoch: int, rows: Sequence[Mapping[str, Any]], store: Store | None, run: str
    ) -> None:
        """Send what is new.

        Args:
            epoch: completed epochs.
            rows: of the history so far.
            store: with the rounds; None: there are none.
            run: its name there.
        """
        if self._tracker is not None:
            self._trying(lambda: self._update(epoch, rows, store, run))

    def end(self, epoch: int, metrics: Mapping[str, Any]) -> None:
        """Send the measures at the end, and the figures of the run's folder; then close.

        Args:
            epoch: the last one.
            metrics: as metrics.json has them.
        """
        if self._tracker is not None:
            self._trying(lambda: self._end(epoch, metrics))
        self.close(finished=True)

    def close(self, *, finished: bool = False) -> None:
        """Show everything that was sent. Doing it again does nothing."""
        tracker, self._tracker = self._tracker, None
        if tracker is not None:
            write_json(self._path, self._sent)
            self._trying(lambda: tracker.close(finished=finished))

    def _open(self, settings: TrainSettings) -> None:
        values = settings.model_dump(mode="json")
        shown = {name: str(values[name]) for name in SHOWN_SETTINGS}
        run, folder = self._sent["id"], self._folder
        if self._logger == "csv":
            self._tracker = CsvTracker(folder, goes_on=self._sent["epoch"] > 0)
        elif self._logger == "tensorboard":
            self._tracker = TensorBoardTracker(folder)
        elif self._logger == "mlflow":
            self._tracker = MlflowTracker(folder, shown, run)
        else:
            self._tracker = WandbTracker(folder, shown, run)
        self._sent["id"] = self._tracker.id
        write_json(self._path, self._sent)

    def _update(
        self, epoch: int, rows: Sequence[Mapping[str, Any]], store: Store | None, run: str
    ) -> None:
        for row in rows:
            if row["epoch"] > self._sent["epoch"]:
                for name, value in row.items():
                    if name != "epoch" and value is not None:
                        self._number(f"epoch/{name}", float(value), row["epoch"])
                self._sent["epoch"] = row["epoch"]
        rounds = [] if store is None else store.rounds(run)
        for held in sorted(
            {one.epoch for one in rounds} | ({epoch} if epoch in self._due else set())
        ):
            self._measures(held)
        for round_ in rounds:
            if round_.state == "applied" and round_.epoch not in self._sent["rounds"]:
                assert store is not None
                self._round(store, round_)
                self._sent["rounds"].append(round_.epoch)
        if self._tracker is not None and self._throttle.due():
            with self._throttle.timed():
                self._tracker.flush()
                write_json(self._path, self._sent)

    def _measures(self, epoch: int) -> None:
        """What was measured before a round, once it is."""
        when = f"epoch-{epoch:03}"
        if epoch in self._sent["measured"] or not self._folder.predictions(when, "train").exists():
            return
        for name, value in _numbers("round", measure(self._folder, when)):
            self._number(name, value, epoch)
        self._sent["measured"].append(epoch)

    def _round(self, store: Store, round_: Round) -> None:
        assert self._tracker is not None
        for name, value in round_numbers(store, round_).items():
            self._number(name, value, round_.epoch)
        cases = store.cases(round_.id)
        self._tracker.table("round/cases", self._table(cases), round_.epoch)
        if self._images and cases:
            path = self._folder.path / "tracker" / f"round-{round_.epoch:03}.png"
            readings = store.current_readings(round_.id)
            path.parent.mkdir(exist_ok=True)
            pairs = [(case, readings.get(case.id)) for case in cases[:PICTURES]]
            with atomic_write(path) as file:
                stacked(pairs).save(file, format="png")
            self._tracker.figure("round/images", path, round_.epoch)

    def _table(self, cases: Sequence[Case]) -> list[list[str]]:
        assert self._tracker is not None
        local = self._tracker.local
        rows = [[*HEADER[:1], *(["image"] if local else []), *HEADER[1:]]]
        for case in cases:
            key = [case.key] if local else []
            shown = [case.true_name, case.predicted_name, f"{case.confidence:.3f}"]
            rows.append([str(case.number), *key, *shown])
        return rows

    def _end(self, epoch: int, metrics: Mapping[str, Any]) -> None:
        assert self._tracker is not None
        for name, value in _numbers("end", metrics["end"]):
            self._number(name, value, epoch)
        for name, path in self._figures().items():
            if path.exists():
                self._tracker.figure(f"figures/{name}", path, epoch)

    def _figures(self) -> dict[str, Path]:
        """The figures that the tracker may have."""
        assert self._tracker is not None
        figures = {"curve": self._folder.curve}
        if self._tracker.local or self._images:
            figures |= {
                "cases": self._folder.page.with_suffix(".png"),
                "learned": self._folder.learned_map,
            }
        return figures

    def _number(self, name: str, value: float, epoch: int) -> None:
        assert self._tracker is not None
        self._tracker.number(name, value, epoch)

    def _trying(self, send: Callable[[], object]) -> None:
        """Do it; a tracker that fails is left alone from then on, and the training goes on."""
        try:
            send()
        except Exception as error:  # of any library, also of the network
            failed, self._tracker = self._tracker, None
            with suppress(Exception):
                if failed is not None:
                    failed.close(finished=False)
            lines = str(error).splitlines() or [""]
            self._say(
                f"The tracker {self._logger} failed ({type(error).__name__}: {lines[0]}): training "
                "goes on without it, and what it lacks is sent when the run is resumed."
            )


def _numbers(when: str, splits: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, float]]:
    """Name and value of each measure of each split."""
    for split, measures in splits.items():
        for name, value in measures.items():
            if value is not None:
                yield f"{when}/{split}/{name}", float(value)


def _sent(path: Path, logger: Logger) -> dict[str, Any]:
    """What the tracker has of an earlier part of the training."""
    try:
        found = read_table(path, "delete it: the tracker then gets the whole run again")
    except FileNotFoundError:
        found = {}
    if found.get("logger") != logger:  # another one has nothing yet
        found = {}
    return {"logger": logger, "id": "", "epoch": 0, "rounds": [], "measured": []} | found
