"""The clinic itself."""

from fastapi import Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, etag
from api.routes import Router
from schemas.clinics import ClinicChange, ClinicOut
from services import clinics

router = Router("/v1/clinic", tags=["clinic"])


@router.get("", response_model=ClinicOut)
async def get_clinic(session: Session, actor: Caller, response: Response) -> ClinicOut:
    """Look at the clinic you signed in to."""
    clinic = await clinics.get(session, actor)
    etag(response, clinic.version)
    return clinic


@router.patch("", response_model=ClinicOut)
async def update_clinic(
    change: ClinicChange, expected: IfMatch, session: Session, actor: Caller, now: Now, response: Response
) -> ClinicOut:
    """Change the clinic's name, zone, staffed hours or thresholds."""
    clinic = await clinics.update(session, actor, change, expected=expected, at=now)
    etag(response, clinic.version)
    return clinic
