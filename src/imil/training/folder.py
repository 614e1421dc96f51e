"""The folder of a run: what lies where, who may write, and writing so that a kill does no harm."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from imil.errors import DataError, SettingsError


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


@contextmanager
def locked(folder: Path, busy: str) -> Iterator[None]:
    """Make the folder, and hold it against other processes.

    Args:
        busy: what to say where another process holds it.
    Raises: SettingsError, DataError: another process has it, or it cannot be written.
    """
    with sentences(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / ".lock", timeout=0)
        try:
            lock.acquire()
        except Timeout:
            raise SettingsError(busy) from None
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process holds the folder, as far as can be told."""
    try:
        with FileLock(folder / ".lock", timeout=0):
            return False
    except (Timeout, OSError):  # a folder that may only be read may well be held
        return True


@contextmanager
def sentences(path: Path) -> Iterator[None]:
    """Turn what the system says about files into what a person can do about it."""
    try:
        yield
    except OSError as error:
        where = error.filename or path
        raise DataError(
            f"{where} cannot be written ({error.strerror or error}): check permissions and free "
            "space; nothing that was stored is lost"
        ) from error


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path whose file takes the place of `path` at once, or not at all."""
    with sentences(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_name(f".{path.name}.half")
        try:
            yield half
            with half.open("rb+") as written:
                os.fsync(written.fileno())
            half.replace(path)
        finally:
            half.unlink(missing_ok=True)


def name_too(path: Path, name: Path) -> None:
    """Give the file a second name, or copy it where the file system knows no such thing."""
    with replacing(name) as half:
        half.unlink(missing_ok=True)  # of a killed process: it must not be written over
        try:
            half.hardlink_to(path)
        except OSError:
            shutil.copyfile(path, half)


def write_json(path: Path, values: Any) -> None:
    """Write JSON, whole or not at all."""
    with replacing(path) as half:
        half.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a CSV or Parquet table, whole or not at all."""
    with replacing(path) as half:
        if path.suffix == ".parquet":
            table.to_parquet(half, index=False)
        else:
            table.to_csv(half, index=False)
