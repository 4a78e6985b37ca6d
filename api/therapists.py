"""The people who treat."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.therapists import Profession, Therapist, TherapistStatus
from schemas.base import Listing
from schemas.pages import Paged
from schemas.therapists import TherapistChange, TherapistIn, TherapistOut
from services import therapists

router = Router("/v1/therapists", tags=["therapists"])


@router.get("", response_model=Listing[TherapistOut])
async def list_therapists(
    session: Session,
    actor: Caller,
    page: Page,
    status: Annotated[TherapistStatus | None, Query(description="Whether the person works here now")] = None,
    profession: Annotated[Profession | None, Query(description="PT, or PTA for an assistant")] = None,
) -> Paged[Therapist]:
    """List the clinic's therapists and assistants."""
    return await therapists.browse(session, actor, page, status=status, profession=profession)


@router.post("", status_code=201, response_model=TherapistOut)
async def create_therapist(
    form: TherapistIn, session: Session, actor: Caller, now: Now, response: Response
) -> Therapist:
    """Register a therapist or assistant; invite the person next."""
    row = await therapists.create(session, actor, form, at=now)
    created(response, f"/v1/therapists/{row.id}", row.version)
    return row


@router.get("/{therapist_id}", response_model=TherapistOut)
async def get_therapist(therapist_id: UUID, session: Session, actor: Caller, response: Response) -> Therapist:
    """Look at one therapist."""
    row = await therapists.get(session, actor, therapist_id)
    etag(response, row.version)
    return row


@router.patch("/{therapist_id}", response_model=TherapistOut)
async def update_therapist(
    therapist_id: UUID,
    change: TherapistChange,
    expected: IfMatch,
    session: Session,
    actor: Caller,
    now: Now,
    response: Response,
) -> Therapist:
    """Change a therapist; one who becomes inactive is signed out everywhere at once."""
    row = await therapists.update(session, actor, therapist_id, change, expected=expected, at=now)
    etag(response, row.version)
    return row
