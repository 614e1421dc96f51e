"""Alembic's steps from one schema version to the next; `imil.store.database` runs them."""
