"""How patients and staff join a clinic."""

from fastapi import Request

from api.authentication import Address, Tokens
from api.dependencies import Caller, Now, Session
from api.routes import Router
from api.state import state_of
from schemas.authentication import SignedIn
from schemas.invitations import InvitationAcceptance, InvitationIn, InvitationOut
from services import invitations

router = Router("/v1/invitations", tags=["invitations"])


@router.post("", status_code=201, response_model=InvitationOut)
async def create_invitation(
    form: InvitationIn, session: Session, actor: Caller, tokens: Tokens, now: Now, request: Request
) -> InvitationOut:
    """Invite a patient of yours; as admin also staff. The code goes to the person's e-mail address; it works for a week."""
    show_code = state_of(request).settings.shows_codes
    return await invitations.create(session, actor, form, tokens=tokens, at=now, show_code=show_code)


@router.post("/accept", status_code=201, response_model=SignedIn)
async def accept_invitation(
    form: InvitationAcceptance, session: Session, tokens: Tokens, address: Address, now: Now
) -> SignedIn:
    """Accept an invitation: this makes your account, or adds the clinic to the one you have, and signs you in."""
    return await invitations.accept(session, form, tokens=tokens, address=address, at=now)
