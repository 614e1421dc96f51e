"""Copying the stores of a study's jobs into one store, and what `imil store copy` does."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from imil.atomic_files import locked
from imil.errors import StoreError
from imil.run_folder import is_study, study_runs
from imil.run_store import run_store
from imil.store import schema_version
from imil.store.copy_commands import copy_store, open_source, opened_target, record_export
from imil.store.copying import copy_renamed, total


def copy_source(source: str, target: str, run: str | None) -> str:
    """Copy a run, a store or a study, and say in a sentence what was copied.

    Args:
        source: a run's or a study's folder, a store's file, or the address of a database.
        target: likewise, but no study.
        run: of a store; None: the run of the folder, or all.
    Raises: StoreError: there is no such run, its training is going on, or the target has it.
    """
    if run is None and is_study(Path(source)):
        return copy_study(Path(source), target)
    return copy_store(source, target, run)


def copy_study(study: Path, target: str) -> str:
    """Copy the runs of all jobs that began, as STUDY-ARM-seed-S-split-P; all or none.

    Raises: StoreError: the study is going on, no job began, or the target has such a run.
    """
    there = run_store(target).place
    folders = [run.path for run in study_runs(study) if run.store.is_file()]
    with ExitStack() as stack:
        busy = f"{study} is in use: stop `imil study run`, and copy then"
        stack.enter_context(locked(study, busy))
        sources = {}
        for folder in (one for one in folders if schema_version(one / "imil.sqlite")):
            store, _ = open_source(folder, None, stack)
            for row in store.runs():  # one; none where the job was killed before
                name = f"{study.resolve().name}-{folder.parent.name}-{folder.name}"
                sources[name] = (store, str(row["name"]))
        if not sources:
            raise StoreError(f"no training of {study} has a store: run the study first")
        with opened_target(there) as new:
            counts = copy_renamed(sources, new)
    for folder in folders:
        record_export(folder, None, f"store, into {there}")
    return (
        f"Copied {len(sources)} runs with {total(counts)} to {there}; every row was compared. The "
        "study is as it was, and its report reads its own folder."
    )
