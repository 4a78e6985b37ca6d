"""Goals over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.goals import Goal, GoalStatus
from schemas.base import Listing
from schemas.goals import GoalChange, GoalCreate, GoalRead
from schemas.pages import Paged
from services import goals

router = Router("/v1", tags=["goals"])


@router.get("/episodes/{episode_id}/goals", response_model=Listing[GoalRead])
async def list_goals(
    session: Session,
    actor: Caller,
    episode_id: UUID,
    page: Page,
    now: Now,
    status: Annotated[GoalStatus | None, Query(description="Only goals in this status")] = None,
) -> Paged[Goal]:
    """List an episode's goals, oldest first."""
    return await goals.browse(session, actor, episode_id, page, status=status, at=now)


@router.post("/episodes/{episode_id}/goals", status_code=201, response_model=GoalRead)
async def create_goal(
    session: Session, actor: Caller, episode_id: UUID, form: GoalCreate, now: Now, response: Response
) -> Goal:
    """Set a goal, held against an instrument's score or in words only."""
    row = await goals.create(session, actor, episode_id, form, at=now)
    created(response, f"/v1/episodes/{episode_id}/goals", row.version)
    return row


@router.patch("/goals/{goal_id}", response_model=GoalRead)
async def update_goal(
    session: Session, actor: Caller, goal_id: UUID, change: GoalChange, if_match: IfMatch, now: Now, response: Response
) -> Goal:
    """Change or close an active goal, or make a closed one active again."""
    row = await goals.update(session, actor, goal_id, change, version=if_match, at=now)
    etag(response, row.version)
    return row
