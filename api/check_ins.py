"""Check-ins and their plans over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.check_ins import CheckIn, CheckInPlan, CheckInStatus
from schemas.base import Day, Listing
from schemas.check_ins import (
    AdHocIn,
    Answered,
    AnswersIn,
    CheckInDetail,
    CheckInOut,
    PlanChange,
    PlanIn,
    PlanOut,
    Reason,
)
from schemas.pages import Paged
from services import check_ins
from services.check_ins import plans

router = Router("/v1", tags=["check-ins"])


@router.post("/episodes/{episode_id}/check-in-plans", status_code=201, response_model=PlanOut)
async def create_check_in_plan(
    episode_id: UUID, form: PlanIn, response: Response, session: Session, actor: Caller, now: Now
) -> CheckInPlan:
    """Plan check-ins for an episode."""
    row = await plans.create(session, actor, episode_id, form, at=now)
    created(response, f"/v1/check-in-plans/{row.id}", row.version)
    return row


@router.get("/episodes/{episode_id}/check-in-plans", response_model=Listing[PlanOut])
async def list_check_in_plans(
    episode_id: UUID, page: Page, session: Session, actor: Caller, now: Now
) -> Paged[CheckInPlan]:
    """List an episode's check-in plans, oldest first."""
    return await plans.browse(session, actor, episode_id, page, at=now)


@router.patch("/check-in-plans/{plan_id}", response_model=PlanOut)
async def update_check_in_plan(
    plan_id: UUID,
    change: PlanChange,
    if_match: IfMatch,
    response: Response,
    session: Session,
    actor: Caller,
    now: Now,
) -> CheckInPlan:
    """Change a plan; a new time, zone or set of days counts from the patient's next local day."""
    row = await plans.update(session, actor, plan_id, change, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/check-in-plans/{plan_id}/pause", response_model=PlanOut)
async def pause_check_in_plan(
    plan_id: UUID, form: Reason, if_match: IfMatch, response: Response, session: Session, actor: Caller, now: Now
) -> CheckInPlan:
    """Let a plan rest: no new check-ins, and an open one is not missed."""
    row = await plans.pause(session, actor, plan_id, form.reason, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/check-in-plans/{plan_id}/resume", response_model=PlanOut)
async def resume_check_in_plan(
    plan_id: UUID, form: Reason, if_match: IfMatch, response: Response, session: Session, actor: Caller, now: Now
) -> CheckInPlan:
    """Let a paused plan go on with the next check-in that is ahead."""
    row = await plans.resume(session, actor, plan_id, form.reason, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.get("/check-ins", response_model=Listing[CheckInOut])
async def list_check_ins(
    page: Page,
    session: Session,
    actor: Caller,
    now: Now,
    patient_id: UUID | None = None,
    plan_id: UUID | None = None,
    status: Annotated[list[CheckInStatus] | None, Query(max_length=6)] = None,
    from_: Annotated[Day | None, Query(alias="from", description="First local day")] = None,
    to: Annotated[Day | None, Query(description="Last local day")] = None,
) -> Paged[CheckIn]:
    """List check-ins, the one due last on top."""
    return await check_ins.browse(
        session, actor, page, patient_id=patient_id, plan_id=plan_id, status=status, from_=from_, to=to, at=now
    )


@router.get("/check-ins/{check_in_id}")
async def get_check_in(check_in_id: UUID, session: Session, actor: Caller, now: Now) -> CheckInDetail:
    """Give a check-in with its questions, and its answers once they are there."""
    return await check_ins.get(session, actor, check_in_id, at=now)


@router.post(
    "/check-ins/{check_in_id}/answers",
    status_code=201,
    responses={200: {"model": Answered, "description": "These very answers were kept before"}},
)
async def answer_check_in(
    check_in_id: UUID, form: AnswersIn, response: Response, session: Session, actor: Caller, now: Now
) -> Answered:
    """Answer an open check-in, once."""
    answered, new = await check_ins.answer(session, actor, check_in_id, form, at=now)
    created(response, f"/v1/check-ins/{check_in_id}")
    if not new:
        response.status_code = 200
    return answered


@router.put(
    "/check-ins/{check_in_id}",
    status_code=201,
    responses={200: {"model": Answered, "description": "This very check-in was kept before"}},
)
async def put_check_in(
    check_in_id: UUID, form: AdHocIn, response: Response, session: Session, actor: Caller, now: Now
) -> Answered:
    """Keep a check-in that the patient began, under an id (UUIDv7) that the device made."""
    answered, new = await check_ins.put(session, actor, check_in_id, form, at=now)
    created(response, f"/v1/check-ins/{check_in_id}")
    if not new:
        response.status_code = 200
    return answered
