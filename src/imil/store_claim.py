"""The store of a run: opened, and in a database with a name that no other run has."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

from imil.atomic_files import atomic_write, write_json
from imil.errors import SettingsError, StoreError
from imil.run_folder import RunFolder
from imil.run_store import database_run, recorded_database
from imil.settings import TrainSettings, load_config, resolve
from imil.store import Store, schema_version
from imil.store_address import DatabaseUrl, Location

RUN_ID = "run_id"  # among the settings that a store keeps of a run
LONGEST_NAME = 180  # characters; identifiers of rounds and cases hold it too


def store_place(settings: TrainSettings, folder: RunFolder) -> Location:
    """The file in the run's folder, or the database of its settings."""
    return settings.store if isinstance(settings.store, DatabaseUrl) else folder.store


def claim_name(settings: TrainSettings, folder: RunFolder) -> None:
    """Take the folder's name for the run in its database; before any training.

    The database is made or brought up to date. Does nothing for a store in the folder.

    Raises: StoreError, SettingsError: the database cannot be used, or has a run of that name.
    """
    if not isinstance(settings.store, DatabaseUrl) or folder.database_run.exists():
        return
    name = folder.name
    if len(name) > LONGEST_NAME:
        raise SettingsError(
            f"the name of the run has {len(name)} characters, at most {LONGEST_NAME} fit into "
            "the database: give another --out"
        )
    with closing(Store(settings.store)) as store:
        if any(row["name"] == name for row in store.runs()):
            raise _taken(settings.store, name)
    write_json(folder.database_run, {"run": name, "id": secrets.token_hex(8)})


def recorded_name(settings: TrainSettings, folder: RunFolder, store: Store) -> str:
    """The name that the run got in its store at its start; the folder's where it is not there."""
    if isinstance(settings.store, DatabaseUrl):
        return database_run(folder).get("run", folder.name)
    return next((str(row["name"]) for row in store.runs()), folder.name)


def open_run_store(
    settings: TrainSettings,
    folder: RunFolder,
    class_names: Sequence[str],
    versions: Mapping[str, str],
) -> tuple[Store, str]:
    """The store in which the run is recorded, and the run's name in it.

    Raises: StoreError: a run of another folder has that name; or as `Store`.
    """
    store = Store(store_place(settings, folder))
    values: dict[str, Any] = settings.model_dump(mode="json")
    name = recorded_name(settings, folder, store)
    if isinstance(settings.store, DatabaseUrl) and (id_ := database_run(folder).get("id")):
        values[RUN_ID] = id_
    store.add_run(name, class_names=class_names, settings=values, versions=versions)
    recorded = next(row["settings"] for row in store.runs() if row["name"] == name)
    if isinstance(settings.store, DatabaseUrl) and recorded.get(RUN_ID) != values.get(RUN_ID):
        store.close()
        raise _taken(settings.store, name)
    return store, name


def move_store(folder: RunFolder, database: DatabaseUrl | None) -> None:
    """Let a run go on with another store, to which `imil store copy` has copied it.

    Args:
        database: where it is now; None: in the run's folder.
    Raises: StoreError: there is no such run there.
    """
    old = recorded_database(folder)
    if database == old:
        return
    place: Location = folder.store if database is None else database
    name = database_run(folder).get("run") or _name_in_folder(folder)
    runs = []
    if database is not None or schema_version(folder.store) is not None:
        with closing(Store(place, readonly=True)) as store:
            runs = [row for row in store.runs() if row["name"] == name]
    if not runs:
        raise StoreError(
            f"the store {place} has no run '{name}': copy it first, with "
            f"`imil store copy {folder.path} {place}`"
        )
    if database is not None:
        id_ = runs[0]["settings"].get(RUN_ID, "")
        write_json(folder.database_run, {"run": name, "id": id_})
    settings = resolve(load_config(folder.config) | {"store": database or "run"})
    with atomic_write(folder.config) as half:
        settings.write(half)
    if database is None:
        folder.database_run.unlink(missing_ok=True)


def _name_in_folder(folder: RunFolder) -> str:
    if schema_version(folder.store) is None:
        return folder.name
    with closing(Store(folder.store, readonly=True)) as store:
        return next((str(row["name"]) for row in store.runs()), folder.name)


def _taken(database: DatabaseUrl, name: str) -> StoreError:
    return StoreError(
        f"the store {database} already has a run '{name}': give another --out, whose last part "
        "is the run's name"
    )
