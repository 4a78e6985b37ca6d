"""Answers to outcome instruments over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.pages import Page
from api.routes import Router
from models.outcomes import Outcome
from schemas.base import CODE, Listing
from schemas.outcomes import OutcomeCreate, OutcomeRead, OutcomeScored
from schemas.pages import Paged
from services import outcomes

router = Router("/v1/episodes/{episode_id}/outcomes", tags=["outcomes"])


@router.post("", status_code=201)
async def create_outcome(
    session: Session, actor: Caller, episode_id: UUID, form: OutcomeCreate, now: Now, response: Response
) -> OutcomeScored:
    """Send the answers to an instrument and get its scores, and advice where an answer asks for it."""
    scored = await outcomes.create(session, actor, episode_id, form, at=now)
    response.headers["Location"] = f"/v1/episodes/{episode_id}/outcomes"
    return scored


@router.get("", response_model=Listing[OutcomeRead])
async def list_outcomes(
    session: Session,
    actor: Caller,
    episode_id: UUID,
    page: Page,
    now: Now,
    instrument: Annotated[
        str | None, Query(max_length=40, pattern=CODE, description="Only this instrument's code")
    ] = None,
) -> Paged[Outcome]:
    """List an episode's scored responses, newest first."""
    return await outcomes.browse(session, actor, episode_id, page, instrument=instrument, at=now)
