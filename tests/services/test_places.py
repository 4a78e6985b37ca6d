"""Where a patient is: what was said last counts, and without a word the clinic's country."""

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from services import places
from tests.factories import NOW, locate, make_clinic, make_patient


async def test_the_place_said_last_counts(session: AsyncSession) -> None:
    clinic = await make_clinic(session)
    patient = await make_patient(session, clinic.id)
    assert await places.country_of(session, clinic.id, patient.id) == "DE"
    await locate(session, patient, "US", "CA", at=NOW)
    await locate(session, patient, "FR", at=NOW - timedelta(days=1))
    assert await places.country_of(session, clinic.id, patient.id) == "US"


async def test_another_patients_place_does_not_count(session: AsyncSession) -> None:
    clinic = await make_clinic(session, country="GB")
    patient = await make_patient(session, clinic.id)
    await locate(session, await make_patient(session, clinic.id, "Emil Novak"), "US", "CA")
    assert await places.country_of(session, clinic.id, patient.id) == "GB"
