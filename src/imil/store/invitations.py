"""Access to the reading room: links with a secret each, and the browser sessions they opened.

A secret is shown once, to the person who made the link; the store keeps its hash, with the key of
this machine. Links and sessions that another machine made, or another person wrote into the file,
open nothing here.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection, RowMapping, bindparam, func, select, update

from imil.errors import SettingsError, StoreError
from imil.reader_names import OWNER, check_reader_name
from imil.store import schema
from imil.store.audit import record
from imil.store.clock import now
from imil.store.machine_key import digest, has_tag, tag
from imil.store.store import Store

Kind = Literal["reader", "owner"]
DAYS = 30  # a link's life unless told otherwise
MAX_DAYS = 3650
MAX_NAME = 80  # characters
ID_TAG = 8  # hexadecimal digits of a link's id that say that it was made here
VISIT_INTERVAL = 20.0  # seconds; a visit is recorded no more often than that

# built once: executing it takes 0.13 ms of processor time, building it each time 0.4 ms
_VISITOR = (
    select(
        schema.invitations.c.name,
        schema.invitations.c.kind,
        schema.invitations.c.run,
        schema.sessions.c.last_seen,
    )
    .join(schema.sessions, schema.sessions.c.invitation == schema.invitations.c.id)
    .where(
        schema.sessions.c.token_hash == bindparam("token"),
        schema.sessions.c.ended.is_(None),
        schema.invitations.c.revoked.is_(None),
        schema.invitations.c.expires > bindparam("now"),
    )
)
_TOUCH = (
    update(schema.sessions)
    .where(schema.sessions.c.token_hash == bindparam("token"))
    .values(last_seen=bindparam("moment"))
)


class UnknownLink(StoreError):
    """The link is unknown."""


class LinkExpired(UnknownLink):
    """The link expired or was revoked."""


@dataclass(frozen=True)
class Invitation:
    """A link as the owner sees it; times are UTC, ISO 8601."""

    id: str
    run: str
    kind: Kind
    name: str
    created: str
    expires: str
    revoked: str | None
    used: str | None

    @property
    def good(self) -> bool:
        """Whether the link is valid now."""
        return self.revoked is None and self.expires > now()


@dataclass(frozen=True)
class Visitor:
    """The person at a browser, as the session cookie identifies them."""

    name: str
    kind: Kind
    run: str
    session: str  # hash of the cookie
    last_seen: str


def invite(
    store: Store, run: str, name: str, *, kind: Kind = "reader", days: float = DAYS, by: str
) -> tuple[Invitation, str]:
    """The new invitation and its secret, which is shown now and never again.

    Args:
        run: name of the run that the link opens.
        name: of the person; readings carry it.
        kind: a reader reads, the owner also sees the lobby.
        days: until the link expires, above 0 and at most 3650.
        by: who invites, for the audit.
    Raises:
        SettingsError: invalid name or days.
        StoreError: there is no such run.
    """
    secret, name, number = secrets.token_urlsafe(32), _checked(name, kind), secrets.token_hex(4)
    hashed = digest(secret)
    mark = tag(number, run, kind, name, hashed, digits=ID_TAG)
    invitation = Invitation(number + mark, run, kind, name, now(), _end(days), None, None)
    with store.write() as db:
        if not db.execute(select(schema.runs.c.name).where(schema.runs.c.name == run)).first():
            raise StoreError(f"there is no run '{run}' in the store: `imil rounds` lists them")
        row = invitation.__dict__ | {"secret_hash": hashed}
        db.execute(schema.invitations.insert().values(row))
        until = f"until {invitation.expires[:10]}"
        record(db, run, by, "invitation", f"{kind} {invitation.name}, {until}")
    return invitation, secret


def invitations(store: Store, run: str) -> list[Invitation]:
    """Every link of a run, oldest first."""
    table = schema.invitations.c
    query = select(schema.invitations).where(table.run == run).order_by(table.created)
    with store.read() as db:
        return [_invitation(row) for row in db.execute(query).mappings()]


def revoke(store: Store, run: str, invitation: str, *, by: str) -> None:
    """Revoke a link and end its sessions. Doing it again changes nothing.

    Raises: UnknownLink: the run has no such invitation.
    """
    table = schema.invitations
    with store.write() as db:
        query = select(table).where(table.c.id == invitation, table.c.run == run)
        row = db.execute(query).mappings().one_or_none()
        if row is None:
            raise UnknownLink(f"there is no invitation {invitation}: the lobby lists them")
        if row["revoked"] is not None:
            return
        db.execute(update(table).where(table.c.id == invitation).values(revoked=now()))
        sessions = schema.sessions.c
        over = update(schema.sessions).where(sessions.invitation == invitation)
        db.execute(over.where(sessions.ended.is_(None)).values(ended=now()))
        record(db, run, by, "revocation", f"{row['kind']} {row['name']}")


def sign_in(store: Store, secret: str) -> tuple[str, Invitation]:
    """A new session's token, for the cookie, in exchange for a link's secret.

    Raises:
        UnknownLink: there is no such link.
        LinkExpired: it expired or was revoked.
    """
    table = schema.invitations
    query = select(table).where(table.c.secret_hash == digest(secret))
    with store.read() as db:  # first without the write lock: a wrong link must cost nothing
        row = db.execute(query).mappings().one_or_none()
    if row is None:
        raise UnknownLink("This link is unknown: open the link exactly as it was given to you.")
    invitation = _invitation(row)
    if not invitation.good:
        over = "was withdrawn" if invitation.revoked else "has expired"
        raise LinkExpired(f"This link {over}: ask the person who gave it to you for a new one.")
    token = secrets.token_urlsafe(32)
    with store.write() as db:
        moment = now()
        values = {"token_hash": digest(token), "invitation": invitation.id}
        seen = {"created": moment, "last_seen": moment}
        db.execute(schema.sessions.insert().values(values | seen))
        db.execute(update(table).where(table.c.id == invitation.id).values(used=moment))
        record(db, invitation.run, invitation.name, "sign-in", invitation.kind)
    return token, invitation


def visitor(store: Store, token: str) -> Visitor | None:
    """The visitor of this token, or None if the session ended or its link is no longer valid."""
    hashed = digest(token)
    with store.read() as db:
        row = db.execute(_VISITOR, {"token": hashed, "now": now()}).one_or_none()
    return None if row is None else Visitor(row.name, row.kind, row.run, hashed, row.last_seen)


def touch(db: Connection, who: Visitor) -> None:
    """Record the visit, unless one was recorded within the last 20 seconds."""
    if who.last_seen < now(seconds=-VISIT_INTERVAL):
        db.execute(_TOUCH, {"token": who.session, "moment": now()})


def sign_out(store: Store, who: Visitor) -> None:
    """End the visitor's session; the link stays valid."""
    sessions = schema.sessions.c
    with store.write() as db:
        ended = update(schema.sessions).where(sessions.token_hash == who.session)
        db.execute(ended.values(ended=now()))
        record(db, who.run, who.name, "sign-out")


def visited(store: Store, run: str, since: str) -> bool:
    """Whether any visitor of the run was active since then (UTC, ISO 8601)."""
    invited, session = schema.invitations.c, schema.sessions.c
    query = (
        select(session.token_hash)
        .join(schema.invitations, session.invitation == invited.id)
        .where(invited.run == run, session.last_seen >= since)
    )
    with store.read() as db:
        return db.execute(query.limit(1)).first() is not None


def last_seen(store: Store, run: str) -> dict[str, str]:
    """Name -> time of the last request of that person."""
    invited, session = schema.invitations.c, schema.sessions.c
    query = (
        select(invited.name, func.max(session.last_seen))
        .join(schema.sessions, session.invitation == invited.id)
        .where(invited.run == run)
        .group_by(invited.name)
    )
    with store.read() as db:
        return {row[0]: row[1] for row in db.execute(query)}


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


def _invitation(row: RowMapping) -> Invitation:
    return Invitation(**{name: value for name, value in row.items() if name != "secret_hash"})


def _checked(name: str, kind: Kind) -> str:
    tidy = " ".join(name.split())
    if not 1 <= len(tidy) <= MAX_NAME or not tidy.isprintable():
        raise SettingsError(f"a reader's name has 1 to {MAX_NAME} printable characters: give one")
    if kind == "owner" and tidy.casefold() == OWNER:
        return tidy
    return check_reader_name(tidy)


def _end(days: float) -> str:
    if not 0 < days <= MAX_DAYS:
        raise SettingsError(f"a link cannot last {days} days: give a number up to {MAX_DAYS}")
    return now(days=days)
