"""Patients and their attested places over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.patients import Patient, PatientLocation, PatientStatus
from schemas.base import Listing
from schemas.pages import Paged
from schemas.patients import (
    LocationCreate,
    LocationRead,
    PatientChange,
    PatientContact,
    PatientCreate,
    PatientRead,
    PatientSummary,
)
from services import patients

router = Router("/v1/patients", tags=["patients"])


@router.get("", response_model=Listing[PatientSummary])
async def list_patients(
    session: Session,
    actor: Caller,
    page: Page,
    now: Now,
    status: Annotated[PatientStatus | None, Query(description="Only patients in this status")] = None,
    q: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=100,
            pattern=r"^[^\x00-\x1f\x7f]+$",
            description="The beginning of the family or given name in any case, or a whole record number",
        ),
    ] = None,
) -> Paged[Patient]:
    """List the patients within reach by family name, given name and id."""
    return await patients.browse(session, actor, page, status=status, q=q, at=now)


@router.post("", status_code=201, response_model=PatientRead | PatientContact)
async def create_patient(
    session: Session, actor: Caller, form: PatientCreate, now: Now, response: Response
) -> PatientRead | PatientContact:
    """Register a patient; a therapist who does becomes the lead of the care team."""
    made = await patients.create(session, actor, form, at=now)
    created(response, f"/v1/patients/{made.id}", made.version)
    return made


@router.get("/{patient_id}", response_model=PatientRead | PatientContact)
async def get_patient(
    session: Session, actor: Caller, patient_id: UUID, now: Now, response: Response
) -> PatientRead | PatientContact:
    """Give a patient's details; a clinic admin gets no clinical field."""
    read = await patients.get(session, actor, patient_id, at=now)
    etag(response, read.version, read)
    return read


@router.patch("/{patient_id}", response_model=PatientRead | PatientContact)
async def update_patient(
    session: Session,
    actor: Caller,
    patient_id: UUID,
    change: PatientChange,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> PatientRead | PatientContact:
    """Change a patient's details, each role its own fields."""
    read = await patients.update(session, actor, patient_id, change, version=if_match, at=now)
    etag(response, read.version)
    return read


@router.post("/{patient_id}/locations", status_code=201, response_model=LocationRead)
async def attest_location(
    session: Session, actor: Caller, patient_id: UUID, form: LocationCreate, now: Now, response: Response
) -> PatientLocation:
    """Say where the patient is now; the newest place counts for the license gate."""
    row = await patients.attest_location(session, actor, patient_id, form, at=now)
    created(response, f"/v1/patients/{patient_id}")
    return row
