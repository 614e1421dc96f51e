"""The work of `imil store erase`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from imil.data.image_cache import cache_folder
from imil.errors import SettingsError, StoreError
from imil.run_folder import store_path
from imil.store import Store, schema_version
from imil.store.erase import erase_reader
from imil.study.erasure import erase_run_folder, erase_study
from imil.study.study_folder import StudyFolder


def erase_source(source: Path, reader: str | None, cache: Path | None) -> str:
    """Erase, and say in a sentence what went.

    Args:
        source: the folder of a run or of a study.
        reader: only this reader; None erases everything.
        cache: folder of decoded images; None is the usual one.
    Raises: SettingsError, StoreError, DataError: there is nothing to erase, or it is in use.
    """
    if reader is not None:
        return _erase_reader(source, reader)
    if not source.is_dir():
        raise SettingsError(f"{source} is no folder: name the folder of a run or study")
    erase = erase_study if StudyFolder(source).plan.is_file() else erase_run_folder
    files = erase(source, cache_folder(cache))
    return f"Erased {source} and {files} files of decoded images; the audit stays, without names."


def _erase_reader(source: Path, reader: str) -> str:
    found = sorted(source.glob("jobs/*/*/imil.sqlite")) if source.is_dir() else []
    stores = found or [store_path(source)]
    done = 0
    for path in stores:
        if schema_version(path) is None:
            continue
        with closing(Store(path)) as store:
            try:
                erase_reader(store, reader)
                done += 1
            except StoreError:
                if len(stores) == 1:
                    raise
    if not done:
        raise SettingsError(f"{source} has no reader '{reader}': see `imil rounds`")
    return f"Erased the name and the reasons of '{reader}' in {done} stores; the readings stay."
