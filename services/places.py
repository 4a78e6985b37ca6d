"""Where a patient is, as far as anybody said."""

from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from models.clinics import Clinic
from models.patients import PatientLocation


async def country_of(session: AsyncSession, clinic_id: UUID, patient_id: UUID) -> str:
    """Give the ISO 3166-1 country of the place last attested, else the clinic's: whose emergency number to call."""
    attested = (
        select(PatientLocation.country)
        .where(PatientLocation.clinic_id == clinic_id, PatientLocation.patient_id == patient_id)
        .order_by(PatientLocation.attested_at.desc(), PatientLocation.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    row = (await session.execute(select(attested, Clinic.country).where(Clinic.id == clinic_id))).one()
    return str(row[0] or row[1])
