"""What the provider of text messages tells us: what people write back, and how our messages are doing.

Nobody is signed in here: the provider signs the address it called and the form with the secret that only we and it have.
"""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Request, Response

from api.dependencies import Now, Session
from api.routes import Router
from api.state import state_of
from core.database import bind_clinic
from core.errors import Forbidden, NotFound
from integrations import sms
from services import notifications

router = Router("/v1/webhooks", tags=["notifications"], include_in_schema=False)


class SignatureRefused(Forbidden):
    """This was not signed by the provider."""


@router.post("/sms")
async def receive_sms(request: Request, session: Session, now: Now) -> Response:
    """Take what somebody wrote to our number: STOP and START are heeded, nothing is kept."""
    form = _signed(request)
    inbound = sms.read_inbound(form)
    if inbound is not None and inbound.keyword in {sms.Keyword.STOP, sms.Keyword.START}:
        await notifications.heed(session, inbound.sender, stop=inbound.keyword is sms.Keyword.STOP, at=now)
    return Response(sms.EMPTY_REPLY, media_type="text/xml")


@router.post("/sms/receipts", status_code=204)
async def receive_sms_receipt(
    request: Request, session: Session, now: Now, key: Annotated[str, Query(max_length=73)] = ""
) -> None:
    """Take a receipt; `key` is what we gave with the message, and signed with all the rest."""
    form = _signed(request)
    receipt = sms.read_receipt(form)
    clinic_id, notification_id = _named(key)
    if receipt is None:
        return
    await bind_clinic(session, clinic_id)
    await notifications.take_receipt(
        session,
        clinic_id,
        notification_id,
        address=form.get("To", ""),
        reference=receipt.reference,
        outcome=receipt.outcome,
        at=now,
    )


def _signed(request: Request) -> dict[str, str]:
    """Give the form. Raises NotFound where no provider is set, SignatureRefused."""
    settings = state_of(request).settings
    if settings.twilio_auth_token is None:
        raise NotFound
    pairs: list[tuple[str, str]] = request.scope["state"]["body"]
    query = f"?{request.url.query}" if request.url.query else ""
    url = f"{settings.public_url.rstrip('/')}{request.url.path}{query}"
    given = request.headers.get("x-twilio-signature")
    if not sms.is_from_twilio(url, pairs, given, auth_token=settings.twilio_auth_token.get_secret_value()):
        raise SignatureRefused
    return dict(pairs)


def _named(key: str) -> tuple[UUID, UUID]:
    clinic_id, _, notification_id = key.partition(".")
    try:
        return UUID(clinic_id), UUID(notification_id)
    except ValueError:
        raise NotFound from None
