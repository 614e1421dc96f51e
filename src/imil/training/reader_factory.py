"""Readers that need no web page, made from a run's settings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from imil.asked_cases import Wrapped
from imil.cases import Case, Reader, Reading
from imil.errors import SettingsError
from imil.readers.console import Console
from imil.readers.replay import replay
from imil.readers.simulated import Inverted, RandomSquares, Simulated
from imil.readers.spec import ReaderSpec
from imil.training.samples.prepared_data import Prepared

UNNAMED = ("", "reader")  # the second is --reader-name's default


def make_reader(
    spec: ReaderSpec,
    *,
    reader_name: str,
    seed: int,
    data: Prepared,
    folder: Path,
    strict: bool = True,
) -> Reader:
    """The reader that the specification names.

    Args:
        spec: `console`, `replay`, or a simulated reader.
        reader_name: the name stored with the readings; without one, a simulated reader has the
            name of its kind. It selects whose readings are replayed where a file has those of
            several, and simulated readers of different names draw different random numbers.
        seed: of a simulated reader.
        data: holds the masks.
        folder: where the console writes its pictures.
        strict: whether a replay fails at a round of which it has no case.
    Raises:
        SettingsError: the reader cannot be made here, or there are no masks to simulate it from.
        DataError, StoreError: the file to replay cannot be used.
    """
    if spec.file is not None:
        keys = (*data.table.keys, *(key for key, _ in data.bad))
        return replay(spec.file, reader=reader_name, strict=strict, share=spec.share, keys=keys)
    if spec.kind == "console":
        return Console(reader_name, folder)
    if not spec.is_simulated:
        raise SettingsError(f"--reader {spec} cannot answer by itself: give another reader")
    if not any(path for column in data.table.masks.values() for path in column):
        raise SettingsError(
            f"--reader {spec.kind} selects squares by masks, and the data has none: give "
            "--mask-columns, or another --reader"
        )
    reader = _simulated(spec, _reader_seed(reader_name, seed), data)
    return reader if reader_name in UNNAMED else _renamed(reader, reader_name)


def _simulated(spec: ReaderSpec, seed: int, data: Prepared) -> Reader:
    reference = Simulated(masks=data.masks, seed=seed, **spec.options)
    if spec.kind == "random":
        return RandomSquares(seed=seed, reference=reference)
    if spec.kind == "inverted":
        return Inverted(reference=reference)
    return reference


def _renamed(reader: Reader, name: str) -> Reader:
    """The same reader under that name; made with it, it would draw other random numbers."""

    def read(cases: Sequence[Case]) -> Iterator[Reading]:
        return (replace(reading, reader=name) for reading in reader(cases))

    return Wrapped(reader, read)


def _reader_seed(name: str, seed: int) -> int:
    """A seed of its own for each name: two readers of a study must not miss the same squares."""
    if name in UNNAMED:
        return seed
    return int.from_bytes(hashlib.sha256(json.dumps([seed, name]).encode()).digest()[:8])
