"""What a therapist may do where."""

from uuid import UUID

from fastapi import Response

from api.dependencies import Caller, Now, Session
from api.etags import created
from api.pages import Page
from api.routes import Router
from models.therapists import License
from schemas.base import Listing
from schemas.licenses import LicenseIn, LicenseOut, VerificationIn, VerificationOut
from schemas.pages import Paged
from services import licenses

router = Router("/v1", tags=["licenses"])


@router.get("/therapists/{therapist_id}/licenses", response_model=Listing[LicenseOut])
async def list_licenses(therapist_id: UUID, session: Session, actor: Caller, page: Page) -> Paged[License]:
    """List a therapist's licenses."""
    return await licenses.browse(session, actor, therapist_id, page)


@router.post("/therapists/{therapist_id}/licenses", status_code=201, response_model=LicenseOut)
async def create_license(
    therapist_id: UUID, form: LicenseIn, session: Session, actor: Caller, now: Now, response: Response
) -> License:
    """Enter a license; it counts once it is verified."""
    row = await licenses.create(session, actor, therapist_id, form, at=now)
    created(response, f"/v1/therapists/{therapist_id}/licenses", row.version)
    return row


@router.post("/licenses/{license_id}/verifications", status_code=201, response_model=VerificationOut)
async def verify_license(
    license_id: UUID, form: VerificationIn, session: Session, actor: Caller, now: Now
) -> VerificationOut:
    """Write down what the register said; the license's status follows."""
    return (await licenses.verify(session, actor, license_id, form, at=now)).out()
