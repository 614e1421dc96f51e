"""The checks before the first job of a study, and the record of its data.

Running them again with the same data gives and writes the same.
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
from imil.library_versions import versions
from imil.run_folder import STORE_NAME
from imil.study.arms import Arm
from imil.study.checks.image_sets import MASKS, ImageSet, Say, read_sets
from imil.study.checks.leakage import check_overlaps
from imil.study.checks.reader_answers import check_readers, hash_replays
from imil.study.plan import Plan
from imil.study.study_folder import StudyFolder
from imil.training.network import build
from imil.training.run_choice import check_choice

LIBRARIES = ("pandas", "scipy")  # recorded beside the versions that every run records
RECORDED = ["label", "class_name", "content"]  # must not change while a study runs
OTHER_VERSIONS = "the study was begun with other versions"  # also in folders of earlier versions


@dataclass(frozen=True)
class Facts:
    """The content of study.json.

    Args:
        name: of the plan.
        created: when the study was started; UTC, ISO 8601.
        versions: of Python and of the libraries that the numbers depend on.
        classes: K names.
        images: the number of images of each set.
        fingerprint: SHA-256 over set, key, label and content of every image, in order.
        answers: SHA-256 of the replayed answers, by the reader's name; also of readers who have
            been removed from the plan and may be added again.
        warnings: what must be known of the data to judge the results, a sentence each.
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
        plan: it may have been extended since the study was started.
        folder: of the study. A split that was drawn is kept.
        say: called with each warning, and before long work.
        cache: folder of decoded images.
    Raises: DataError, SettingsError: the study cannot be run like this, in one sentence.
    """
    sets = read_sets(plan, cache=cache, say=say)
    data = sets[0].images
    images = pd.concat([one.rows() for one in sets], ignore_index=True)
    started = folder.facts.exists()
    before = _recorded(folder) if started else images.iloc[:0]
    _check_unchanged(folder, before, images)
    splits = [_split(plan, folder, sets[0], number, started) for number in range(plan.splits.count)]
    _check_training(plan, sets[0], splits)
    warnings = [warning for one in sets for warning in one.warnings]
    warnings += check_overlaps(sets, splits) + check_readers(plan, data, splits)
    first = folder.read_facts() if started else {}
    answers = hash_replays(plan, data)
    _check_answers(plan, folder, first.get("answers", {}), answers)
    now = _versions()
    at_start = first.get("versions", now)
    warnings += _other_versions(at_start, now, first.get("warnings", ()))
    facts = Facts(
        name=plan.name,
        created=first.get("created", _now()),
        versions=at_start,
        classes=data.class_names,
        images={one.name: len(one) for one in sets},
        fingerprint=fingerprint(images),
        answers={**first.get("answers", {}), **answers},
        warnings=tuple(warnings),
    )
    for name in set(images["set"]) - set(before["set"]):
        folder.forget(name)  # an earlier set of that name may have had other images
    _write(folder, sets[0], splits, images, facts)
    for warning in warnings:
        say(escape(f"Note: {warning}."))
    return facts


def fingerprint(images: pd.DataFrame) -> str:
    """SHA-256 over set, key, label and content of every image; equal for equal data.

    Args:
        images: as in images.parquet.
    """
    rows = images[["set", "key", "label", "content"]].astype(str)
    lines = sorted(json.dumps(row) for row in rows.to_numpy().tolist())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _versions() -> dict[str, str]:
    result = versions()
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            result[name] = version(name)
    return result


def _other_versions(
    first: Mapping[str, str], now: Mapping[str, str], warnings: Sequence[str]
) -> list[str]:
    """Warnings that this session, or an earlier one, has other versions than the first session.

    Args:
        first: the versions of the first session.
        now: those of this session; a library that is no longer recorded is not compared.
        warnings: of the last session; trainings of earlier sessions keep theirs.
    """
    # folders of older versions have "now", which was true for the session that wrote it
    result = [
        one.replace(", now ", ", later ") for one in warnings if one.startswith(OTHER_VERSIONS)
    ]
    other = [
        f"{name} {old}, later {now[name]}"
        for name, old in first.items()
        if now.get(name, old) != old
    ]
    warning = f"{OTHER_VERSIONS} ({'; '.join(other)})"
    return result + [warning] * (bool(other) and warning not in result)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _recorded(folder: StudyFolder) -> pd.DataFrame:
    """images.parquet as it was written when the study was last run.

    Raises: DataError: it is damaged.
    """
    try:
        images = folder.read_images()
        _ = images[["set", "key", *RECORDED]]
    except KeyError as error:
        raise DataError(f"{folder.images} cannot be read: start a new study") from error
    return images


def _check_unchanged(folder: StudyFolder, before: pd.DataFrame, now: pd.DataFrame) -> None:
    """Refuse changed data: sets may be added to a study, but its own sets must stay the same.

    Raises: DataError: images were added, removed, relabelled or rewritten, or have other masks.
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
            f"the data have changed since {folder.path} was started: {len(changed)} images were "
            f"added, removed, relabelled or rewritten, or have other masks, '{changed[0][1]}' the "
            "first: restore them, or start a new study"
        )


def _check_answers(
    plan: Plan, folder: StudyFolder, before: Mapping[str, str], now: Mapping[str, str]
) -> None:
    """Refuse changed replayed answers, once an arm was trained with them.

    Raises: SettingsError: the answers of a reader have changed.
    """
    for arm in (arm for arm in plan.rows if arm.kind == "imil" and arm.reader in now):
        changed = before.get(arm.reader, now[arm.reader]) != now[arm.reader]
        if changed and any(folder.arm(arm.id).glob(f"*/{STORE_NAME}")):
            raise SettingsError(
                f"the readings that '{arm.reader}' replays have changed since an arm of "
                f"{folder.path} was trained with them: restore them, or give the new ones to a "
                "reader of another name"
            )


def _split(
    plan: Plan, folder: StudyFolder, data: ImageSet, number: int, started: bool
) -> tuple[str, ...]:
    """The split of that number: as written by an earlier session, else drawn."""
    table, path = data.images.table, folder.splits(number)
    given = table.splits is not None
    if given and plan.splits.count > 1:
        raise SettingsError(
            f"the plan asks for {plan.splits.count} splits, but {plan.data} has a column of splits"
            ": set count to 1 in [splits], or name another column for splits"
        )
    if started and path.exists() and not given:
        written = read_splits(path, table)
        if leak := find_patient_leak(table, written):  # the column of patients has changed
            patient, one, other = leak
            raise DataError(
                f"the patient '{patient}' is in {one} and in {other} of split {number}, which was "
                f"drawn when {folder.path} was started with other patients or none: restore them, "
                "or start a new study"
            )
        return written
    drawn = split(
        table,
        test=plan.splits.test_share,
        val=plan.splits.val_share,
        seed=plan.splits.seed + number,
    )
    if not (started and path.exists()):
        return drawn
    written = read_splits(path, table)
    if given and written != drawn:
        raise DataError(
            f"the splits in {plan.data} have changed since {folder.path} was started: restore "
            "them, or start a new study"
        )
    return written


def _check_training(plan: Plan, data: ImageSet, splits: Sequence[Sequence[str]]) -> None:
    """Check that every job can start: images for a batch and for the choice of cases, a network."""
    settings = plan.settings(Arm("baseline"), plan.seeds[0])
    least = min(list(one).count("train") for one in splits)
    if least < settings.batch_size:
        raise SettingsError(
            f"{least} training images are fewer than a batch of {settings.batch_size}: set "
            f"batch-size in [training] to {least} or less"
        )
    for share in {arm.share for arm in plan.rows} - {1.0}:
        if least * share < settings.batch_size:
            raise SettingsError(
                f"share-of-data {share:g} leaves {int(least * share)} of {least} training images, "
                f"fewer than a batch of {settings.batch_size}: give a larger share, or set "
                "batch-size in [training] lower"
            )
    if plan.forked:
        for one in splits:
            rows = [i for i, name in enumerate(one) if name == "train"]
            check_choice(settings, data.images.table, rows)
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
    """Write everything; study.json last, as the sign that the rest is complete."""
    for number, drawn in enumerate(splits):
        path = folder.splits(number)
        with os_errors_as_sentences(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        write_splits(path, data.images.table, drawn)
    write_table(folder.images, images)
    write_json(folder.facts, asdict(facts))
