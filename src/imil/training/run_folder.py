"""The folder of a run: what lies where."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from imil.atomic_files import locked


@dataclass(frozen=True)
class RunFolder:
    """The files of a run; each explains itself (see docs/run-folder.md)."""

    path: Path

    @property
    def name(self) -> str:
        """The run's name in its store."""
        return self.path.resolve().name

    @property
    def config(self) -> Path:
        """Resolved settings, seed included."""
        return self.path / "config.toml"

    @property
    def store(self) -> Path:
        """Rounds, cases and readings."""
        return self.path / "imil.sqlite"

    @property
    def splits(self) -> Path:
        """Which sample is in which split."""
        return self.path / "split.csv"

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
        """Test metrics before each round and at the end; written last, so its sign of an end."""
        return self.path / "metrics.json"

    def predictions(self, when: str, split: str) -> Path:
        """Predictions of a split, `when` being `epoch-070` or `end`."""
        return self.path / "predictions" / when / f"{split}.parquet"

    @property
    def cases(self) -> Path:
        """One PNG a case, for the console."""
        return self.path / "cases"

    @property
    def page(self) -> Path:
        """The page of the rounds' cases."""
        return self.path / "cases.html"

    @property
    def curve(self) -> Path:
        """The training curve."""
        return self.path / "curve.png"

    def clear(self) -> None:
        """Take back what was written before training started."""
        for path in (self.config, self.splits):
            path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Take the folder back too, if there is nothing in it."""
        (self.path / ".lock").unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder against other processes.

        Raises: SettingsError, DataError: another process has it, or it cannot be written.
        """
        busy = f"{self.path} is in use by another imil process: wait for it, or give another --out"
        with locked(self.path, busy):
            yield
