"""What a program rests on: when that is gone, it rests too."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.program_life import ProgramStatus
from core.database import Sessions
from models.alerts import Alert
from models.audit import AuditEvent
from models.care_team import CareLink, CareRole
from models.consents import Consent
from models.notifications import Notification
from models.patients import Patient
from models.programs import Program, ProgramPause
from models.therapists import License, Profession, Therapist, TherapistStatus
from schemas.care_team import CareLinkEnd
from schemas.consents import ConsentCreate
from schemas.licenses import VerificationIn
from schemas.pages import Page
from schemas.patients import LocationCreate
from schemas.programs import ProgramPauseIn, ProgramReason
from schemas.therapists import TherapistChange
from services import care_team, consents, licenses, patients, programs, therapists, today, worklist
from services.programs.lifecycle import ProgramNotReady
from tests.factories import NOW, link, make_license, make_therapist
from tests.services.caring import DAY, Care, care, codes, settle

Act = Callable[[Care, AsyncSession], Awaitable[object]]


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
    async with sessions() as session:
        await world.open(session)
        made = select(AuditEvent.action).where(AuditEvent.clinic_id == world.clinic_id, AuditEvent.role == "system")
        assert list(await session.scalars(made.order_by(AuditEvent.id))) == ["consent.expire", "program.pause"]
        assert await consents.expire(session, world.clinic_id, at=midnight, dry_run=True) == 0


# ------------------------------------------------------------------ nobody may treat


async def looked_up(world: Care, session: AsyncSession, **found: Any) -> None:
    """Let dana look at the register about bob's license."""
    row = (await session.scalars(select(License).where(License.therapist_id == world.world.bob.id))).one()
    form = VerificationIn.model_validate({"method": "primary_source_site", "source": "Register", **found})
    await licenses.verify(session, world.world.actors["dana"], row.id, form, at=NOW + DAY)


async def moved_away(world: Care, session: AsyncSession) -> None:
    form = LocationCreate(country="US", region="NY")
    await patients.attest_location(session, world.alice, world.world.alice.id, form, at=NOW + DAY)


async def left_the_clinic(world: Care, session: AsyncSession) -> None:
    row = await session.get_one(Therapist, (world.clinic_id, world.world.bob.id))
    gone = TherapistChange(status=TherapistStatus.INACTIVE)
    await therapists.update(session, world.world.actors["dana"], row.id, gone, expected=row.version, at=NOW + DAY)


async def ran_out(world: Care, session: AsyncSession) -> None:
    row = (await session.scalars(select(License).where(License.therapist_id == world.world.bob.id))).one()
    row.expires_on = NOW.date()
    assert await programs.review(session, world.clinic_id, at=NOW + timedelta(hours=13)) == 0, "still its last day"
    assert await programs.review(session, world.clinic_id, at=NOW + timedelta(hours=15)) == 1


CAUSES: list[tuple[Act, str]] = [
    (ran_out, "license_expired"),
    (lambda world, session: looked_up(world, session, result="expired"), "license_expired"),
    (lambda world, session: looked_up(world, session, result="restricted"), "license_restricted"),
    (lambda world, session: looked_up(world, session, result="not_found"), "license_unverified"),
    (moved_away, "license_missing"),
    (left_the_clinic, "therapist_inactive"),
]


@pytest.mark.parametrize(("act", "code"), CAUSES)
async def test_a_program_rests_at_once_when_nobody_may_treat_the_patient_any_more(
    sessions: Sessions, act: Act, code: str
) -> None:
    world = await care(sessions)
    await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        await act(world, session)
    program = await _program(world)
    assert (program.status, program.halted_by) == (ProgramStatus.PAUSED, code)
    assert program.status_reason == "Nobody may treat the patient at present"
    async with sessions.begin() as session:
        await world.open(session)
        (alert,) = await session.scalars(select(Alert).where(Alert.clinic_id == world.clinic_id))
        assert (alert.rule_id, alert.level.value, alert.inputs) == ("ES13", "high", {"missing": code})
        assert (alert.source_type, alert.source_id) == ("program", program.id)
        trace = select(AuditEvent).where(AuditEvent.action == "program.pause", AuditEvent.resource_id == program.id)
        (event,) = await session.scalars(trace.where(AuditEvent.clinic_id == world.clinic_id))
        assert (event.role == "system") == (event.account_id is None) == (act is ran_out)
        seen = await today.get(session, world.alice, at=NOW + DAY)
    assert seen.program is not None
    assert (seen.program.sessions, seen.program.note) == ([], today.UNTREATED)


async def test_whoever_treats_sees_it_on_the_worklist_and_by_mail_and_the_patient_does_not_see_why(
    sessions: Sessions,
) -> None:
    world = await care(sessions)
    await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        await moved_away(world, session)
    async with sessions.begin() as session:
        await world.open(session)
        (entry,) = (await worklist.browse(session, world.bob, Page(), at=NOW + DAY)).items
        assert "ES13" in {reason.rule_id for reason in entry.reasons}
        mails = await session.scalars(select(Notification).where(Notification.clinic_id == world.clinic_id))
        assert [(mail.template, mail.account_id) for mail in mails] == [("alert_raised", world.bob.account_id)]
        program = (await session.scalars(select(Program).where(Program.clinic_id == world.clinic_id))).one()
        read = await programs.get(session, world.bob, program.id, at=NOW + DAY)
        hers = await programs.get(session, world.alice, program.id, at=NOW + DAY)
    assert (read.halted_by, hers.halted_by) == ("license_missing", None)
    assert hers.shown is not None


async def test_what_is_right_again_is_resumed_by_hand_and_the_next_rest_is_told_again(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        await moved_away(world, session)
    program = await _program(world)
    form = ProgramReason(reason="She is back")
    async with sessions() as session:
        await world.open(session)
        with pytest.raises(ProgramNotReady) as refused:
            await programs.resume(session, world.bob, program.id, form, version=program.version, at=NOW + DAY)
    assert codes(refused.value.problems) == {"license_missing"}
    async with sessions.begin() as session:
        await world.open(session)
        home = LocationCreate(country="DE")
        await patients.attest_location(session, world.alice, world.world.alice.id, home, at=NOW + 2 * DAY)
        assert await programs.review(session, world.clinic_id, at=NOW + 2 * DAY) == 0
    assert (await _program(world)).status is ProgramStatus.PAUSED, "nothing goes on by itself"
    async with sessions.begin() as session:
        await world.open(session)
        await programs.resume(session, world.bob, program.id, form, version=program.version, at=NOW + 2 * DAY)
        await settle(session, world, at=NOW + 2 * DAY)
    assert (await _program(world)).halted_by is None
    async with sessions.begin() as session:
        await world.open(session)
        away = LocationCreate(country="FR")
        await patients.attest_location(session, world.alice, world.world.alice.id, away, at=NOW + 2 * DAY)
    async with sessions() as session:
        await world.open(session)
        found = await session.scalars(select(Alert).where(Alert.clinic_id == world.clinic_id).order_by(Alert.id))
        assert [alert.status.value for alert in found] == ["resolved", "open"]


async def test_a_program_goes_on_while_somebody_else_may_treat(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        alice, carol = world.world.alice, world.world.carol
        await link(session, alice, carol, CareRole.MEMBER)
        await left_the_clinic(world, session)
        await looked_up(world, session, result="revoked")
        assert await programs.review(session, world.clinic_id, at=NOW + DAY) == 0
        (mine,) = await session.scalars(select(CareLink).where(CareLink.therapist_id == carol.id))
        mine.during = Range(mine.during.lower, NOW + 2 * DAY)
    assert (await _program(world)).status is ProgramStatus.ACTIVE
    async with sessions.begin() as session:
        await world.open(session)
        assert await programs.review(session, world.clinic_id, at=NOW + 3 * DAY, dry_run=True) == 1
        assert await programs.review(session, world.clinic_id, at=NOW + 3 * DAY) == 1
        assert await programs.review(session, world.clinic_id, at=NOW + 3 * DAY) == 0
    assert (await _program(world)).halted_by == "therapist_inactive"


async def test_an_assistant_alone_does_not_keep_a_program_going(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        frank = await make_therapist(session, world.clinic_id, "Frank Voss", profession=Profession.PTA)
        await link(session, world.world.alice, frank, CareRole.MEMBER)
        (row,) = await session.scalars(select(CareLink).where(CareLink.therapist_id == world.world.bob.id))
        await care_team.end(session, world.bob, row.id, CareLinkEnd(reason="Moved"), version=row.version, at=NOW + DAY)
    assert (await _program(world)).halted_by == "profession_not_allowed"


async def test_a_new_license_elsewhere_or_a_good_look_pauses_nothing(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        await looked_up(world, session, result="verified")
        bob = await session.get_one(Therapist, (world.clinic_id, world.world.bob.id))
        await make_license(session, bob, "FR", number="FR-1")
        assert await programs.review(session, world.clinic_id, at=NOW + DAY) == 0
    assert (await _program(world)).status is ProgramStatus.ACTIVE


async def test_what_a_person_paused_is_left_alone_and_says_so_to_the_patient(sessions: Sessions) -> None:
    world = await care(sessions)
    running = await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        form = ProgramPauseIn(reason="Away", kind="holiday_agreed")
        await programs.pause(session, world.bob, running.id, form, version=running.version, at=NOW)
        await moved_away(world, session)
        seen = await today.get(session, world.alice, at=NOW + DAY)
        assert (await session.scalars(select(Alert).where(Alert.clinic_id == world.clinic_id))).all() == []
    assert (await _program(world)).halted_by is None
    assert seen.program is not None
    assert seen.program.note == today.PAUSED


async def test_a_red_flag_during_a_rest_stands_before_it(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        await moved_away(world, session)
    await world.screen(at=NOW + DAY, trigger="new_symptom", yes=["saddle"])
    program = await _program(world)
    assert (program.status, program.halted_by) == (ProgramStatus.SUSPENDED_RED_FLAG, None)


async def test_consent_that_is_gone_is_said_to_the_patient_in_other_words(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        row = (await session.scalars(select(Consent).where(Consent.clinic_id == world.clinic_id))).one()
        await consents.withdraw(session, world.alice, row.id, version=row.version, at=NOW + DAY)
        seen = await today.get(session, world.alice, at=NOW + DAY)
        assert (await session.scalars(select(Alert).where(Alert.clinic_id == world.clinic_id))).all() == []
    assert seen.program is not None
    assert seen.program.note == today.CONSENT
    assert (await _program(world)).halted_by == "telehealth_consent_withdrawn"
