"""Whether the readers of a plan can answer: found before the first training, not at its round."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imil.errors import ImilError, SettingsError, SquareError
from imil.grid import Grid
from imil.readers.table import load_rows
from imil.store import Store
from imil.study.arms import Arm
from imil.study.overlaps import Splits
from imil.study.plan import Plan, Reader
from imil.training.asking import make_reader
from imil.training.data import Prepared

STORE = "imil.sqlite"  # in the folder of a run
TABLES = (".csv", ".json")
ASKED = ("web", "console")  # persons: nothing to check before they are there


@dataclass(frozen=True)
class Answer:
    """What a reading of a file is about."""

    key: str
    epoch: int | None
    squares: str


def check_readers(plan: Plan, data: Prepared, splits: Splits) -> list[str]:
    """Warnings about readings that are there but cannot be used, a sentence each.

    Args:
        plan: with its readers.
        data: the study's images.
        splits: each split of them.
    Raises: SettingsError: a reader does not exist, or cannot answer any case.
    """
    warnings: list[str] = []
    for reader in plan.readers:
        try:
            warnings += _checked(plan, reader, data, splits)
        except ImilError as error:
            raise SettingsError(f"the reader '{reader.name}' cannot answer: {error}") from error
    return warnings


def answers(path: Path) -> list[Answer]:
    """What the readings of a CSV, a JSON, a store or a run's folder are about.

    Raises: DataError, StoreError: it cannot be read.
    """
    path = path / STORE if path.is_dir() else path
    if path.suffix.lower() in TABLES:
        rows = load_rows(path)
        return [
            Answer(row.key, row.epoch, row.squares if row.verdict == "focus" else "")
            for row in rows
        ]
    store = Store(path, readonly=True)
    try:
        return list(_stored(store))
    finally:
        store.close()


def _stored(store: Store) -> Iterator[Answer]:
    for round_ in store.rounds():
        keys = {case.id: case.key for case in store.cases(round_.id)}
        for reading in store.readings(round_.id):
            yield Answer(keys[reading.case], round_.epoch, " ".join(map(str, reading.squares)))


def _checked(plan: Plan, reader: Reader, data: Prepared, splits: Splits) -> list[str]:
    kind, _, rest = reader.reader.partition(":")
    if kind in ASKED:
        return []
    if kind == "none":
        raise SettingsError("reader is none: name one, or leave the arm imil out")
    make_reader(reader.reader, person=reader.name, seed=0, data=data, folder=Path())
    return _replayed(plan, reader.name, Path(rest), data, splits) if kind == "replay" else []


def _replayed(plan: Plan, name: str, path: Path, data: Prepared, splits: Splits) -> list[str]:
    settings = plan.settings(Arm("baseline"), plan.seeds[0])
    found = answers(path)
    known = {*data.table.keys, *(key for key, _ in data.bad)}
    strange = [one.key for one in found if one.key not in known]
    if strange:
        raise SettingsError(
            f"{path} has {len(strange)} readings of images that the data do not have, "
            f"'{strange[0]}' the first: give readings of these images, by the same names"
        )
    usable = [one for one in found if one.epoch is None or one.epoch in settings.imil_epoch]
    if not usable:
        epochs = ", ".join(map(str, sorted({one.epoch for one in found if one.epoch is not None})))
        raise SettingsError(
            f"{path} has no reading for the round after epoch "
            f"{', '.join(map(str, settings.imil_epoch))}, "
            f"{f'only after {epochs}' if epochs else 'nor any other'}: "
            "leave the column epoch out to use them in any round"
        )
    _check_squares(path, usable, Grid.parse(settings.grid_size))
    return list(_unused(name, {one.key for one in usable}, data, splits))


def _check_squares(path: Path, usable: Sequence[Answer], grid: Grid) -> None:
    for one in usable:
        try:
            grid.read(one.squares)
        except SquareError as error:
            raise SettingsError(f"{path}, '{one.key}': {error}") from error


def _unused(name: str, keys: set[str], data: Prepared, splits: Splits) -> Iterator[str]:
    for number, split_of in enumerate(splits):
        train = {key for key, of in zip(data.table.keys, split_of, strict=True) if of == "train"}
        if not keys & train:
            yield (
                f"no image that '{name}' has read is trained on in split {number}: no case of a "
                "round can have a reading there"
            )
