"""Which run of a store a person means."""

from __future__ import annotations

from imil.errors import StoreError
from imil.store.store import Store
from imil.store_address import DatabaseUrl


def find_run(store: Store, name: str | None) -> str:
    """The run of that name, or the newest of a file, or the only one of a database.

    Raises: StoreError: the store has no such run, or none at all.
    """
    names = [str(row["name"]) for row in store.runs()]
    if not names:
        raise StoreError(f"{store.path} has no run yet: start one with `imil train`")
    if name is not None and name not in names:
        raise StoreError(f"no run '{name}' in {store.path}, which has {', '.join(names)}")
    if name is None and len(names) > 1 and isinstance(store.path, DatabaseUrl):
        raise StoreError(  # the newest may be anybody's
            f"the store {store.path} has {len(names)} runs: name one with --run, such as "
            f"{', '.join(names[-3:])}"
        )
    return name or names[-1]
