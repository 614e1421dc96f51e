"""A training that goes on from a trained model, with what was read of its discrepancies."""

from __future__ import annotations

import csv
import posixpath
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from imil.atomic_files import atomic_write
from imil.cases import Case, Reading, Round
from imil.data.column_names import NONE, find_column
from imil.data.table import Table, read_data
from imil.data.table_columns import read_columns, read_names
from imil.data.worklist_table import TABLE, worklist_files
from imil.errors import DataError, SettingsError
from imil.json_files import read_table
from imil.output_text import csv_value
from imil.run_folder import RunFolder
from imil.settings import TrainSettings
from imil.store import Store, name_round
from imil.training.discrepancy_folder import EPOCH, finished_run, read_record

TRAINING = "training.csv"
# settings of the model that are of its own run alone
OWN = (
    *("data", "store", "reader", "reader_name", "readers", "quorum", "overlap", "arbiter"),
    *("disagreement", "wait", "deadline", "weights", "epochs", "imil_epoch", "budget", "devices"),
    *("nodes", "image_column", "label_column", "split_column", "patient_column", "protocol"),
    *("class_name_column", "mask_columns", "round_when", "patience", "mistakes", "skip_bad"),
)


def continued_flags(path: Path) -> dict[str, Any]:
    """The settings of a training that goes on from a model with a round of discrepancies.

    Its table is written into the round's folder: the images of the model's run, each in its split,
    and the cases that were read, as training images with the labels of the report. Cases whose
    label is wrong, or that cannot be assessed, are left out.

    Args:
        path: the folder that `imil round open` made.
    Raises: DataError, SettingsError: it is none, cases are unread, or the run of the model or its
        images are not what they were.
    """
    record = read_record(path)
    folder, settings = finished_run(Path(record["model"]))
    with closing(Store(RunFolder(path).store)) as store:
        round_ = _read_round(store, path)
        cases = _usable_cases(store, round_)
    if not cases:
        raise DataError(f"no case of '{path}' was read as one to train on: there is nothing new")
    table = path.absolute() / TRAINING
    patients = _write_table(table, folder, settings, path, cases)
    names = [name for name in TrainSettings.model_fields if name not in OWN]
    kept = {name: getattr(settings, name) for name in names}
    return kept | {
        "data": str(table),
        "weights": str(folder.weights.absolute()),
        "epochs": max(1, settings.epochs - min(settings.imil_epoch, default=0)),
        "reader": "none",
        "patient_column": "patient" if patients else settings.patient_column,
    }


def take_over_round(store: Store, run: str, path: Path) -> None:
    """Copy the round of discrepancies into the store of the run, before its first epoch.

    What was copied before is left as it is, also where that was interrupted.

    Args:
        store: of the new run, which is recorded in it.
        run: its name.
        path: the folder that `imil round open` made.
    """
    done = store.find_round(run, EPOCH)
    if done is not None and done.state == "applied":
        return
    keys = _keys_of_images(path)
    with closing(Store(RunFolder(path).store, readonly=True)) as source:
        old = _only_round(source, path)
        cases = [_renamed(case, run, keys[case.key]) for case in source.cases(old.id)]
        new = done or store.open_round(run, EPOCH, old.settings, cases)
        numbers = {case.id: case.number for case in source.cases(old.id)}
        for reading in source.readings(old.id)[len(store.readings(new.id)) :]:
            store.add(_copied(reading, cases[numbers[reading.case] - 1].id))
        store.mark(store.mark(new, "closed"), "applied")


def check_continued(settings: TrainSettings) -> None:
    """Raises: SettingsError: a setting contradicts the round that a training begins with."""
    if settings.budget != "none":
        raise SettingsError(
            "--budget counts the cases of all rounds, and --continue brings a round: give "
            "--num-outliers, or leave it out"
        )
    if settings.wait == "live":
        raise SettingsError(
            "--wait live cannot begin with a round, as --continue does: give --wait here or park"
        )


def nobody(cases: Sequence[Case]) -> Iterator[Reading]:
    """A reader who is never asked: the round was read already."""
    return iter(())


def continued_from(folder: RunFolder) -> Path | None:
    """The folder of the round that a run begins with; None where it does not."""
    if not folder.continued.exists():
        return None
    return Path(str(read_table(folder.continued, "train again")["round"]))


def _only_round(store: Store, path: Path) -> Round:
    rounds = store.rounds()
    if len(rounds) != 1:
        raise DataError(f"'{path}' has {len(rounds)} rounds: give the folder of `imil round open`")
    return rounds[0]


def _read_round(store: Store, path: Path) -> Round:
    """The round, closed. Raises: SettingsError: cases are unread."""
    round_ = _only_round(store, path)
    if round_.state == "open":
        unread = len(store.unread(round_.id))
        if unread:
            raise SettingsError(
                f"{unread} of {round_.cases} cases of '{path}' are unread: read them with `imil "
                f"serve {path}`, or close the round there as its owner"
            )
        round_ = store.mark(round_, "closed")
    return round_


def _usable_cases(store: Store, round_: Round) -> dict[str, Case]:
    """Key -> each case with a reading that leaves its label as it is."""
    counts = store.merged(round_.id)
    return {
        case.key: case
        for case in store.cases(round_.id)
        if case.id in counts and not counts[case.id].flagged
    }


def _renamed(case: Case, run: str, key: str) -> Case:
    round_id = name_round(run, EPOCH)
    identity = f"{round_id}#{case.number}"
    return replace(case, id=identity, run=run, round=round_id, epoch=EPOCH, key=key)


def _copied(reading: Reading, case: str) -> Reading:
    return replace(reading, case=case, id=uuid4().hex)


def _keys_of_images(path: Path) -> dict[str, str]:
    """Key in the worklist -> key in the table of the training, which is the file's path."""
    return {key: _key(str(image)) for key, image in worklist_files(path).items()}


def _key(path: str) -> str:
    """As `imil.data.table` names the image of that path."""
    return unicodedata.normalize("NFC", posixpath.normpath(path.replace("\\", "/")))


def _write_table(
    target: Path, folder: RunFolder, settings: TrainSettings, path: Path, cases: dict[str, Case]
) -> bool:
    """Write the table of the training; returns whether it has patients."""
    old = read_data(Path(settings.data), settings.columns())
    with folder.splits.open(newline="", encoding="utf-8") as file:
        split_of = {csv_value(row["key"]): row["split"] for row in csv.DictReader(file)}
    lost = [key for key in split_of if key not in set(old.keys)]
    if lost:
        raise DataError(
            f"{len(lost)} images of the model's run are no longer in {settings.data}, '{lost[0]}' "
            "the first: restore them"
        )
    rows = [i for i, key in enumerate(old.keys) if key in split_of]  # the others were left out
    patients = _stated_patients(old, settings)
    masks = list(old.masks)
    listed = [
        [
            str(old.images[i].absolute()),
            *_class(int(old.labels[i]), old.class_names),
            split_of[old.keys[i]],
            *([patients[i]] if patients else []),
            *[_absolute(one[i]) for one in old.masks.values()],
        ]
        for i in rows
    ]
    new = read_columns(path / TABLE, {"image", "key", *masks}, paths={"image", "key", *masks})[1]
    for i, key in enumerate(map(csv_value, new["key"])):
        if key not in cases:
            continue
        case = cases[key]
        # a patient of its own, unless the files' headers tell
        patient = [f"worklist {key}"] if patients else []
        more = [new[name][i] if name in new else "" for name in masks]
        listed.append(
            [new["image"][i], *_class(case.label, case.class_names), "train", *patient, *more]
        )
    heads = ["image", "label", "class_name", "split", *(["patient"] if patients else []), *masks]
    with atomic_write(target) as half, half.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([heads, *listed])
    return bool(patients)


def _absolute(path: Path | None) -> str:
    return "" if path is None else str(path.absolute())


def _class(label: int, names: Sequence[str]) -> list[str]:
    return [str(label), names[label]]


def _stated_patients(table: Table, settings: TrainSettings) -> tuple[str, ...] | None:
    """The patients of a column; None where there is none, and DICOM headers may tell."""
    data = Path(settings.data)
    if data.is_dir() or settings.patient_column == NONE:
        return None
    stated = find_column(read_names(data), settings.patient_column)
    return table.patients if stated is not None else None
