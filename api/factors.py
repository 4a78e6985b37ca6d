"""Contributing factors over HTTP."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import created
from api.pages import Page
from api.routes import Router
from models.lifestyle import FactorKind
from schemas.base import Day, Listing
from schemas.factors import (
    FactorEntryRead,
    Factors,
    SelfCareIn,
    WorkExposureIn,
    WorkstationCheckIn,
    WorkstationChecklist,
)
from schemas.pages import Paged
from services import factors

router = Router("/v1", tags=["factors"])

_KEPT: dict[int | str, dict[str, Any]] = {201: {"model": FactorEntryRead}}


@router.get("/workstation-checklist")
async def get_workstation_checklist(actor: Caller) -> WorkstationChecklist:
    """Give the present workstation check: its points, and what may be tried."""
    return factors.checklist(actor)


@router.put("/self-care/{entry_id}", responses=_KEPT)
async def put_self_care(
    session: Session, actor: Caller, entry_id: UUID, form: SelfCareIn, now: Now, response: Response
) -> FactorEntryRead:
    """Keep heat, ice, breathing or relaxation under the device's own id (UUIDv7); sent again, nothing new is kept."""
    row, new = await factors.put_self_care(session, actor, entry_id, form, at=now)
    return _answer(response, row, new=new)


@router.put("/workstation-checks/{entry_id}", responses=_KEPT)
async def put_workstation_check(
    session: Session, actor: Caller, entry_id: UUID, form: WorkstationCheckIn, now: Now, response: Response
) -> FactorEntryRead:
    """Keep a check of a workstation under the device's own id (UUIDv7); sent again, nothing new is kept."""
    row, new = await factors.put_workstation_check(session, actor, entry_id, form, at=now)
    return _answer(response, row, new=new)


@router.put("/work-exposures/{entry_id}", responses=_KEPT)
async def put_work_exposure(
    session: Session, actor: Caller, entry_id: UUID, form: WorkExposureIn, now: Now, response: Response
) -> FactorEntryRead:
    """Keep what a usual working day asks of the body under the device's own id (UUIDv7); sent again, nothing new is kept."""
    row, new = await factors.put_work_exposure(session, actor, entry_id, form, at=now)
    return _answer(response, row, new=new)


@router.get("/patients/{patient_id}/factor-entries", response_model=Listing[FactorEntryRead])
async def list_factor_entries(
    session: Session,
    actor: Caller,
    patient_id: UUID,
    page: Page,
    now: Now,
    kind: Annotated[FactorKind | None, Query(description="Only entries of this kind")] = None,
) -> Paged[FactorEntryRead]:
    """List what a patient told of contributing factors, newest day first, corrected entries among them."""
    return await factors.browse(session, actor, patient_id, page, kind=kind, at=now)


@router.get("/patients/{patient_id}/factors")
async def get_factors(
    session: Session,
    actor: Caller,
    patient_id: UUID,
    now: Now,
    from_: Annotated[Day | None, Query(alias="from", description="First local day; 28 days back when left out")] = None,
    to: Annotated[Day | None, Query(description="Last local day, today when left out")] = None,
    episode_id: Annotated[UUID | None, Query(description="The newest one when left out")] = None,
) -> Factors:
    """Tell what may add to a patient's problem over time, next to pain."""
    return await factors.get(session, actor, patient_id, first=from_, last=to, episode_id=episode_id, at=now)


def _answer(response: Response, row: FactorEntryRead, *, new: bool) -> FactorEntryRead:
    if new:
        response.status_code = 201
        created(response, f"/v1/patients/{row.patient_id}/factor-entries")
    return row
