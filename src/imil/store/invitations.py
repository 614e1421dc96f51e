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
from imil.store.machine_key import digest, tag
from imil.store.statements import insert, retry_interrupted
from imil.store.store import Store

Kind = Literal["reader", "owner"]
DAYS = 30  # a link's life unless told otherwise
MAX_DAYS = 3650
MAX_NAME = 80  # characters
ID_TAG = 8  # hexadecimal digits of a link's id that say that it was made here
IDLE = 30 * 60.0  # seconds without a request until a session ends
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
        schema.sessions.c.last_seen > bindparam("idle_since"),
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


class LinkUsed(LinkExpired):
    """The link was opened in another browser."""


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
    secret, name, number = secrets.token_urlsafe(32), check_name(name, kind), secrets.token_hex(4)
    hashed = digest(secret)
    mark = tag(number, run, kind, name, hashed, digits=ID_TAG)
    invitation = Invitation(number + mark, run, kind, name, now(), _end(days), None, None)
    _add(store, invitation, hashed, by)
    return invitation, secret


@retry_interrupted
def _add(store: Store, invitation: Invitation, secret_hash: str, by: str) -> None:
    run = invitation.run
    with store.write() as db:
        if not db.execute(select(schema.runs.c.name).where(schema.runs.c.name == run)).first():
            raise StoreError(f"there is no run '{run}' in the store: `imil rounds` lists them")
        row = invitation.__dict__ | {"secret_hash": secret_hash}
        new = insert(db, schema.invitations).values(row)
        # again after an interruption, it may be there
        if db.execute(new.on_conflict_do_nothing(index_elements=["secret_hash"])).rowcount:
            until = f"until {invitation.expires[:10]}"
            record(db, run, by, "invitation", f"{invitation.kind} {invitation.name}, {until}")


@retry_interrupted
def invitations(store: Store, run: str) -> list[Invitation]:
    """Every link of a run, oldest first."""
    table = schema.invitations.c
    query = select(schema.invitations).where(table.run == run).order_by(table.created)
    with store.read() as db:
        return [_invitation(row) for row in db.execute(query).mappings()]


@retry_interrupted
def revoke(store: Store, run: str, invitation: str, *, by: str) -> None:
    """Revoke a link and end its sessions. Doing it again changes nothing.

    Raises: UnknownLink: the run has no such invitation.
    """
    table = schema.invitations
    with store.write() as db:
        query = select(table).where(table.c.id == invitation, table.c.run == run)
        query = query.with_for_update(key_share=True)
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


@retry_interrupted
def check_link(store: Store, secret: str, browser: str = "") -> Invitation:
    """The invitation of a link, without opening it.

    Args:
        browser: the token of this browser's session, also of one that has ended.
    Raises: UnknownLink, LinkExpired, LinkUsed: it opens nothing, or nothing in this browser.
    """
    with store.read() as db:  # without the write lock: a wrong link must cost nothing
        return _openable(db, secret, browser)


def sign_in(store: Store, secret: str, browser: str = "") -> tuple[str, Invitation]:
    """A new session's token, for the cookie, in exchange for a link's secret.

    A link opens one browser: again only where the browser has the token of an earlier session of
    this link, as after a time-out.

    Args:
        browser: the token of this browser's session, also of one that has ended.
    Raises:
        UnknownLink: there is no such link.
        LinkExpired: it expired or was revoked.
        LinkUsed: another browser has opened it.
    """
    check_link(store, secret, browser)
    token = secrets.token_urlsafe(32)
    return token, _open_session(store, secret, browser, token)


@retry_interrupted
def _open_session(store: Store, secret: str, browser: str, token: str) -> Invitation:
    table = schema.invitations
    with store.write() as db:
        # until this transaction ends no other browser opens the link; one may have been faster
        invitation = _openable(db, secret, browser, or_token=token, lock=True)
        moment = now()
        values = {"token_hash": digest(token), "invitation": invitation.id}
        seen = {"created": moment, "last_seen": moment}
        new = insert(db, schema.sessions).values(values | seen).on_conflict_do_nothing()
        if not db.execute(new).rowcount:  # again after an interruption
            return invitation
        db.execute(update(table).where(table.c.id == invitation.id).values(used=moment))
        record(db, invitation.run, invitation.name, "sign-in", invitation.kind)
    return invitation


def _openable(
    db: Connection, secret: str, browser: str, *, or_token: str = "", lock: bool = False
) -> Invitation:
    table = schema.invitations
    query = select(table).where(table.c.secret_hash == digest(secret))
    if lock:
        query = query.with_for_update(key_share=True)
    row = db.execute(query).mappings().one_or_none()
    if row is None:
        raise UnknownLink("This link is unknown: open the link exactly as it was given to you.")
    invitation = _invitation(row)
    if not invitation.good:
        over = "was withdrawn" if invitation.revoked else "has expired"
        raise LinkExpired(f"This link {over}: ask the person who gave it to you for a new one.")
    tokens = filter(None, (browser, or_token))
    if invitation.used is not None and not any(_is_bound(db, invitation.id, t) for t in tokens):
        raise LinkUsed(
            "This link was opened in another browser, or you signed out: ask the person who gave "
            "it to you for a new one."
        )
    return invitation


def _is_bound(db: Connection, invitation: str, browser: str) -> bool:
    """Whether the browser has the token of a session of this link."""
    session = schema.sessions.c
    query = select(session.token_hash).where(session.invitation == invitation)
    return db.execute(query.where(session.token_hash == digest(browser))).first() is not None


@retry_interrupted
def visitor(store: Store, token: str) -> Visitor | None:
    """The visitor of this token, or None if the session ended or its link is no longer valid.

    A session ends when it was not used for half an hour; an open page asks every ten seconds.
    """
    hashed = digest(token)
    parameters = {"token": hashed, "now": now(), "idle_since": now(seconds=-IDLE)}
    with store.read() as db:
        row = db.execute(_VISITOR, parameters).one_or_none()
    return None if row is None else Visitor(row.name, row.kind, row.run, hashed, row.last_seen)


def touch(db: Connection, who: Visitor) -> None:
    """Record the visit, unless one was recorded within the last 20 seconds."""
    if who.last_seen < now(seconds=-VISIT_INTERVAL):
        db.execute(_TOUCH, {"token": who.session, "moment": now()})


@retry_interrupted
def sign_out(store: Store, who: Visitor, detail: str = "") -> None:
    """End the visitor's session; `detail` says why, for the audit."""
    sessions = schema.sessions.c
    with store.write() as db:
        ended = update(schema.sessions).where(sessions.token_hash == who.session)
        db.execute(ended.values(ended=now()))
        record(db, who.run, who.name, "sign-out", detail)


@retry_interrupted
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


@retry_interrupted
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


def _invitation(row: RowMapping) -> Invitation:
    return Invitation(**{name: value for name, value in row.items() if name != "secret_hash"})


def check_name(name: str, kind: Kind) -> str:
    """The name as it is stored, without superfluous spaces. Raises: SettingsError: invalid."""
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
