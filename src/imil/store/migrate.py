"""Bringing the schema of a store up to date, with Alembic."""

from __future__ import annotations

from sqlalchemy import Connection


def migrate(db: Connection) -> None:
    """Run the migrations that are left, within the transaction of the connection.

    Where another process was faster, nothing is left to do.
    """
    # imported here: a store that is up to date needs no Alembic
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", "imil:store/migrations")
    config.attributes["connection"] = db
    command.upgrade(config, "head")
