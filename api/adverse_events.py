"""Adverse events over HTTP: reported, completed, reviewed, exported."""

from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.negotiation import Accept, choose
from api.pages import Page
from api.routes import Router
from core.spreadsheets import csv_of
from models.adverse_events import AdverseEvent, AdverseEventStatus
from schemas.adverse_events import (
    AdverseEventCreate,
    AdverseEventDetail,
    AdverseEventPatch,
    AdverseEventRead,
    AdverseEventReported,
    AdverseEventReview,
)
from schemas.base import Day, Listing
from schemas.pages import Paged
from services import adverse_event_files, adverse_events

router = Router("/v1", tags=["adverse-events"])

CSV = "text/csv"
LINES = "application/x-ndjson"

_EXPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "One event in each line, in the form that Accept asks for",
        "content": {
            CSV: {"schema": {"type": "string", "description": "A line of names, then a line for each event"}},
            LINES: {"schema": {"type": "string", "description": "A JSON object in each line"}},
        },
    }
}


@router.post("/patients/{patient_id}/adverse-events", status_code=201)
async def create_adverse_event(
    session: Session, actor: Caller, patient_id: UUID, form: AdverseEventCreate, now: Now, response: Response
) -> AdverseEventReported:
    """Report that something came to harm; what the patient must do now is in the answer, also in a refusal."""
    made = await adverse_events.create(session, actor, patient_id, form, at=now)
    created(response, f"/v1/adverse-events/{made.id}", made.version)
    return made


@router.get("/patients/{patient_id}/adverse-events", response_model=Listing[AdverseEventRead])
async def list_patient_adverse_events(
    session: Session, actor: Caller, patient_id: UUID, page: Page, now: Now
) -> Paged[AdverseEvent]:
    """List a patient's adverse events, the latest first."""
    return await adverse_events.browse(session, actor, patient_id, page, at=now)


@router.get("/adverse-events", response_model=Listing[AdverseEventRead])
async def list_adverse_events(
    session: Session,
    actor: Caller,
    page: Page,
    now: Now,
    status: Annotated[AdverseEventStatus | None, Query(description="Only those in this status")] = None,
    least_grade: Annotated[int | None, Query(ge=1, le=5, description="Only those of this grade or worse")] = None,
) -> Paged[AdverseEvent]:
    """List the register, the latest first: of your patients, and for the clinical lead of the whole clinic."""
    return await adverse_events.register(session, actor, page, status=status, least_grade=least_grade, at=now)


@router.get("/adverse-event-files", response_class=Response, responses=_EXPORT)
async def export_adverse_events(
    session: Session,
    actor: Caller,
    now: Now,
    accept: Accept,
    from_: Annotated[
        Day | None, Query(alias="from", description="First day; by default 400 days before the last")
    ] = None,
    to: Annotated[Day | None, Query(description="Last day, included; by default the clinic's today")] = None,
) -> Response:
    """Give the register of these days as CSV or JSON lines, by Accept; no cell of the CSV is read as a formula."""
    form = choose(accept, [CSV, LINES])
    rows = await adverse_event_files.export(session, actor, first=from_, last=to, at=now)
    if form == LINES:
        body = b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)
    else:
        body = csv_of(
            adverse_event_files.EXPORTED, ([row[name] for name in adverse_event_files.EXPORTED] for row in rows)
        )
    headers = {"Vary": "Accept", "Content-Disposition": "attachment"}
    return Response(body, media_type=form, headers=headers)


@router.get("/adverse-events/{adverse_event_id}")
async def get_adverse_event(
    session: Session, actor: Caller, adverse_event_id: UUID, now: Now, response: Response
) -> AdverseEventDetail:
    """Give an adverse event with all that was said about it."""
    read = await adverse_events.get(session, actor, adverse_event_id, at=now)
    etag(response, read.version)
    return read


@router.patch("/adverse-events/{adverse_event_id}", response_model=AdverseEventRead)
async def update_adverse_event(
    session: Session,
    actor: Caller,
    adverse_event_id: UUID,
    change: AdverseEventPatch,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> AdverseEvent:
    """Complete or correct an adverse event that was not reviewed yet."""
    row = await adverse_events.update(session, actor, adverse_event_id, change, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/adverse-events/{adverse_event_id}/review", response_model=AdverseEventRead)
async def review_adverse_event(
    session: Session,
    actor: Caller,
    adverse_event_id: UUID,
    form: AdverseEventReview,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> AdverseEvent:
    """Close an adverse event of which all is known; nothing of it is changed any more."""
    row = await adverse_events.review(session, actor, adverse_event_id, form, version=if_match, at=now)
    etag(response, row.version)
    return row
