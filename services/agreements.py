"""Whether what the patient agreed to still holds."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Date, func, literal, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Conflict, Problem
from models.consents import Consent, ConsentPurpose, ConsentStatus
from models.patients import Patient


class ConsentMissing(Conflict):
    """The patient's consent to this is missing."""


async def require(
    session: AsyncSession, clinic_id: UUID, patient_id: UUID, purpose: ConsentPurpose, *, at: datetime
) -> None:
    """Demand that the patient's consent to `purpose` is in force on his day at `at`. Raises ConsentMissing."""
    today = func.local_day(literal(at), Patient.zone, type_=Date())
    in_force = (
        select(Consent.id)
        .join(Patient, (Patient.clinic_id == Consent.clinic_id) & (Patient.id == Consent.patient_id))
        .where(
            Consent.clinic_id == clinic_id,
            Consent.patient_id == patient_id,
            Consent.purpose == purpose,
            Consent.status == ConsentStatus.GIVEN,
            or_(Consent.expires_on.is_(None), Consent.expires_on >= today),
        )
    )
    if await session.scalar(in_force.limit(1)) is None:
        raise ConsentMissing(
            Problem("", f"{purpose.value}_consent_missing", "The patient has not given this consent, or no longer.")
        )
