"""Care teams over HTTP."""

from uuid import UUID

from fastapi import Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from schemas.care_team import CareLinkCreate, CareLinkEnd, CareLinkRead, CareTeam
from services import care_team

router = Router("/v1", tags=["care-team"])


@router.get("/patients/{patient_id}/care-team")
async def list_care_team(session: Session, actor: Caller, patient_id: UUID, page: Page, now: Now) -> CareTeam:
    """List who treats the patient, newest first, and who looks at what the patient sends, and when."""
    return await care_team.browse(session, actor, patient_id, page, at=now)


@router.post("/patients/{patient_id}/care-team", status_code=201)
async def create_care_link(
    session: Session, actor: Caller, patient_id: UUID, form: CareLinkCreate, now: Now, response: Response
) -> CareLinkRead:
    """Add a therapist, who may treat the patient where he is, to the care team."""
    made = await care_team.create(session, actor, patient_id, form, at=now)
    created(response, f"/v1/patients/{patient_id}/care-team", made.version)
    return made


@router.post("/care-team/{link_id}/end")
async def end_care_link(
    session: Session, actor: Caller, link_id: UUID, form: CareLinkEnd, if_match: IfMatch, now: Now, response: Response
) -> CareLinkRead:
    """End a therapist's link to a patient, and with it the access to the record."""
    ended = await care_team.end(session, actor, link_id, form, version=if_match, at=now)
    etag(response, ended.version)
    return ended
