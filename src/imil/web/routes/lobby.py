"""The owner's part of the API: who has read what, links, closing, the audit."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from statistics import median
from typing import Annotated

from fastapi import APIRouter, Path, Request

from imil.cases import Reading
from imil.store import Store, audit, invitations, name_round, room_queries
from imil.store.invitations import Invitation
from imil.web.routes.reading import find_round, lines, result, training
from imil.web.schemas import (
    TROUBLES,
    AuditLine,
    Closed,
    Done,
    Epoch,
    GivenInvitation,
    InvitationLine,
    Lobby,
    LobbyRound,
    NewLink,
    Nothing,
    ReaderLine,
    RoundLine,
)
from imil.web.sign_in import owning, store_of

InvitationId = Annotated[str, Path(pattern="^[0-9a-f]{1,16}$")]

router = APIRouter(prefix="/api", tags=["owner"], responses=TROUBLES)


@router.get("/lobby")
def lobby(request: Request) -> Lobby:
    """The study at a glance."""
    store, who = store_of(request), owning(request)
    invited = invitations.invitations(store, who.run)
    seen = invitations.last_seen(store, who.run)
    return Lobby(
        run=who.run,
        training=training(store, who.run),
        result=result(store, who.run),
        rounds=[_round(store, who.run, line, invited, seen) for line in lines(store, who)],
        invitations=[_line(one) for one in invited],
    )


@router.post("/invitations")
def invite(given: GivenInvitation, request: Request) -> NewLink:
    """A new reader's link, shown once."""
    store, who = store_of(request), owning(request)
    made, secret = invitations.invite(store, who.run, given.name, days=given.days, by=who.name)
    base = request.app.state.public_url or str(request.base_url).rstrip("/")
    return NewLink(link=f"{base}/in/{secret}", name=made.name, expires=made.expires)


@router.delete("/invitations/{invitation}")
def revoke(invitation: InvitationId, request: Request) -> Done:
    """Make a link useless and end its sessions."""
    store, who = store_of(request), owning(request)
    invitations.revoke(store, who.run, invitation, by=who.name)
    return Done()


@router.post("/rounds/{epoch}/close")
def close(epoch: Epoch, _body: Nothing, request: Request) -> Closed:
    """Close a round whoever is still reading; cases that nobody read stay as they are."""
    store, who = store_of(request), owning(request)
    line = find_round(store, who, epoch)
    read = len(room_queries.readings(store, line["id"]))
    room_queries.close(
        store, who, line["id"], epoch, f"by the owner, {read} of {line['cases']} cases read"
    )
    return Closed(state=find_round(store, who, epoch)["state"])


@router.get("/audit")
def newest(request: Request) -> list[AuditLine]:
    """The newest 200 lines of who did what, newest first."""
    store, who = store_of(request), owning(request)
    return [AuditLine(**asdict(entry)) for entry in audit.newest(store, who.run)]


def _round(
    store: Store,
    run: str,
    line: RoundLine,
    invited: list[Invitation],
    seen: dict[str, str],
) -> LobbyRound:
    """A round with everybody who was invited to it or has read in it."""
    round_id = name_round(run, line.epoch)
    theirs: dict[str, dict[str, Reading]] = defaultdict(dict)
    for reading in store.readings(round_id):
        theirs[reading.reader][reading.case] = reading  # the newest of each case
    asked = [one.name for one in invited if one.kind == "reader" and one.good]
    readers = [
        _reader(name, list(theirs[name].values()), seen.get(name))
        for name in dict.fromkeys([*asked, *sorted(theirs)])
    ]
    kept = {"id", "number", "epoch", "state", "cases"}
    return LobbyRound(**line.model_dump(include=kept), readers=readers)


def _reader(name: str, readings: list[Reading], seen: str | None) -> ReaderLine:
    seconds = [reading.seconds for reading in readings]
    middle = median(seconds) if seconds else None
    return ReaderLine(name=name, read=len(readings), seconds_median=middle, last_seen=seen)


def _line(one: Invitation) -> InvitationLine:
    return InvitationLine(**{k: v for k, v in asdict(one).items() if k != "run"})
