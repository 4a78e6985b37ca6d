"""Assessments over HTTP."""

from uuid import UUID

from fastapi import Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.routes import Router
from models.assessments import Assessment
from schemas.assessments import AssessmentChange, AssessmentCreate, AssessmentRead
from services import assessments

router = Router("/v1", tags=["assessments"])


@router.post("/episodes/{episode_id}/assessments", status_code=201, response_model=AssessmentRead)
async def create_assessment(
    session: Session, actor: Caller, episode_id: UUID, form: AssessmentCreate, now: Now, response: Response
) -> Assessment:
    """Begin an assessment as a draft."""
    row = await assessments.create(session, actor, episode_id, form, at=now)
    created(response, f"/v1/assessments/{row.id}", row.version)
    return row


@router.get("/assessments/{assessment_id}", response_model=AssessmentRead)
async def get_assessment(
    session: Session, actor: Caller, assessment_id: UUID, now: Now, response: Response
) -> Assessment:
    """Give an assessment; patients see signed ones only."""
    row = await assessments.get(session, actor, assessment_id, at=now)
    etag(response, row.version)
    return row


@router.patch("/assessments/{assessment_id}", response_model=AssessmentRead)
async def update_assessment(
    session: Session,
    actor: Caller,
    assessment_id: UUID,
    change: AssessmentChange,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> Assessment:
    """Change a draft, section by section: what is sent replaces the section, null removes it, the others stay."""
    row = await assessments.update(session, actor, assessment_id, change, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/assessments/{assessment_id}/sign", response_model=AssessmentRead)
async def sign_assessment(
    session: Session, actor: Caller, assessment_id: UUID, if_match: IfMatch, now: Now, response: Response
) -> Assessment:
    """Sign a draft, for good."""
    row = await assessments.sign(session, actor, assessment_id, version=if_match, at=now)
    etag(response, row.version)
    return row
