"""The owner's part of the API: progress of readers, invitations, closing rounds, audit log."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from statistics import median
from typing import Annotated

from fastapi import APIRouter, Path, Request

from imil.cases import Reading
from imil.round_agreement import round_agreement
from imil.store import Store, audit, invitations, name_round, round_state
from imil.store.invitations import Invitation
from imil.store.round_waiting import asked, waiting
from imil.web.routes.reading import find_round, result, round_summaries, training
from imil.web.schemas import (
    ERROR_RESPONSES,
    AgreementInfo,
    AuditEntry,
    Done,
    EmptyRequest,
    Epoch,
    InvitationInfo,
    InvitationRequest,
    Lobby,
    LobbyRound,
    NewLink,
    ReaderAgreementInfo,
    ReaderProgress,
    RoundStateResponse,
    RoundSummary,
)
from imil.web.sign_in import require_owner, store_of

InvitationId = Annotated[str, Path(pattern="^[0-9a-f]{1,16}$")]

router = APIRouter(prefix="/api", tags=["owner"], responses=ERROR_RESPONSES)


@router.get("/lobby")
def lobby(request: Request) -> Lobby:
    """Training, rounds, readers and invitations of the run."""
    store, visitor = store_of(request), require_owner(request)
    all_invitations = invitations.invitations(store, visitor.run)
    last_seen = invitations.last_seen(store, visitor.run)
    return Lobby(
        run=visitor.run,
        training=training(store, visitor.run),
        result=result(store, visitor.run),
        rounds=[
            _round(store, visitor.run, summary, all_invitations, last_seen)
            for summary in round_summaries(store, visitor)
        ],
        invitations=[_invitationinfo(invitation) for invitation in all_invitations],
    )


@router.post("/invitations")
def invite(given: InvitationRequest, request: Request) -> NewLink:
    """Create a reader's link, which is shown once."""
    store, visitor = store_of(request), require_owner(request)
    invitation, secret = invitations.invite(
        store, visitor.run, given.name, days=given.days, by=visitor.name
    )
    base = request.app.state.public_url or str(request.base_url).rstrip("/")
    return NewLink(link=f"{base}/in/{secret}", name=invitation.name, expires=invitation.expires)


@router.delete("/invitations/{invitation}")
def revoke(invitation: InvitationId, request: Request) -> Done:
    """Revoke a link and end its sessions; a round that waited for this reader alone closes."""
    store, visitor = store_of(request), require_owner(request)
    invitations.revoke(store, visitor.run, invitation, by=visitor.name)
    for round_ in store.rounds(visitor.run):
        if round_.state == "open":
            round_state.close_if_over(store, round_, at_page=True)
    return Done()


@router.post("/rounds/{epoch}/close")
def close(epoch: Epoch, _body: EmptyRequest, request: Request) -> RoundStateResponse:
    """Close a round, even if readers have not finished; unread cases stay unchanged."""
    store, visitor = store_of(request), require_owner(request)
    round_id = find_round(store, visitor, epoch)["id"]
    state = round_state.close(store, visitor.run, epoch, round_id, by=visitor.name)
    return RoundStateResponse(state=state)


@router.post("/rounds/{epoch}/reopen")
def reopen(epoch: Epoch, _body: EmptyRequest, request: Request) -> RoundStateResponse:
    """Open a closed round again; 409 once the training has applied it."""
    store, visitor = store_of(request), require_owner(request)
    round_id = find_round(store, visitor, epoch)["id"]
    state = round_state.reopen(store, visitor.run, epoch, round_id, by=visitor.name)
    return RoundStateResponse(state=state)


@router.get("/audit")
def audit_log(request: Request) -> list[AuditEntry]:
    """The latest 200 entries of the audit log, newest first."""
    store, visitor = store_of(request), require_owner(request)
    return [AuditEntry(**asdict(entry)) for entry in audit.newest(store, visitor.run)]


def _round(
    store: Store,
    run: str,
    summary: RoundSummary,
    all_invitations: list[Invitation],
    last_seen: dict[str, str],
) -> LobbyRound:
    """A round with every reader who is invited or has read in it."""
    round_id = name_round(run, summary.epoch)
    of_readers: dict[str, dict[str, Reading]] = defaultdict(dict)
    for reading in store.readings(round_id):
        of_readers[reading.reader][reading.case] = reading  # the newest of each case
    still = waiting(store, round_id)
    invited_names = [
        invitation.name
        for invitation in all_invitations
        if invitation.kind == "reader" and invitation.good
    ]
    readers = [
        ReaderProgress(
            name=name,
            read=len(of_readers[name]),
            cases=len(asked(store, round_id, name)),
            seconds_median=_median([one.seconds for one in of_readers[name].values()]),
            last_seen=last_seen.get(name),
            finished=name in still.finished,
        )
        for name in dict.fromkeys([*invited_names, *sorted(of_readers)])
    ]
    fields = {"id", "number", "epoch", "state", "cases"}
    return LobbyRound(
        **summary.model_dump(include=fields),
        readers=readers,
        waits_for="" if still.over or summary.state != "open" else str(still),
        agreement=_agreement(store, run, summary.epoch),
        merged=[] if summary.state == "open" else round_state.merged_lines(store, round_id),
    )


def _agreement(store: Store, run: str, epoch: int) -> AgreementInfo | None:
    round_ = store.find_round(run, epoch)
    found = None if round_ is None else round_agreement(store, round_)
    if found is None:
        return None
    agreed, performance = found.agreement, {one.reader: one for one in found.performance}
    readers = []
    for one in agreed.of_readers:
        own = performance.get(one.reader)
        readers.append(
            ReaderAgreementInfo(
                name=one.reader,
                kappa=one.kappa,
                jaccard=one.jaccard,
                sensitivity=None if own is None else own.sensitivity,
                specificity=None if own is None else own.specificity,
            )
        )
    return AgreementInfo(
        cases=agreed.cases,
        kappa=agreed.kappa,
        alpha=agreed.alpha,
        jaccard=agreed.mean_jaccard,
        same_verdict=agreed.same_verdict,
        columns=agreed.grid.cols,
        squares=list(agreed.of_squares),
        readers=readers,
    )


def _median(seconds: list[float]) -> float | None:
    return median(seconds) if seconds else None


def _invitationinfo(invitation: Invitation) -> InvitationInfo:
    return InvitationInfo(**{k: v for k, v in asdict(invitation).items() if k != "run"})
