"""The store: cases, readings, rounds and runs, in one SQLite file.

The only place where training and reading room meet. Readings are append-only, and a reading is on
disk before `add` returns.
"""

from imil.store.database import schema_version
from imil.store.store import Store, name_round

__all__ = ["Store", "name_round", "schema_version"]
