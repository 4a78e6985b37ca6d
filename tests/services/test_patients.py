"""A patient who moves takes his check-ins along; record numbers count on."""

from datetime import timedelta

from sqlalchemy import select

from core.database import Sessions
from models.check_ins import CheckInPlan
from models.patients import Patient
from schemas.check_ins import PlanIn
from schemas.patients import PatientChange, PatientCreate
from services import patients
from services.check_ins import plans
from tests.factories import NOW
from tests.services.caring import care

MOVE = PatientChange(zone="America/New_York")


async def test_check_in_plans_follow_a_new_zone(sessions: Sessions) -> None:
    made = await care(sessions)
    async with sessions.begin() as session:
        await made.open(session)
        for zone in (None, "Europe/Berlin"):
            form = {"question_set": "daily", "frequency": "daily", "local_time": "08:00", "zone": zone}
            await plans.create(session, made.bob, made.episode_id, PlanIn.model_validate(form), at=NOW)
    async with sessions.begin() as session:
        await made.open(session)
        row = await session.get_one(Patient, (made.clinic_id, made.world.alice.id))
        await patients.update(session, made.alice, row.id, MOVE, version=row.version, at=NOW + timedelta(hours=1))
    async with sessions() as session:
        await made.open(session)
        found = await session.scalars(select(CheckInPlan).order_by(CheckInPlan.id))
        assert [(each.follow_zone, each.zone) for each in found] == [
            (True, "America/New_York"),
            (False, "Europe/Berlin"),
        ]


async def test_record_numbers_count_on_past_six_digits(sessions: Sessions) -> None:
    made = await care(sessions)
    person = {"given_name": "Ann", "family_name": "Other", "birth_date": "1990-05-17", "zone": "Europe/Berlin"}
    async with sessions.begin() as session:
        await made.open(session)
        numbers = []
        for number in ("P999999", None, None):
            form = PatientCreate.model_validate(person | {"record_number": number})
            row = await patients.create(session, made.bob, form, at=NOW)
            numbers.append(row.record_number)
    assert numbers == ["P999999", "P1000000", "P1000001"]
