"""Consents over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.consents import Consent, ConsentPurpose
from schemas.consents import ConsentCreate, ConsentList, ConsentRead
from services import consents

router = Router("/v1", tags=["consents"])


@router.get("/patients/{patient_id}/consents")
async def list_consents(
    session: Session,
    actor: Caller,
    patient_id: UUID,
    page: Page,
    now: Now,
    purpose: Annotated[ConsentPurpose | None, Query(description="Only consents to this purpose")] = None,
) -> ConsentList:
    """List a patient's consents, newest first, with the texts that can be agreed to."""
    return await consents.browse(session, actor, patient_id, page, purpose=purpose, at=now)


@router.post("/patients/{patient_id}/consents", status_code=201, response_model=ConsentRead)
async def create_consent(
    session: Session, actor: Caller, patient_id: UUID, form: ConsentCreate, now: Now, response: Response
) -> Consent:
    """Give consent, or record one that was given by word or on paper; it supersedes the one before."""
    row = await consents.create(session, actor, patient_id, form, at=now)
    created(response, f"/v1/patients/{patient_id}/consents", row.version)
    return row


@router.post("/consents/{consent_id}/withdraw", response_model=ConsentRead)
async def withdraw_consent(
    session: Session, actor: Caller, consent_id: UUID, if_match: IfMatch, now: Now, response: Response
) -> Consent:
    """Withdraw a consent for the future."""
    row = await consents.withdraw(session, actor, consent_id, version=if_match, at=now)
    etag(response, row.version)
    return row
