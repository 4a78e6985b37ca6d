"""Suggestions of the progression rules over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Body, Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, etag
from api.pages import Page
from api.routes import Router
from models.suggestions import Suggestion, SuggestionOutcome, SuggestionStatus
from schemas.base import Listing
from schemas.pages import Paged
from schemas.suggestions import (
    BatchResults,
    SimulationIn,
    SimulationRead,
    SuggestionAcceptance,
    SuggestionBatch,
    SuggestionRead,
    SuggestionRejection,
)
from services import suggestions

router = Router("/v1", tags=["programs"])

AS_IT_STANDS = SuggestionAcceptance()
AS_IT_WAS = SimulationIn()


@router.get("/suggestions", response_model=Listing[SuggestionRead])
async def list_suggestions(
    page: Page,
    session: Session,
    actor: Caller,
    now: Now,
    status: Annotated[list[SuggestionStatus] | None, Query(max_length=5, description="Without it: open")] = None,
    outcome: Annotated[list[SuggestionOutcome] | None, Query(max_length=4)] = None,
    patient_id: UUID | None = None,
    program_id: UUID | None = None,
) -> Paged[Suggestion]:
    """List what the progression rules suggest, the newest first."""
    return await suggestions.browse(
        session,
        actor,
        page,
        status=status,
        outcome=outcome,
        patient_id=patient_id,
        program_id=program_id,
        at=now,
    )


@router.get("/suggestions/{suggestion_id}", response_model=SuggestionRead)
async def get_suggestion(
    session: Session, actor: Caller, suggestion_id: UUID, now: Now, response: Response
) -> Suggestion:
    """Read a suggestion with what led to it."""
    row = await suggestions.get(session, actor, suggestion_id, at=now)
    etag(response, row.version)
    return row


@router.post("/suggestion-acceptances")
async def accept_suggestions(session: Session, actor: Caller, form: SuggestionBatch, now: Now) -> BatchResults:
    """Accept several suggestions as they stand, with one result for each; those of a program become one version."""
    return BatchResults(items=await suggestions.accept_many(session, actor, form, at=now))


@router.post("/suggestions/{suggestion_id}/accept", response_model=SuggestionRead)
async def accept_suggestion(
    session: Session,
    actor: Caller,
    suggestion_id: UUID,
    if_match: IfMatch,
    now: Now,
    response: Response,
    form: Annotated[SuggestionAcceptance, Body()] = AS_IT_STANDS,
) -> Suggestion:
    """Do what is suggested from today: a new version of the program, with the suggestion as its reason."""
    row = await suggestions.accept(session, actor, suggestion_id, form, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/suggestions/{suggestion_id}/reject", response_model=SuggestionRead)
async def reject_suggestion(
    session: Session,
    actor: Caller,
    suggestion_id: UUID,
    form: SuggestionRejection,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> Suggestion:
    """Leave the dose as it is, with the reason; an exercise that was stopped goes on."""
    row = await suggestions.reject(session, actor, suggestion_id, form, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/programs/{program_id}/simulate")
async def simulate_program(
    session: Session, actor: Caller, program_id: UUID, now: Now, form: Annotated[SimulationIn, Body()] = AS_IT_WAS
) -> SimulationRead:
    """Show day by day what the rules say about a program's sessions, or about supposed ones; nothing is written."""
    return await suggestions.simulate(session, actor, program_id, form, at=now)
