"""The work of `imil store erase`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from imil.data.image_cache import cache_folder
from imil.erasure.run_files import erase_run_folder, erase_study, files_naming, rename_in_config
from imil.errors import SettingsError, StoreError
from imil.run_folder import RunFolder, is_study, study_runs
from imil.run_store import RunStore, run_store
from imil.store import Store, schema_version
from imil.store.erase import erase_reader, erase_run


def named_source(source: str, run: str | None) -> str:
    """What is erased from, for a person; never with a password."""
    found = run_store(source)
    place = str(found.place) if not isinstance(found.place, Path) else source
    return f"the run '{run}' of {place}" if run else place


def erase_source(
    source: str, reader: str | None, cache: Path | None, *, run: str | None = None
) -> str:
    """Erase, and say in a sentence what went.

    Args:
        source: the folder of a run or of a study, a store, or the address of a database.
        reader: only this reader; None erases everything.
        cache: folder of decoded images; None is the usual one.
        run: of a store: this run, or the reader in this run alone.
    Raises: SettingsError, StoreError, DataError: there is nothing to erase, or it is in use.
    """
    if reader is not None:
        return _erase_reader(source, reader, run)
    folder = Path(source)
    if run is not None:
        return _erase_run(run_store(source), run)
    if not folder.is_dir():
        raise SettingsError(
            f"{named_source(source, None)} is no folder: name the folder of a run or study, or "
            "give --run"
        )
    erase = erase_study if is_study(folder) else erase_run_folder
    files = erase(folder, cache_folder(cache))
    return f"Erased {source} and {files} files of decoded images; the audit stays, without names."


def _erase_run(found: RunStore, run: str) -> str:
    if found.is_missing:
        raise SettingsError(f"there is no store at {found.place}: name one")
    with closing(Store(found.place)) as store:
        erase_run(store, run)
    return (
        f"Erased the run '{run}' from {found.place}; the audit stays, without names, and so do the "
        "run's folder and decoded images."
    )


def _erase_reader(source: str, reader: str, run: str | None) -> str:
    folder = Path(source)
    jobs = [job for job in study_runs(folder) if job.store.is_file()]
    stores = [RunStore(job.store) for job in jobs] or [run_store(source)]
    done = 0
    for found in stores:
        if schema_version(found.place) is None:
            continue
        with closing(Store(found.place)) as store:
            try:
                number = erase_reader(store, reader, run or found.run)
            except StoreError:
                if len(stores) == 1:
                    raise
                continue
        done += 1
        its_folder = folder if not jobs else Path(str(found.place)).parent
        rename_in_config(RunFolder(its_folder), reader, number)
    if not done:
        raise SettingsError(
            f"{named_source(source, None)} has no reader '{reader}': see `imil rounds`"
        )
    said = f"Erased the name and the reasons of '{reader}' in {done} stores; the readings stay."
    if not folder.is_dir():
        return f"{said} Where --readers named them, the config.toml of the run's folder still does."
    left = ", ".join(str(path.relative_to(folder)) for path in files_naming(folder, reader))
    return f"{said} These files still have the name: {left}." if left else said
