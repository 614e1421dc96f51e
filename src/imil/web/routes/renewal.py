"""A new link in place of a reader's that is used up, lost or expired."""

from __future__ import annotations

from fastapi import APIRouter, Request

from imil.store import links
from imil.web.routes.lobby import InvitationId
from imil.web.schemas import ERROR_RESPONSES, EmptyRequest, NewLink
from imil.web.sign_in import require_owner, store_of

router = APIRouter(prefix="/api", tags=["owner"], responses=ERROR_RESPONSES)


@router.post("/invitations/{invitation}/renewal")
def renew(invitation: InvitationId, _body: EmptyRequest, request: Request) -> NewLink:
    """Revoke a link and create one for the same person, which is shown once."""
    store, visitor = store_of(request), require_owner(request)
    new, secret = links.renew(store, visitor.run, invitation, by=visitor.name)
    base = request.app.state.public_url or str(request.base_url).rstrip("/")
    return NewLink(link=f"{base}/in/{secret}", name=new.name, expires=new.expires)
