"""Which rows of a table belong to a run."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Table, select, true

from imil.store import schema


def of_run(table: Table, run: str | None) -> ColumnElement[bool]:
    """The condition that a row belongs to the run, an image if a case of it shows it; None: any."""
    if run is None:
        return true()
    if table is schema.runs:
        return table.c.name == run
    rounds = select(schema.rounds.c.id).where(schema.rounds.c.run == run)
    cases = select(schema.cases.c.id).where(schema.cases.c.round.in_(rounds))
    links = select(schema.invitations.c.id).where(schema.invitations.c.run == run)
    if table is schema.images:
        shown = select(schema.cases.c.image).where(schema.cases.c.round.in_(rounds))
        return table.c.sha256.in_(shown)
    belongs: dict[str, Any] = {"case": cases, "round": rounds, "invitation": links, "run": [run]}
    column = next(name for name in belongs if name in table.c)
    return table.c[column].in_(belongs[column])
