"""Runs the migrations on the connection that `imil.store.database` opened."""

from alembic import context

from imil.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table by copying it
)
context.run_migrations()
