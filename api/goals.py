"""Goals over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.goals import GoalStatus
from schemas.base import Listing
from schemas.goals import GoalChange, GoalCreate, GoalRead, MilestoneChange, MilestoneCreate, MilestoneRead
from schemas.pages import Paged
from services import goals, milestones

router = Router("/v1", tags=["goals"])


@router.get("/episodes/{episode_id}/goals", response_model=Listing[GoalRead])
async def list_goals(
    session: Session,
    actor: Caller,
    episode_id: UUID,
    page: Page,
    now: Now,
    status: Annotated[GoalStatus | None, Query(description="Only goals in this status")] = None,
) -> Paged[GoalRead]:
    """List an episode's goals and how far they are, oldest first."""
    return await goals.browse(session, actor, episode_id, page, status=status, at=now)


@router.post("/episodes/{episode_id}/goals", status_code=201)
async def create_goal(
    session: Session, actor: Caller, episode_id: UUID, form: GoalCreate, now: Now, response: Response
) -> GoalRead:
    """Set a goal, held against an instrument's score or a daily measure, or in words only."""
    row = await goals.create(session, actor, episode_id, form, at=now)
    created(response, f"/v1/episodes/{episode_id}/goals", row.version)
    return row


@router.patch("/goals/{goal_id}")
async def update_goal(
    session: Session, actor: Caller, goal_id: UUID, change: GoalChange, if_match: IfMatch, now: Now, response: Response
) -> GoalRead:
    """Change or close an active goal, or make a closed one active again."""
    row = await goals.update(session, actor, goal_id, change, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.get("/goals/{goal_id}/milestones", response_model=Listing[MilestoneRead])
async def list_milestones(session: Session, actor: Caller, goal_id: UUID, page: Page, now: Now) -> Paged[MilestoneRead]:
    """List the milestones on the way to a goal, and which are reached; oldest first."""
    return await milestones.browse(session, actor, goal_id, page, at=now)


@router.post("/goals/{goal_id}/milestones", status_code=201)
async def create_milestone(
    session: Session, actor: Caller, goal_id: UUID, form: MilestoneCreate, now: Now, response: Response
) -> MilestoneRead:
    """Set a milestone on the way to an active goal."""
    row = await milestones.create(session, actor, goal_id, form, at=now)
    created(response, f"/v1/goals/{goal_id}/milestones", row.version)
    return row


@router.patch("/milestones/{milestone_id}")
async def update_milestone(
    session: Session,
    actor: Caller,
    milestone_id: UUID,
    change: MilestoneChange,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> MilestoneRead:
    """Change a milestone, say that it is reached, or drop it."""
    row = await milestones.update(session, actor, milestone_id, change, version=if_match, at=now)
    etag(response, row.version)
    return row
