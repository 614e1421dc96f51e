"""Where the store of a run is: a file in its folder, or a database; and the run's name there."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imil.errors import SettingsError
from imil.json_files import read_table
from imil.run_folder import RunFolder
from imil.store_address import DatabaseUrl, Location, is_url

IN_FOLDER = "run"  # the value of the setting `store` for a file in the run's folder


@dataclass(frozen=True)
class RunStore:
    """A store, and which of its runs is meant.

    Args:
        place: the file or the database.
        run: name of the run; None where the source names a store alone.
    """

    place: Location
    run: str | None = None

    @property
    def is_missing(self) -> bool:
        """Whether its file is missing; false for a database, which must be opened to tell."""
        return isinstance(self.place, Path) and not self.place.is_file()


def run_store(source: str | Path) -> RunStore:
    """The store that a person means by a run's folder, a store's file, or a database's address.

    Raises: SettingsError: an invalid address, in `source` or in the folder's config.toml.
    """
    if isinstance(source, str) and is_url(source):
        return RunStore(DatabaseUrl.parse(source))
    path = Path(source)
    if not path.is_dir():
        return RunStore(path)
    folder = RunFolder(path)
    database = recorded_database(folder)
    if database is None:
        return RunStore(folder.store)
    return RunStore(database, database_run(folder).get("run", folder.name))


def recorded_database(folder: RunFolder) -> DatabaseUrl | None:
    """The database that config.toml names, without a password; None: the store is in the folder.

    Raises: SettingsError: the file cannot be read, or what it names is no database.
    """
    try:
        values: dict[str, Any] = tomllib.loads(folder.config.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise SettingsError(f"{folder.config} cannot be read ({error}): restore it") from error
    text = values.get("store", IN_FOLDER)
    if text == IN_FOLDER:
        return None
    return DatabaseUrl.parse(str(text))


def database_run(folder: RunFolder) -> dict[str, str]:
    """`run`, the run's name in its database, and `id`, which tells it from another of that name.

    Empty where the run has none yet. Raises: DataError: the file is damaged.
    """
    try:
        values = read_table(folder.database_run, "restore it from a backup of the run")
    except FileNotFoundError:
        return {}
    return {name: str(value) for name, value in values.items()}
