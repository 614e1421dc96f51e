"""Whether the readers of a plan can answer, checked before the first training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

from imil.errors import ImilError, SettingsError
from imil.grid import Grid
from imil.readers.reading_row import Row
from imil.readers.replay import Replay
from imil.study.arms import Arm
from imil.study.checks.leakage import Splits
from imil.study.plan import Plan
from imil.study.plan_tables import Reader
from imil.training.reader_factory import make_reader
from imil.training.samples.prepared_data import Prepared
from imil.web.installed import check_web_installed


def check_readers(plan: Plan, data: Prepared, splits: Splits) -> list[str]:
    """Warnings about readings that cannot be used, a sentence each.

    Args:
        plan: with its readers.
        data: the study's images.
        splits: each split of them.
    Raises: SettingsError: a reader is unknown, or cannot answer any case.
    """
    warnings: list[str] = []
    replayed: dict[str, Replay] = {}
    for reader in plan.readers:
        try:
            reads = _make(reader, data)
            if isinstance(reads, Replay):
                warnings += _check_replay(plan, reader.name, reads, data, splits)
                replayed[reader.name] = reads
        except ImilError as error:
            raise SettingsError(f"the reader '{reader.name}' cannot answer: {error}") from error
    return warnings + list(_same_answers(replayed))


def hash_replays(plan: Plan, data: Prepared) -> dict[str, str]:
    """SHA-256 of the answers that are replayed, by the reader's name.

    Args:
        plan: with readers that `check_readers` has accepted.
        data: the study's images.
    """
    hashes = {}
    for reader in plan.readers:
        reads = _make(reader, data)
        if isinstance(reads, Replay):
            lines = sorted(json.dumps(_answer(row)) for row in reads.rows)
            hashes[reader.name] = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    return hashes


def _answer(row: Row) -> tuple[object, ...]:
    """What of a reading changes a training; misleading squares only where there are any."""
    marked = [row.misleading, "" if row.marks is None else repr(row.marks)]
    return (row.key, row.epoch, row.verdict, row.squares, *filter(None, marked))


def _make(reader: Reader, data: Prepared) -> object:
    """The reader; None if it is the web page."""
    if reader.asks == "web":
        check_web_installed()
    if reader.reader.kind == "web":
        return None
    if reader.reader.kind == "none":
        raise SettingsError("reader is none: name one, or leave the arm imil out")
    return make_reader(reader.reader, reader_name=reader.name, seed=0, data=data, folder=Path())


def _same_answers(replayed: Mapping[str, Replay]) -> Iterator[str]:
    for (one, ones), (other, others) in combinations(replayed.items(), 2):
        first, second = ({_answer(row) for row in replay.rows} for replay in (ones, others))
        if first == second:
            yield f"'{one}' and '{other}' replay the same answers: their results are the same"


def _check_replay(
    plan: Plan, name: str, reader: Replay, data: Prepared, splits: Splits
) -> list[str]:
    settings = plan.settings(Arm("baseline"), plan.seeds[0])
    known = {*data.table.keys, *(key for key, _ in data.bad)}
    unknown = [row.key for row in reader.rows if row.key not in known]
    if unknown:
        raise SettingsError(
            f"{reader.path} has {len(unknown)} readings of images that are not in the data, "
            f"'{unknown[0]}' the first: give readings of images of the data, by the same names"
        )
    usable = reader.usable(settings.imil_epoch, Grid.parse(settings.grid_size))
    for arm in plan.rows:
        if arm.own_round and arm.asks_reader and arm.reader == name:
            own = plan.settings(arm, plan.seeds[0])
            reader.usable(own.imil_epoch, Grid.parse(own.grid_size))
    return list(_unused(name, {row.key for row in usable}, data, splits))


def _unused(name: str, keys: set[str], data: Prepared, splits: Splits) -> Iterator[str]:
    for number, split_of in enumerate(splits):
        train = {key for key, of in zip(data.table.keys, split_of, strict=True) if of == "train"}
        if not keys & train:
            yield (
                f"no image that '{name}' has read is in the training set of split {number}: no "
                "case of a round can have a reading there"
            )
