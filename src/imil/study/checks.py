"""What is found before the first job starts, and what is written down of the data.

Everything here can be run again: with the same data it finds and writes the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
import torch
from rich.markup import escape

from imil.errors import DataError, SettingsError
from imil.pytorch.loop import versions
from imil.study.answers import check_readers
from imil.study.arms import Arm
from imil.study.folder import StudyFolder
from imil.study.overlaps import check_overlaps
from imil.study.plan import Plan
from imil.study.sets import ImageSet, Say, read_sets
from imil.training.folder import sentences, write_json, write_table
from imil.training.network import build
from imil.training.splits import parted, read_splits, split, write_splits

LIBRARIES = ("pandas", "scipy", "torchmetrics")  # besides a run's own
RECORDED = ["label", "class_name", "content"]  # what must not change while a study runs


@dataclass(frozen=True)
class Facts:
    """What study.json holds.

    Args:
        name: the plan's.
        created: when the study was begun; UTC, ISO 8601.
        versions: of Python and of the libraries that the numbers depend on.
        classes: K names.
        images: how many there are of each set.
        fingerprint: SHA-256 over set, key, label and content of every image, in order.
        warnings: what a reader of the results must know of the data, a sentence each.
    """

    name: str
    created: str
    versions: dict[str, str]
    classes: tuple[str, ...]
    images: dict[str, int]
    fingerprint: str
    warnings: tuple[str, ...]


def prepare(plan: Plan, folder: StudyFolder, say: Say, *, cache: Path) -> Facts:
    """Check everything, then write splits, images.parquet and study.json; returns the last.

    Args:
        plan: what is to be done; it may have grown since the study was begun.
        folder: of the study. What is written there stays true: a split once drawn is kept.
        say: is told each warning, and what takes long.
        cache: where decoded images are kept.
    Raises: DataError, SettingsError: the study cannot be done like this, in one sentence.
    """
    sets = read_sets(plan, cache=cache, say=say)
    data = sets[0].images
    images = pd.concat([one.rows() for one in sets], ignore_index=True)
    begun = folder.facts.exists()
    before = _recorded(folder) if begun else images.iloc[:0]
    _check_unchanged(folder, before, images)
    splits = [_split(plan, folder, sets[0], number, begun) for number in range(plan.splits.count)]
    _check_training(plan, sets[0], splits)
    warnings = [warning for one in sets for warning in one.warnings]
    warnings += check_overlaps(sets, splits) + check_readers(plan, data, splits)
    now, first = _versions(), folder.read_facts() if begun else {}
    since = first.get("versions", now)
    other = [
        f"{name} {old}, now {now.get(name)}" for name, old in since.items() if now.get(name) != old
    ]
    if other:
        warnings.append(f"the study was begun with other versions ({'; '.join(other)})")
    facts = Facts(
        name=plan.name,
        created=first.get("created", _now()),
        versions=since,
        classes=data.class_names,
        images={one.name: len(one) for one in sets},
        fingerprint=fingerprint(images),
        warnings=tuple(warnings),
    )
    for name in set(images["set"]) - set(before["set"]):
        folder.forget(name)  # a set of that name may have been there earlier, with other images
    _write(folder, sets[0], splits, images, facts)
    for warning in warnings:
        say(escape(f"Note: {warning}."))
    return facts


def fingerprint(images: pd.DataFrame) -> str:
    """SHA-256 over set, key, label and content of every image: the same data, the same text.

    Args:
        images: as in images.parquet.
    """
    rows = images[["set", "key", "label", "content"]].astype(str)
    lines = sorted(json.dumps(row) for row in rows.to_numpy().tolist())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _versions() -> dict[str, str]:
    found = versions()
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _recorded(folder: StudyFolder) -> pd.DataFrame:
    """Every image as it was when the study was last run.

    Raises: DataError: the record is damaged.
    """
    try:
        return pd.read_parquet(folder.images)[["set", "key", *RECORDED]]
    except (OSError, KeyError, ValueError) as error:
        raise DataError(f"{folder.images} cannot be read: begin the study anew") from error


def _check_unchanged(folder: StudyFolder, before: pd.DataFrame, now: pd.DataFrame) -> None:
    """Sets may be added to a study, but those that it has stay as they were.

    Raises: DataError: images are new, gone, relabelled or rewritten.
    """
    both = set(now["set"]) & set(before["set"])
    old, new = (
        {
            (of, key): tuple(row)
            for of, key, *row in one[["set", "key", *RECORDED]].to_numpy().tolist()
        }
        for one in (before, now)
    )
    changed = [
        index for index in {**old, **new} if index[0] in both and old.get(index) != new.get(index)
    ]
    if changed:
        raise DataError(
            f"the data have changed since {folder.path} was begun: {len(changed)} images are new, "
            f"gone, relabelled or rewritten, '{changed[0][1]}' the first; put them back, or begin "
            "a new study"
        )


def _split(
    plan: Plan, folder: StudyFolder, data: ImageSet, number: int, begun: bool
) -> tuple[str, ...]:
    """The split of that number, as it was written or else drawn."""
    table, path = data.images.table, folder.splits(number)
    given = table.splits is not None
    if given and plan.splits.count > 1:
        raise SettingsError(
            f"the plan asks for {plan.splits.count} splits, but {plan.data} says itself what is "
            "trained and tested on: set the splits' count to 1, or name another column for splits"
        )
    if begun and path.exists() and not given:
        written = read_splits(path, table)
        if leak := parted(table, written):  # the patients that it was drawn by were others
            patient, one, other = leak
            raise DataError(
                f"the patient '{patient}' is in {one} and in {other} of split {number}, which was "
                f"drawn when {folder.path} was begun with other patients or none: put these back, "
                "or begin a new study"
            )
        return written
    drawn = split(
        table,
        test=plan.splits.test_share,
        val=plan.splits.val_share,
        seed=plan.splits.seed + number,
    )
    if not (begun and path.exists()):
        return drawn
    written = read_splits(path, table)
    if given and written != drawn:
        raise DataError(
            f"the splits in {plan.data} have changed since {folder.path} was begun: put them "
            "back, or begin a new study"
        )
    return written


def _check_training(plan: Plan, data: ImageSet, splits: Sequence[Sequence[str]]) -> None:
    """Whether every job can start: a batch of images, and a network that can be built."""
    settings = plan.settings(Arm("baseline"), plan.seeds[0])
    least = min(list(one).count("train") for one in splits)
    if least < settings.batch_size:
        raise SettingsError(
            f"{least} training images are fewer than a batch of {settings.batch_size}: set "
            f"batch-size in [training] to {least} or less"
        )
    with torch.random.fork_rng(devices=[]):
        build(
            settings.model,
            classes=len(data.images.class_names),
            image_size=settings.image_size,
            weights=settings.weights,
        )


def _write(
    folder: StudyFolder,
    data: ImageSet,
    splits: Sequence[Sequence[str]],
    images: pd.DataFrame,
    facts: Facts,
) -> None:
    """Everything, study.json last: where it is, the rest is."""
    for number, drawn in enumerate(splits):
        path = folder.splits(number)
        with sentences(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_splits(path, data.images.table, drawn)
    write_table(folder.images, images)
    write_json(folder.facts, asdict(facts))
