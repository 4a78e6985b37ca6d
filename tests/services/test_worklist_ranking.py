"""The worklist's order, its filters and its pages, over more than one patient and while things change."""

import random
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update

from clinical.program_life import ProgramStatus
from core.database import Sessions, bind_clinic
from models.alerts import Alert, AlertLevel
from models.care_team import CareRole
from models.consents import Consent, ConsentMethod, ConsentPurpose, ConsentStatus
from models.episodes import Episode, EpisodeStatus
from models.patients import Patient
from models.programs import Program
from models.therapists import License, LicenseKind, LicenseStatus
from schemas.pages import LIMIT, Page, UnknownCursor
from schemas.worklist import Reason, WorklistEntry, WorklistFilters
from services import worklist
from services.caseload import EXPIRY_AHEAD, HELD_AFTER, LEVELS, OVERDUE, WEIGHTS
from tests.factories import NOW, link, locate, make_license, make_patient
from tests.services.caring import DAY, Care, care

HOUR = timedelta(hours=1)
KEY = b"a key of the tests"
LAST_DAY = date(2026, 3, 20)


@pytest.fixture
async def clinic(sessions: Sessions) -> Care:
    return await care(sessions, now=NOW)


async def register(here: Care, *names: str, role: CareRole = CareRole.LEAD, **episode: Any) -> list[UUID]:
    """Make patients of bob's with an episode and consent, for whom nothing waits."""
    made = []
    async with here.sessions.begin() as session:
        for name in names:
            patient = await make_patient(session, here.clinic_id, name, email=None)
            await link(session, patient, here.world.bob, role, since=NOW - 400 * DAY)
            values = {"title": "Knee pain", "body_region": "knee", "status": EpisodeStatus.ACTIVE} | episode
            session.add(Episode(clinic_id=here.clinic_id, patient_id=patient.id, started_on=NOW.date(), **values))
            session.add(agreement(here, patient.id))
            made.append(patient.id)
    return made


def agreement(here: Care, patient_id: UUID, **changes: Any) -> Consent:
    """Make a consent to telehealth that is given."""
    return Consent(
        clinic_id=here.clinic_id,
        patient_id=patient_id,
        purpose=ConsentPurpose.TELEHEALTH,
        status=ConsentStatus.GIVEN,
        text_version="1",
        method=ConsentMethod.ELECTRONIC,
        given_at=NOW - DAY,
        given_by=uuid4(),
        **changes,
    )


async def alarm(here: Care, patient_id: UUID, level: AlertLevel, rule: str = "ES01", *, late: bool = False) -> None:
    async with here.sessions.begin() as session:
        await here.open(session)
        session.add(
            Alert(
                clinic_id=here.clinic_id,
                patient_id=patient_id,
                rule_id=rule,
                rule_version="1",
                level=level,
                source_type="check_in",
                raised_at=NOW - 3 * HOUR,
                respond_by=NOW + (-HOUR if late else HOUR),
            )
        )


async def change(here: Care, model: Any, *where: Any, **values: Any) -> None:
    async with here.sessions.begin() as session:
        await here.open(session)
        await session.execute(update(model).where(model.clinic_id == here.clinic_id, *where).values(**values))


async def seen(here: Care, *, at: Any = NOW, search: str | None = None, **wanted: Any) -> list[WorklistEntry]:
    async with here.sessions.begin() as session:
        await here.open(session)
        page = await worklist.browse(
            session, here.bob, Page(LIMIT, key=KEY), wanted=WorklistFilters(**wanted), search=search, at=at
        )
        return list(page.items)


async def names(here: Care, **how: Any) -> list[str]:
    return sorted(entry.given_name for entry in await seen(here, **how))


def reasons(entry: WorklistEntry) -> list[Reason]:
    return [reason.code for reason in entry.reasons]


# ------------------------------------------------------------------ the order


def test_all_that_can_come_together_weighs_less_than_an_emergency() -> None:
    together = sum(WEIGHTS.values()) + OVERDUE
    below = {level: weight for level, weight in LEVELS.items() if level is not AlertLevel.EMERGENCY_NOW}
    assert max(below.values()) + together < LEVELS[AlertLevel.EMERGENCY_NOW]
    del below[AlertLevel.URGENT_SAME_DAY]
    assert max(below.values()) + together < LEVELS[AlertLevel.URGENT_SAME_DAY]
    assert LEVELS.keys() == set(AlertLevel)
    assert WEIGHTS.keys() == set(Reason) - {Reason.ALERT}


async def test_whoever_has_an_emergency_stands_above_whoever_has_none_whatever_else_there_is(clinic: Care) -> None:
    drawn = random.Random(7)
    patients = await register(clinic, *(f"Emil Novak{number}" for number in range(24)))
    levels: dict[UUID, set[AlertLevel]] = {}
    for patient in patients:
        chosen = drawn.sample(list(AlertLevel), drawn.randint(0, 4))
        levels[patient] = set(chosen)
        for number, level in enumerate(chosen):
            await alarm(clinic, patient, level, f"ES0{number}", late=drawn.random() < 0.5)
        if drawn.random() < 0.5:
            await change(clinic, Consent, Consent.patient_id == patient, status="withdrawn", withdrawn_at=NOW)
        if drawn.random() < 0.5:
            await change(clinic, Episode, Episode.patient_id == patient, status="on_hold", updated_at=NOW - 90 * DAY)
    ranked = [levels.get(entry.patient_id, set()) for entry in await seen(clinic)]
    for grave, above in (
        (AlertLevel.EMERGENCY_NOW, set()),
        (AlertLevel.URGENT_SAME_DAY, {AlertLevel.EMERGENCY_NOW}),
    ):
        having = [grave in each for each in ranked if not above & each]
        assert having == sorted(having, reverse=True)
        assert any(having)


# ------------------------------------------------------------------ reasons of papers and pauses


async def test_a_program_that_the_system_rested_is_a_reason_one_that_a_person_paused_is_none(clinic: Care) -> None:
    program = await clinic.running(at=NOW - DAY)
    await change(clinic, Program, Program.id == program.id, status=ProgramStatus.PAUSED)
    assert (await seen(clinic))[0].reasons == []
    await change(clinic, Program, Program.id == program.id, halted_by="license_expired")
    assert reasons((await seen(clinic))[0]) == [Reason.PROGRAM_RESTED]


async def test_a_consent_is_told_of_thirty_days_before_its_last_day(sessions: Sessions) -> None:
    clinic = await care(sessions, now=NOW, consent=False)
    last_day = NOW.date() + (EXPIRY_AHEAD + 1) * DAY
    async with sessions.begin() as session:
        await clinic.open(session)
        session.add(agreement(clinic, clinic.world.alice.id, expires_on=last_day))
    assert (await seen(clinic))[0].reasons == []
    (entry,) = await seen(clinic, at=NOW + DAY)
    assert (reasons(entry), entry.reasons[0].until) == ([Reason.CONSENT_EXPIRING], last_day)


async def test_ones_own_license_for_the_patients_place_is_told_of_before_it_expires(clinic: Care) -> None:
    await change(clinic, License, License.therapist_id == clinic.world.bob.id, expires_on=LAST_DAY)
    (entry,) = await seen(clinic)
    assert (reasons(entry), entry.reasons[0].until) == ([Reason.LICENSE_EXPIRING], LAST_DAY)
    assert (await seen(clinic, at=NOW - 20 * DAY))[0].reasons == []
    assert (await seen(clinic, at=NOW + 19 * DAY))[0].reasons == []  # has expired: then the program rests
    async with clinic.sessions.begin() as session:
        await clinic.open(session)
        await locate(session, clinic.world.alice, "GB", at=NOW - HOUR)
    assert (await seen(clinic))[0].reasons == []


async def test_a_second_license_for_the_place_that_lasts_is_enough(clinic: Care) -> None:
    await change(clinic, License, License.therapist_id == clinic.world.bob.id, expires_on=LAST_DAY)
    async with clinic.sessions.begin() as session:
        await clinic.open(session)
        await make_license(session, clinic.world.bob, number="PT-2")
    assert (await seen(clinic))[0].reasons == []


async def test_a_compact_privilege_runs_out_with_the_license_of_the_home_state(clinic: Care) -> None:
    async with clinic.sessions.begin() as session:
        await clinic.open(session)
        await locate(session, clinic.world.alice, "US", "TX", at=NOW - HOUR)
        await make_license(session, clinic.world.bob, "US-TX", number="C-1", kind=LicenseKind.COMPACT_PRIVILEGE)
        await make_license(session, clinic.world.bob, "US-OH", number="H-1", expires_on=LAST_DAY)
        await make_license(session, clinic.world.bob, "US-UT", number="H-2", status=LicenseStatus.UNVERIFIED)
    (entry,) = await seen(clinic)
    assert (reasons(entry), entry.reasons[0].until) == ([Reason.LICENSE_EXPIRING], LAST_DAY)


async def test_an_episode_on_hold_that_nobody_touched_for_four_weeks_is_a_reason(clinic: Care) -> None:
    values = {"status": EpisodeStatus.ON_HOLD, "updated_at": NOW}
    await change(clinic, Episode, Episode.id == clinic.episode_id, **values)
    assert (await seen(clinic, at=NOW + HELD_AFTER))[0].reasons == []
    (entry,) = await seen(clinic, at=NOW + HELD_AFTER + HOUR)
    assert (reasons(entry), entry.reasons[0].since) == ([Reason.HELD_LONG], NOW)


async def test_the_episode_that_is_shown_is_one_in_treatment_if_there_is_any(clinic: Care) -> None:
    async with clinic.sessions.begin() as session:
        await clinic.open(session)
        newer = {"title": "Knee", "body_region": "knee", "status": EpisodeStatus.ON_HOLD}
        session.add(Episode(clinic_id=clinic.clinic_id, patient_id=clinic.world.alice.id, **newer))
    (entry,) = await seen(clinic)
    assert (entry.episode_id, entry.episode_status, entry.body_region) == (clinic.episode_id, "active", "low_back")


# ------------------------------------------------------------------ filters


async def test_each_filter_alone_and_all_together(clinic: Care) -> None:
    emil, frida, _ = await register(clinic, "Emil Novak", "Frida Lind", "Greta Olsen")
    (hugo,) = await register(clinic, "Hugo Lindner", role=CareRole.MEMBER, status=EpisodeStatus.ON_HOLD)
    await alarm(clinic, emil, AlertLevel.HIGH, late=True)
    await alarm(clinic, emil, AlertLevel.WATCH, "ES02")
    await alarm(clinic, frida, AlertLevel.HIGH)
    await change(clinic, Consent, Consent.patient_id == hugo, status="withdrawn", withdrawn_at=NOW)
    await change(clinic, Patient, Patient.id == hugo, record_number="H-77")
    assert await names(clinic) == ["Alice", "Emil", "Frida", "Greta", "Hugo"]
    assert await names(clinic, reason=["alert"]) == ["Emil", "Frida"]
    assert await names(clinic, reason=["alert", "consent_missing"]) == ["Emil", "Frida", "Hugo"]
    assert await names(clinic, level=["watch", "emergency_now"]) == ["Emil"]
    assert await names(clinic, overdue_only=True) == ["Emil"]
    assert await names(clinic, lead_only=True) == ["Alice", "Emil", "Frida", "Greta"]
    assert await names(clinic, episode_status=["on_hold"]) == ["Hugo"]
    assert await names(clinic, body_region=["low_back"]) == ["Alice"]
    assert await names(clinic, search="liND") == ["Frida", "Hugo"]
    assert await names(clinic, search="gre") == ["Greta"]
    assert await names(clinic, search="%") == []
    assert await names(clinic, search="H-77") == ["Hugo"]
    assert await names(clinic, search="H-7") == []
    assert await names(clinic, level=["high"], body_region=["knee"], lead_only=True, search="f") == ["Frida"]
    assert await names(clinic, level=["high"], body_region=["low_back"]) == []


# ------------------------------------------------------------------ pages


async def a_page(here: Care, cursor: str | None, limit: int = 3) -> tuple[list[UUID], str | None]:
    async with here.sessions.begin() as session:
        await here.open(session)
        page = await worklist.browse(session, here.bob, Page(limit, cursor, key=KEY), at=NOW)
        return [entry.patient_id for entry in page.items], page.next_cursor


async def test_nobody_is_lost_or_shown_twice_while_ranks_change_between_the_pages(clinic: Care) -> None:
    patients = await register(clinic, *(f"Emil Novak{number}" for number in range(11)))
    everybody = {*patients, clinic.world.alice.id}
    for patient in patients[:4]:
        await alarm(clinic, patient, AlertLevel.HIGH)
    first, cursor = await a_page(clinic, None)
    waiting = [patient for patient in patients if patient not in first]
    await alarm(clinic, waiting[-1], AlertLevel.EMERGENCY_NOW)  # rises above those who were shown
    resolved = {"status": "resolved", "resolved_at": NOW, "outcome": "patient_contacted"}
    await change(clinic, Alert, Alert.patient_id == first[0], **resolved)  # falls to the end
    second, cursor = await a_page(clinic, cursor)
    assert second[0] == waiting[-1]
    walked = first + second
    for patient in patients:  # everything turns round
        await change(clinic, Consent, Consent.patient_id == patient, status="withdrawn", withdrawn_at=NOW)
    while cursor is not None:
        page, cursor = await a_page(clinic, cursor)
        walked += page
    assert len(walked) == len(set(walked))
    assert set(walked) == everybody


async def test_a_caseload_larger_than_a_cursor_remembers_goes_on_by_place(
    clinic: Care, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worklist, "MOST_SHOWN", 4)
    patients = await register(clinic, *(f"Emil Novak{number}" for number in range(10)))
    walked, cursor = await a_page(clinic, None)
    while cursor is not None:
        page, cursor = await a_page(clinic, cursor)
        walked += page
    assert len(walked) == 11
    assert set(walked) == {*patients, clinic.world.alice.id}


async def test_the_longest_cursor_is_not_too_long(clinic: Care) -> None:
    patients = await register(clinic, "Emil Novak")
    async with clinic.sessions.begin() as session:
        await bind_clinic(session, clinic.clinic_id)
        await session.execute(
            text(
                "INSERT INTO patients (clinic_id, record_number, given_name, family_name, birth_date, zone)"
                " SELECT :clinic, n::text, 'Ida', n::text, '1980-01-01', 'UTC' FROM generate_series(1, 450) n"
            ),
            {"clinic": clinic.clinic_id},
        )
        await session.execute(
            text(
                "INSERT INTO care_links (clinic_id, patient_id, therapist_id, role, during)"
                " SELECT :clinic, id, :bob, 'member', tstzrange(now() - interval '9 years', NULL)"
                " FROM patients WHERE clinic_id = :clinic AND given_name = 'Ida'"
            ),
            {"clinic": clinic.clinic_id, "bob": clinic.world.bob.id},
        )
    walked: list[UUID] = []
    cursor, longest = None, 0
    while True:
        page, cursor = await a_page(clinic, cursor, 80)
        walked += page
        if cursor is None:
            break
        longest = max(longest, len(cursor))
    assert len(set(walked)) == len(walked) == 450 + len(patients) + 1
    assert 4_200 < longest <= 4_500


async def test_a_cursor_of_another_kind_is_refused(clinic: Care) -> None:
    with pytest.raises(UnknownCursor):
        await a_page(clinic, Page(key=KEY).cursor_after((200, clinic.episode_id)))
