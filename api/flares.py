"""Flare-ups over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Body, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.flares import Flare
from schemas.base import Listing
from schemas.flares import FlareChange, FlareClose, FlareCreate, FlareDetail, FlareRead
from schemas.pages import Paged
from services import flares

router = Router("/v1", tags=["flares"])

WORSE = FlareCreate()


@router.post("/patients/{patient_id}/flares", status_code=201, response_model=FlareRead)
async def create_flare(
    session: Session,
    actor: Caller,
    patient_id: UUID,
    now: Now,
    response: Response,
    form: Annotated[FlareCreate, Body()] = WORSE,
) -> Flare:
    """Report a flare-up: exercises become lighter at once, and questions come every day."""
    row = await flares.create(session, actor, patient_id, form, at=now)
    created(response, f"/v1/flares/{row.id}", row.version)
    return row


@router.get("/patients/{patient_id}/flares", response_model=Listing[FlareRead])
async def list_flares(session: Session, actor: Caller, patient_id: UUID, page: Page, now: Now) -> Paged[Flare]:
    """List a patient's flare-ups, newest first."""
    return await flares.browse(session, actor, patient_id, page, at=now)


@router.get("/flares/{flare_id}")
async def get_flare(session: Session, actor: Caller, flare_id: UUID, now: Now, response: Response) -> FlareDetail:
    """Give a flare-up with all that happened to it."""
    row = await flares.get(session, actor, flare_id, at=now)
    etag(response, row.version)
    return row


@router.patch("/flares/{flare_id}", response_model=FlareRead)
async def update_flare(
    session: Session,
    actor: Caller,
    flare_id: UUID,
    change: FlareChange,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> Flare:
    """Set the step of an open flare-up, and until when the rules leave it there."""
    row = await flares.change(session, actor, flare_id, change, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/flares/{flare_id}/close", response_model=FlareRead)
async def close_flare(
    session: Session, actor: Caller, flare_id: UUID, form: FlareClose, if_match: IfMatch, now: Now, response: Response
) -> Flare:
    """Say that a flare-up is over: the usual dose is due again, and questions come as planned."""
    row = await flares.close(session, actor, flare_id, form, version=if_match, at=now)
    etag(response, row.version)
    return row
