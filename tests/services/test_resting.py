"""What a program rests on: when that is gone, it rests too."""

from datetime import timedelta

from sqlalchemy import select

from core.database import Sessions
from models.care_team import CareLink
from models.consents import Consent
from models.patients import Patient
from models.programs import Program, ProgramPause, ProgramStatus
from schemas.care_team import CareLinkEnd
from schemas.consents import ConsentCreate
from services import care_team, consents
from tests.factories import NOW
from tests.services.caring import DAY, Care, care


async def _program(world: Care) -> Program:
    async with world.sessions() as session:
        await world.open(session)
        return (await session.scalars(select(Program).where(Program.clinic_id == world.clinic_id))).one()


async def test_withdrawing_telehealth_consent_pauses_the_program(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        row = (await session.scalars(select(Consent).where(Consent.clinic_id == world.clinic_id))).one()
        await consents.withdraw(session, world.alice, row.id, version=row.version, at=NOW + DAY)
    program = await _program(world)
    assert program.status is ProgramStatus.PAUSED
    assert program.status_reason == "Telehealth consent was withdrawn"
    async with sessions() as session:
        await world.open(session)
        pause = (await session.scalars(select(ProgramPause).where(ProgramPause.clinic_id == world.clinic_id))).one()
    assert pause.reason == "program_paused"


async def test_ending_the_last_care_link_pauses_the_program(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        links = select(CareLink).where(
            CareLink.clinic_id == world.clinic_id, CareLink.patient_id == world.world.alice.id
        )
        (link,) = (await session.scalars(links)).all()
        form = CareLinkEnd(reason="Moved away")
        await care_team.end(session, world.bob, link.id, form, version=link.version, at=NOW + DAY)
    program = await _program(world)
    assert program.status is ProgramStatus.PAUSED
    assert program.status_reason == "Nobody is linked to the patient"


async def test_a_telehealth_consent_that_runs_out_pauses_the_program_after_its_last_day_at_the_patients(
    sessions: Sessions,
) -> None:
    world = await care(sessions)
    await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        patient = await session.get_one(Patient, (world.clinic_id, world.world.alice.id))
        patient.zone = "Pacific/Honolulu"  # there the day ends ten hours later than in UTC
        last_day = {"purpose": "telehealth", "text_version": "1", "method": "electronic", "expires_on": "2026-03-02"}
        await consents.create(session, world.alice, patient.id, ConsentCreate.model_validate(last_day), at=NOW)
    midnight = NOW.replace(hour=0, minute=15) + DAY
    for at, expired, status in (
        (midnight, 0, ProgramStatus.ACTIVE),
        (midnight + timedelta(hours=10), 1, ProgramStatus.PAUSED),
        (midnight + timedelta(hours=11), 0, ProgramStatus.PAUSED),
    ):
        async with sessions.begin() as session:
            await world.open(session)
            assert await consents.expire(session, world.clinic_id, at=at) == expired
        assert (await _program(world)).status is status
    assert (await _program(world)).status_reason == "Telehealth consent has run out"
