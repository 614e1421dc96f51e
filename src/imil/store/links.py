"""Renewing a person's link, and revoking links that another machine made."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import RowMapping, select

from imil.store import schema
from imil.store.invitations import (
    ID_TAG,
    Invitation,
    UnknownLink,
    invitations,
    invite,
    revoke,
)
from imil.store.machine_key import has_tag
from imil.store.store import Store

MIN_DAYS = 1.0  # of a renewed link


def renew(store: Store, run: str, invitation: str, *, by: str) -> tuple[Invitation, str]:
    """A new link in place of one, for the same person and as long as that was; and its secret.

    Raises: UnknownLink: the run has no such invitation.
    """
    before = next((one for one in invitations(store, run) if one.id == invitation), None)
    if before is None:
        raise UnknownLink(f"there is no invitation {invitation}: the lobby lists them")
    life = datetime.fromisoformat(before.expires) - datetime.fromisoformat(before.created)
    revoke(store, run, invitation, by=by)
    days = max(life.total_seconds() / 86_400, MIN_DAYS)
    return invite(store, run, before.name, kind=before.kind, days=days, by=by)


def revoke_foreign(store: Store) -> int:
    """Revoke every valid link that was not made on this machine; returns how many there were.

    A link may come with a store from elsewhere, or have been written into the file. Its secret
    opens nothing here in any case; it is revoked so that the lobby shows it so.
    """
    table = schema.invitations
    with store.read() as db:
        rows = db.execute(select(table).where(table.c.revoked.is_(None))).mappings().all()
    foreign = [row for row in rows if not _made_here(row)]
    for row in foreign:
        revoke(store, row["run"], row["id"], by="made on another machine")
    return len(foreign)


def _made_here(row: RowMapping) -> bool:
    number, mark = row["id"][:-ID_TAG], row["id"][-ID_TAG:]
    parts = (row["run"], row["kind"], row["name"], row["secret_hash"])
    return len(mark) == ID_TAG and has_tag(mark, number, *parts)
