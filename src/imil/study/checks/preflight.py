"""What is found before the first job starts, and what is written down of the data.

Everything here can be run again: with the same data it finds and writes the same.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pandas as pd
import torch
from rich.markup import escape

from imil.atomic_files import os_errors_as_sentences, write_json, write_table
from imil.data.splits import find_patient_leak, read_splits, split, write_splits
from imil.errors import DataError, SettingsError
from imil.pytorch.callback import versions
from imil.run_folder import STORE_NAME
from imil.study.arms import Arm
from imil.study.checks.leakage import check_overlaps
from imil.study.checks.reader_answers import check_readers, replayed
from imil.study.image_sets import MASKS, ImageSet, Say, read_sets
from imil.study.plan import Plan
from imil.study.study_folder import StudyFolder
from imil.training.network import build

LIBRARIES = ("pandas", "scipy", "torchmetrics")  # besides a run's own
RECORDED = ["label", "class_name", "content"]  # what must not change while a study runs
OTHER = "the study was begun with other versions"


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
        answers: SHA-256 of what is replayed, by the reader's name; also of readers who have left
            the plan and may come back.
        warnings: what a reader of the results must know of the data, a sentence each.
    """

    name: str
    created: str
    versions: dict[str, str]
    classes: tuple[str, ...]
    images: dict[str, int]
    fingerprint: str
    answers: dict[str, str]
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
    first = folder.read_facts() if begun else {}
    answers = replayed(plan, data)
    _check_answers(plan, folder, first.get("answers", {}), answers)
    now = _versions()
    since = first.get("versions", now)
    warnings += _other_versions(since, now, first.get("warnings", ()))
    facts = Facts(
        name=plan.name,
        created=first.get("created", _now()),
        versions=since,
        classes=data.class_names,
        images={one.name: len(one) for one in sets},
        fingerprint=fingerprint(images),
        answers={**first.get("answers", {}), **answers},
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


def _other_versions(
    first: Mapping[str, str], now: Mapping[str, str], said: Sequence[str]
) -> list[str]:
    """That a session has other versions than the first, and what was said of earlier ones.

    Args:
        said: the warnings of the last session; what was trained then stays trained so.
    """
    # folders of older versions say "now", which holds for the session alone that wrote it
    found = [one.replace(", now ", ", later ") for one in said if one.startswith(OTHER)]
    changed = [(name, old, now.get(name)) for name, old in first.items() if now.get(name) != old]
    other = [f"{name} {old}, later {new}" for name, old, new in changed]
    told = f"{OTHER} ({'; '.join(other)})"
    return found + [told] * (bool(other) and told not in found)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _recorded(folder: StudyFolder) -> pd.DataFrame:
    """Every image as it was when the study was last run.

    Raises: DataError: the record is damaged.
    """
    try:
        found = folder.read_images()
        _ = found[["set", "key", *RECORDED]]
    except KeyError as error:
        raise DataError(f"{folder.images} cannot be read: begin the study anew") from error
    return found


def _check_unchanged(folder: StudyFolder, before: pd.DataFrame, now: pd.DataFrame) -> None:
    """Sets may be added to a study, but those that it has stay as they were.

    Raises: DataError: images are new, gone, relabelled or rewritten, or have other masks.
    """
    both = set(now["set"]) & set(before["set"])
    columns = [*RECORDED, *({MASKS} & set(before))]
    old, new = (
        {
            (of, key): tuple(row)
            for of, key, *row in one[["set", "key", *columns]].to_numpy().tolist()
        }
        for one in (before, now)
    )
    changed = [
        index for index in {**old, **new} if index[0] in both and old.get(index) != new.get(index)
    ]
    if changed:
        raise DataError(
            f"the data have changed since {folder.path} was begun: {len(changed)} images are new, "
            f"gone, relabelled, rewritten or with other masks, '{changed[0][1]}' the first; put "
            "them back, or begin a new study"
        )


def _check_answers(
    plan: Plan, folder: StudyFolder, before: Mapping[str, str], now: Mapping[str, str]
) -> None:
    """What is replayed stays as it was, as soon as an arm was trained with it.

    Raises: SettingsError: the answers of a reader have changed.
    """
    for arm in (arm for arm in plan.rows if arm.kind == "imil" and arm.reader in now):
        changed = before.get(arm.reader, now[arm.reader]) != now[arm.reader]
        if changed and any(folder.arm(arm.id).glob(f"*/{STORE_NAME}")):
            raise SettingsError(
                f"the readings that '{arm.reader}' replays have changed since an arm of "
                f"{folder.path} was trained with them: put them back, or give the new ones to a "
                "reader of another name"
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
        if leak := find_patient_leak(
            table, written
        ):  # the patients that it was drawn by were others
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
        with os_errors_as_sentences(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_splits(path, data.images.table, drawn)
    write_table(folder.images, images)
    write_json(folder.facts, asdict(facts))
