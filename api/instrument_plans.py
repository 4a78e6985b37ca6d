"""When instruments are asked, over HTTP."""

from uuid import UUID

from fastapi import Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.instrument_plans import InstrumentPlan
from schemas.base import Listing
from schemas.instrument_plans import InstrumentPlanChange, InstrumentPlanCreate, InstrumentPlanRead
from schemas.pages import Paged
from services import instrument_plans

router = Router("/v1", tags=["instruments"])


@router.get("/episodes/{episode_id}/instrument-plans", response_model=Listing[InstrumentPlanRead])
async def list_instrument_plans(
    session: Session, actor: Caller, episode_id: UUID, page: Page, now: Now
) -> Paged[InstrumentPlan]:
    """List when instruments are asked in an episode, oldest first."""
    return await instrument_plans.browse(session, actor, episode_id, page, at=now)


@router.post("/episodes/{episode_id}/instrument-plans", status_code=201, response_model=InstrumentPlanRead)
async def create_instrument_plan(
    session: Session, actor: Caller, episode_id: UUID, form: InstrumentPlanCreate, now: Now, response: Response
) -> InstrumentPlan:
    """Plan an instrument: at the start, every so many weeks, before a report, before the discharge."""
    row = await instrument_plans.create(session, actor, episode_id, form, at=now)
    created(response, f"/v1/episodes/{episode_id}/instrument-plans", row.version)
    return row


@router.patch("/instrument-plans/{instrument_plan_id}", response_model=InstrumentPlanRead)
async def update_instrument_plan(
    session: Session,
    actor: Caller,
    instrument_plan_id: UUID,
    change: InstrumentPlanChange,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> InstrumentPlan:
    """Change when an instrument is asked, or ask it no more."""
    row = await instrument_plans.update(session, actor, instrument_plan_id, change, version=if_match, at=now)
    etag(response, row.version)
    return row
