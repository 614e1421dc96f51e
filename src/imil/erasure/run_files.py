"""Erasing runs and studies: the store's content, the folder's files, the decoded images."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Collection
from contextlib import closing
from pathlib import Path

import tomli_w

from imil.atomic_files import atomic_write, os_errors_as_sentences
from imil.data.cache_entries import delete_images
from imil.data.splits import read_contents
from imil.errors import DataError, SettingsError
from imil.run_folder import STORE_NAME, RunFolder, is_study, study_runs
from imil.run_store import run_store
from imil.settings import load_toml
from imil.store import Store, schema_version
from imil.store.erase import erase_run, renamed

TEXTS = (".toml", ".json", ".csv", ".html", ".txt", ".svg")
KEPT = {STORE_NAME, f"{STORE_NAME}-wal", f"{STORE_NAME}-shm"}  # the audit, without names


def erase_run_folder(path: Path, cache: Path) -> int:
    """Erase a run's folder but for the audit; returns how many files of decoded images went too.

    Raises: SettingsError: it is no run's folder. DataError, StoreError: it is in use or damaged.
    """
    folder = RunFolder(path)
    if not (folder.config.is_file() or folder.store.is_file()):
        raise SettingsError(f"there is no run in {path}: name a folder that `imil train` made")
    with folder.locked():
        contents = read_contents(folder.splits) if folder.splits.exists() else set()
        found = run_store(path)
        if found.run is not None:  # in a database that others use too
            with closing(Store(found.place)) as store:
                if any(row["name"] == found.run for row in store.runs()):
                    erase_run(store, found.run)
        if schema_version(folder.store) is not None:
            with closing(Store(folder.store)) as store:
                for run in store.runs():
                    erase_run(store, run["name"])
        deleted = delete_images(cache, contents)
        _delete_files(path, keep=KEPT | {".lock"})
    return deleted


def erase_study(path: Path, cache: Path) -> int:
    """Erase a study's folder but for the audits of its jobs; returns as `erase_run_folder`.

    Raises: as `erase_run_folder`.
    """
    if not is_study(path):
        raise SettingsError(f"there is no study in {path}: name a folder of `imil study run`")
    jobs = [job for job in study_runs(path) if job.config.is_file()]
    deleted = sum(erase_run_folder(job.path, cache) for job in jobs)
    _delete_files(path, keep={"jobs", ".lock"})
    return deleted


def rename_in_config(folder: RunFolder, name: str, number: str) -> None:
    """Replace a reader's name among the settings of a run; a store's file has none.

    Raises: DataError: config.toml cannot be written. SettingsError: it is damaged.
    """
    if not folder.config.is_file():
        return
    before = load_toml(folder.config)
    after = renamed(before, name, number)
    if after != before:
        with os_errors_as_sentences(folder.config), atomic_write(folder.config) as half:
            half.write_bytes(tomli_w.dumps(after).encode())


def files_naming(folder: Path, name: str) -> list[Path]:
    """The texts in a folder that have a name in them, such as a page of cases."""
    spellings = {one.encode() for one in (name, html.escape(name), json.dumps(name)[1:-1])}
    texts = (path for path in sorted(folder.rglob("*")) if path.suffix in TEXTS and path.is_file())
    return [path for path in texts if any(one in path.read_bytes() for one in spellings)]


def _delete_files(folder: Path, *, keep: Collection[str]) -> None:
    for entry in folder.iterdir():
        if entry.name in keep:
            continue
        try:
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        except OSError as error:
            raise DataError(f"{entry} cannot be deleted ({error.strerror or error})") from error
