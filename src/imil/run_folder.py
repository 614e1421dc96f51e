"""The folder of a run: the name of every file in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

STORE_NAME = "imil.sqlite"
STUDY_PLAN = "plan.toml"  # a study has one; its trainings are in jobs/ARM/seed-S-split-P
CONFIG_NAME = "config.toml"
LOCK_NAME = ".lock"


@dataclass(frozen=True)
class RunFolder:
    """The files of a run (see docs/run-folder.md)."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name in its store."""
        return self.path.resolve().name

    @property
    def config(self) -> Path:
        """Resolved settings, seed included."""
        return self.path / CONFIG_NAME

    @property
    def store(self) -> Path:
        """Rounds, cases and readings."""
        return self.path / STORE_NAME

    @property
    def database_run(self) -> Path:
        """The run's name in its database, where its store is not in the folder."""
        return self.path / "store.json"

    @property
    def splits(self) -> Path:
        """Which sample is in which split."""
        return self.path / "split.csv"

    @property
    def continued(self) -> Path:
        """Which round the training began with, where it goes on from a trained model."""
        return self.path / "continued.json"

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.path / "checkpoints" / "last.ckpt"

    def at(self, epoch: int) -> Path:
        """The checkpoint that a round started from."""
        return self.path / "checkpoints" / f"epoch-{epoch:03}.ckpt"

    @property
    def weights(self) -> Path:
        """The trained network."""
        return self.path / "model.safetensors"

    @property
    def history(self) -> Path:
        """Loss and accuracy of each epoch."""
        return self.path / "history.csv"

    @property
    def metrics(self) -> Path:
        """Test metrics before each round and at the end; written last: it marks a finished run."""
        return self.path / "metrics.json"

    def predictions(self, when: str, split: str) -> Path:
        """Predictions of a split, `when` being `epoch-070` or `end`."""
        return self.path / "predictions" / when / f"{split}.parquet"

    @property
    def field_of_view(self) -> Path:
        """The squares that the trained network sees, where it does not see all."""
        return self.path / "field_of_view.json"

    @property
    def treatment(self) -> Path:
        """What the treatment made of each round's readings, and the evidence."""
        return self.path / "treatment.json"

    @property
    def heat_map(self) -> Path:
        """Which method drew the heat-maps, see `imil.heat_map_names`."""
        return self.path / "heat_map.json"

    @property
    def live(self) -> Path:
        """When each reading took effect, where training went on while readers read."""
        return self.path / "live.json"

    @property
    def learned_map(self) -> Path:
        """What the model learns from the readings of all rounds, as a picture."""
        return self.path / "learned.png"

    @property
    def stopped(self) -> Path:
        """Why the last training ended, if one of its devices was lost."""
        return self.path / "stopped.txt"

    @property
    def cases(self) -> Path:
        """One PNG per case, for the console."""
        return self.path / "cases"

    @property
    def page(self) -> Path:
        """The page of the rounds' cases."""
        return self.path / "cases.html"

    @property
    def curve(self) -> Path:
        """The training curve."""
        return self.path / "curve.png"

    @property
    def has_files(self) -> bool:
        """Whether it holds more than what a run leaves that is killed at its first step."""
        leftovers = (LOCK_NAME, f".{CONFIG_NAME}.half")
        return any(path.name not in leftovers for path in self.path.iterdir())

    def clear(self) -> None:
        """Delete what was written before training started."""
        written = (self.config, self.splits, self.database_run, self.continued, self.heat_map)
        for path in written:
            path.unlink(missing_ok=True)

    def remove_if_empty(self) -> None:
        """Delete the folder too, if there is nothing in it but the lock."""
        (self.path / LOCK_NAME).unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the folder against other processes.

        Raises: SettingsError, DataError: another process has it, or it cannot be written.
        """
        from imil.atomic_files import locked  # here: a reader of the folder needs no lock

        busy = f"{self.path} is in use by another imil process: wait for it, or give another --out"
        with locked(self.path, busy):
            yield


def store_path(path: Path) -> Path:
    """The store that a person means by a run's folder, or by the store itself."""
    return RunFolder(path).store if path.is_dir() else path


def is_study(path: Path) -> bool:
    """Whether it is the folder of a study."""
    return (path / STUDY_PLAN).is_file()


def study_runs(path: Path) -> list[RunFolder]:
    """The runs of a study's trainings, in order; none in another folder."""
    return [RunFolder(one) for one in sorted(path.glob("jobs/*/*")) if one.is_dir()]
