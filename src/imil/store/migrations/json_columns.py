"""Changes within columns of JSON, in both databases."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, text


def set_in_json(
    db: Connection, table: str, column: str, name: str, value: Any, *, where: str
) -> None:
    """Set an entry of the objects in a column.

    Args:
        table, column, where: SQL that is the same in both databases.
        name: of the entry.
        value: anything that JSON has.
    """
    if db.dialect.name == "sqlite":
        changed = f"json_set({column}, '$.{name}', json(:value))"
    else:
        changed = f"jsonb_set(CAST({column} AS jsonb), '{{{name}}}', CAST(:value AS jsonb))::json"
    statement = text(
        f"UPDATE {table} SET {column} = {changed} WHERE {where}".replace("::", r"\:\:")
    )
    db.execute(statement, {"value": json.dumps(value)})
