"""The work of `imil store copy` and `imil store backup`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from imil.errors import StoreError
from imil.run_folder import RunFolder
from imil.run_store import run_store
from imil.store.audit import record
from imil.store.copying import back_up, copy_runs, total
from imil.store.database import schema_version
from imil.store.find_run import find_run
from imil.store.run_progress import Progress
from imil.store.schema import HEAD
from imil.store.store import Store
from imil.store_address import Location


def copy_store(source: str, target: str, run: str | None) -> str:
    """Copy a run, or all runs of a store, and say in a sentence what was copied.

    Args:
        source, target: a run's folder, a store's file, or the address of a database.
        run: of the source; None: the run of the folder, or all.
    Raises: StoreError: there is no such run, its training is going on, or the target has it.
    """
    there = run_store(target).place
    with ExitStack() as stack:
        folder = RunFolder(Path(source))
        if folder.path.is_dir():
            stack.enter_context(folder.locked())  # no training writes meanwhile
        old, name = open_source(source, run, stack)
        if there == old.path:
            raise StoreError(f"{there} is the source: give another target")
        _check_at_rest(old, name)
        with opened_target(there) as new:
            counts = copy_runs(old, new, name)
    record_export(source, name, f"store, into {there}")
    return f"Copied {total(counts)} to {there}; every row was compared. The source is as it was."


@contextmanager
def opened_target(there: Location) -> Iterator[Store]:
    """The store that is copied to; a file that is new goes where the copy fails."""
    is_new = isinstance(there, Path) and not there.exists()
    try:
        with closing(Store(there)) as new:
            yield new
    except StoreError:
        if is_new and isinstance(there, Path):
            there.unlink(missing_ok=True)
        raise


def back_up_store(source: str, file: Path, run: str | None) -> str:
    """Back up a store, and say in a sentence what was written. Raises: StoreError: as `back_up`."""
    with ExitStack() as stack:
        old, name = open_source(source, run, stack)
        back_up(old, file, name)
        place = old.path
    record_export(source, name, f"store, into {file}")
    what = f"run '{name}' of {place}" if name and not isinstance(place, Path) else str(place)
    return f"{file} is a backup of {what}: names, links and films are in it as in the store."


def open_source(source: str | Path, run: str | None, stack: ExitStack) -> tuple[Store, str | None]:
    """The store and the run that are meant; of a file without `run`, everything.

    Raises: StoreError: there is no store, or no such run.
    """
    found = run_store(source)
    if found.is_missing:
        raise StoreError(f"no store at {source}: give a run's folder, its store, or a database")
    if schema_version(found.place) not in (None, HEAD):
        Store(found.place).close()  # brings it up to date
    store = stack.enter_context(closing(Store(found.place, readonly=True)))
    name = run or found.run
    return store, name if name is None else find_run(store, name)


def _check_at_rest(store: Store, run: str | None) -> None:
    """Raises: StoreError: a training would go on with readings in the source alone."""
    progress = Progress(store)
    for name in [run] if run is not None else [str(row["name"]) for row in store.runs()]:
        if progress.training(name).state in ("running", "waiting"):
            raise StoreError(
                f"the training of '{name}' is going on: stop it, and copy again a minute later; "
                "`imil store backup` copies while it goes on"
            )


def record_export(source: str | Path, run: str | None, detail: str) -> None:
    """Note in the source's audit that its rows were copied."""
    with closing(Store(run_store(source).place)) as store:
        names = [run] if run is not None else [str(row["name"]) for row in store.runs()]
        with store.write() as db:
            for name in names:
                record(db, name, "owner", "export", detail)
