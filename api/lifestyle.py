"""Targets for habits, and what was achieved, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from schemas.base import Listing
from schemas.lifestyle import Achievements, LifestyleTargetChange, LifestyleTargetCreate, LifestyleTargetRead
from schemas.pages import Paged
from services import achievements, lifestyle

router = Router("/v1", tags=["lifestyle"])


@router.get("/episodes/{episode_id}/lifestyle-targets", response_model=Listing[LifestyleTargetRead])
async def list_lifestyle_targets(
    session: Session, actor: Caller, episode_id: UUID, page: Page, now: Now
) -> Paged[LifestyleTargetRead]:
    """List an episode's targets for habits and how they go, oldest first."""
    return await lifestyle.browse(session, actor, episode_id, page, at=now)


@router.post("/episodes/{episode_id}/lifestyle-targets", status_code=201)
async def create_lifestyle_target(
    session: Session, actor: Caller, episode_id: UUID, form: LifestyleTargetCreate, now: Now, response: Response
) -> LifestyleTargetRead:
    """Set a target for sleep, stress, steps or active minutes: one of a kind at a time."""
    row = await lifestyle.create(session, actor, episode_id, form, at=now)
    created(response, f"/v1/episodes/{episode_id}/lifestyle-targets", row.version)
    return row


@router.patch("/lifestyle-targets/{target_id}")
async def update_lifestyle_target(
    session: Session,
    actor: Caller,
    target_id: UUID,
    change: LifestyleTargetChange,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> LifestyleTargetRead:
    """Change a target for a habit, or end it."""
    row = await lifestyle.update(session, actor, target_id, change, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.get("/patients/{patient_id}/achievements")
async def get_achievements(
    session: Session,
    actor: Caller,
    patient_id: UUID,
    now: Now,
    episode_id: Annotated[UUID | None, Query(description="The newest one when left out")] = None,
) -> Achievements:
    """Tell what a patient has achieved in an episode: the streak, and small victories."""
    return await achievements.get(session, actor, patient_id, episode_id=episode_id, at=now)
