"""Somebody looks at an alert, or the next one in line is told."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import Sessions, as_identity, bind_clinic, make_engine, make_sessions
from core.errors import NotFound
from models.alerts import Alert, AlertEvent, AlertLevel, AlertOutcome, AlertStatus
from models.audit import AuditEvent
from models.care_team import CareLink, CareRole
from models.clinics import Clinic
from models.identity import Membership, Role
from models.notifications import Notification
from models.therapists import Therapist, TherapistStatus
from schemas.clinics import ClinicChange
from services import alerts, clinics
from services.alerts import Escalated
from tests.conftest import Database
from tests.factories import NOW, link, make_actor, make_license, make_therapist
from tests.services.caring import Care, care, waiting_for_a_lock
from tests.services.test_alerts import do, event, events, look, raise_, resolve

WEEKDAYS = {str(weekday): [["08:00", "17:00"]] for weekday in range(1, 6)}
"""Berlin's clock; NOW is Monday, 10:00 there."""

HOUR = timedelta(hours=1)
NOTHING = Escalated(0, 0, 0, 0)


@pytest.fixture
async def ward(sessions: Sessions) -> Care:
    return await care(sessions, staffed_hours=WEEKDAYS)


async def escalate(ward: Care, at: datetime) -> Escalated:
    async with ward.sessions.begin() as session:
        await ward.open(session)
        await alerts.mark_overdue(session, at=at)
        return await alerts.escalate(session, at=at)


async def cover(ward: Care, *, until: datetime | None = None) -> None:
    """Let carol cover for bob."""
    async with ward.sessions.begin() as session:
        await ward.open(session)
        await link(session, ward.world.alice, ward.world.carol, CareRole.COVERING, until=until)


async def head(ward: Care, name: str = "Erin Vogel") -> Therapist:
    """Name a clinical lead, who treats nobody here."""
    async with ward.sessions.begin() as session:
        lead = await make_therapist(session, ward.clinic_id, name)
        await make_actor(session, ward.clinic_id, Role.THERAPIST, lead)
        clinic = await session.get_one(Clinic, ward.clinic_id)
        clinic.settings = {**clinic.settings, "clinical_lead_id": str(lead.id)}
        return lead


async def letters(ward: Care, template: str) -> list[Notification]:
    async with ward.sessions() as session:
        await ward.open(session)
        query = select(Notification).where(Notification.template == template)
        return list(await session.scalars(query.order_by(Notification.due_at, Notification.id)))


async def told(ward: Care, alert_id: UUID) -> list[dict[str, Any]]:
    async with ward.sessions() as session:
        await ward.open(session)
        query = select(AlertEvent.inputs).where(AlertEvent.alert_id == alert_id, AlertEvent.kind == "escalated")
        return list(await session.scalars(query.order_by(AlertEvent.at, AlertEvent.id)))


async def test_whoever_covers_is_told_first_and_the_clinical_lead_after_as_long_again(ward: Care) -> None:
    await cover(ward)
    erin = await head(ward)
    alert = await raise_(ward, level="urgent_same_day")
    assert alert.respond_by == NOW + 4 * HOUR
    assert await escalate(ward, NOW + 4 * HOUR - timedelta(seconds=1)) == NOTHING
    assert await escalate(ward, NOW + 4 * HOUR) == Escalated(0, covering=1, lead=0, admins=0)
    assert await escalate(ward, NOW + 4 * HOUR) == NOTHING
    first = await look(ward, alert.id)
    tuesday = datetime(2026, 3, 3, tzinfo=UTC)
    assert (first.escalations, first.escalate_at) == (1, tuesday + 8 * HOUR)  # 3 hours today, 1 tomorrow from 7 UTC
    (letter,) = await letters(ward, "alert_escalated")
    assert letter.account_id == ward.world.actors["carol"].account_id
    assert (letter.patient_id, letter.parameters) == (None, {"alert_id": str(alert.id)})
    assert await escalate(ward, tuesday + 8 * HOUR - timedelta(seconds=1)) == NOTHING
    assert await escalate(ward, tuesday + 8 * HOUR) == Escalated(0, covering=0, lead=1, admins=0)
    assert await escalate(ward, tuesday + 100 * HOUR) == NOTHING
    assert [one.account_id for one in await letters(ward, "alert_escalated")] == [letter.account_id, erin.account_id]
    last = await look(ward, alert.id)
    assert (last.escalations, last.escalate_at, last.status) == (2, None, AlertStatus.OPEN)
    assert await told(ward, alert.id) == [
        {"step": "covering", "told": [str(ward.world.carol.id)]},
        {"step": "clinical_lead", "told": [str(erin.id)]},
    ]
    assert await events(ward, alert.id) == ["raised", "overdue", "escalated", "escalated"]


async def test_the_clinical_lead_can_open_what_he_is_told_of_for_a_week_and_it_is_his_once_he_takes_it(
    ward: Care,
) -> None:
    erin = await head(ward)
    alert = await raise_(ward)
    at = alert.respond_by
    assert await escalate(ward, at) == Escalated(0, covering=0, lead=1, admins=0)  # nobody covers: told at once
    async with ward.sessions() as session:
        actor = await make_actor(session, ward.clinic_id, Role.THERAPIST, erin)
        query = select(CareLink).where(CareLink.therapist_id == erin.id)
        (made,) = (await session.scalars(query)).all()
        trail = select(AuditEvent.role).where(AuditEvent.action == "care_link.create")
        assert list(await session.scalars(trail.where(AuditEvent.resource_id == made.id))) == ["system"]
    assert (made.role, made.during) == (CareRole.COVERING, Range(at, at + timedelta(days=7)))
    current = await look(ward, alert.id)
    async with ward.sessions.begin() as session:
        await ward.open(session)
        week = at + timedelta(days=7)
        with pytest.raises(NotFound):
            await alerts.acknowledge(session, actor, alert.id, version=current.version, at=week)
        taken = await alerts.acknowledge(session, actor, alert.id, version=current.version, at=at)
        assert taken.owner_id == erin.id
    assert await escalate(ward, at + 48 * HOUR) == NOTHING


async def test_a_planned_cover_of_the_clinical_lead_only_shortens_his_call(ward: Care) -> None:
    erin = await head(ward)
    alert = await raise_(ward)
    later = alert.respond_by + timedelta(days=2)
    async with ward.sessions.begin() as session:
        await ward.open(session)
        await link(session, ward.world.alice, erin, CareRole.COVERING, since=later)
    await escalate(ward, alert.respond_by)
    async with ward.sessions() as session:
        await ward.open(session)
        query = select(CareLink.during).where(CareLink.therapist_id == erin.id)
        assert Range(alert.respond_by, later) in list(await session.scalars(query))


@pytest.mark.parametrize("gone", ["unnamed", "inactive"])
async def test_without_a_clinical_lead_the_admins_are_told_and_learn_nothing(ward: Care, gone: str) -> None:
    if gone == "inactive":
        erin = await head(ward)
        async with ward.sessions.begin() as session:
            await ward.open(session)
            (await session.get_one(Therapist, (ward.clinic_id, erin.id))).status = TherapistStatus.INACTIVE
    alert = await raise_(ward)
    assert await escalate(ward, alert.respond_by) == Escalated(0, covering=0, lead=0, admins=1)
    (letter,) = await letters(ward, "alert_unanswered")
    dana = ward.world.actors["dana"].account_id
    assert (letter.account_id, letter.patient_id) == (dana, None)
    assert letter.parameters == {"alert_id": str(alert.id)}
    assert await told(ward, alert.id) == [{"step": "clinic_admins", "told": [str(dana)]}]


async def test_without_anybody_at_all_the_clinics_own_address_is_told(ward: Care) -> None:
    async with ward.sessions.begin() as session:
        await ward.open(session)
        (await session.get_one(Clinic, ward.clinic_id)).email = "desk@riverside.example"
        async with as_identity(session):
            admin = await session.get_one(Membership, ward.world.actors["dana"].membership_id)
            admin.ended_at = NOW
    alert = await raise_(ward)
    assert (await escalate(ward, alert.respond_by)).admins == 1
    (letter,) = await letters(ward, "alert_unanswered")
    assert (letter.account_id, letter.address) == (None, "desk@riverside.example")


async def unlicensed(session: AsyncSession, ward: Care) -> None:
    dan = await make_therapist(session, ward.clinic_id, "Dan Weiss", licensed=None)
    await make_license(session, dan, "DE", issued_on=date(2020, 1, 1), expires_on=date(2026, 2, 27))
    await make_actor(session, ward.clinic_id, Role.THERAPIST, dan)
    await link(session, ward.world.alice, dan, CareRole.COVERING)


async def gone_home(session: AsyncSession, ward: Care) -> None:
    await link(session, ward.world.alice, ward.world.carol, CareRole.COVERING, until=NOW + HOUR)


async def not_covering(session: AsyncSession, ward: Care) -> None:
    await link(session, ward.world.alice, ward.world.carol, CareRole.MEMBER)


@pytest.mark.parametrize("unfit", [unlicensed, gone_home, not_covering])
async def test_only_a_licensed_therapist_who_covers_at_that_moment_is_asked(ward: Care, unfit: Any) -> None:
    async with ward.sessions.begin() as session:
        await ward.open(session)
        await unfit(session, ward)
    alert = await raise_(ward)
    assert await escalate(ward, alert.respond_by) == Escalated(0, covering=0, lead=0, admins=1)


async def test_an_acknowledged_alert_goes_no_further_and_belongs_to_whoever_took_it(ward: Care) -> None:
    await cover(ward)
    await head(ward)
    alert = await raise_(ward)
    await escalate(ward, alert.respond_by)
    taken = await do(ward, alerts.acknowledge, await look(ward, alert.id), by="carol", at=alert.respond_by)
    assert (taken.owner_id, taken.status) == (ward.world.carol.id, AlertStatus.ACKNOWLEDGED)
    assert await escalate(ward, NOW + 1000 * HOUR) == NOTHING
    given = await do(ward, alerts.assign, taken, ward.world.bob.id, by="carol", at=alert.respond_by)
    assert given.owner_id == ward.world.bob.id


@pytest.mark.parametrize(("level", "told"), [("high", 1), ("routine", 0)])
async def test_whom_an_alert_is_given_to_is_told_unless_he_took_it_himself(ward: Care, level: str, told: int) -> None:
    await cover(ward)
    alert = await raise_(ward, level=level)
    before = len(await letters(ward, "alert_raised"))
    given = await do(ward, alerts.assign, alert, ward.world.carol.id)
    kept = await do(ward, alerts.assign, given, ward.world.bob.id)
    await do(ward, alerts.assign, kept, ward.world.carol.id, by="carol")
    new = (await letters(ward, "alert_raised"))[before:]
    assert [letter.account_id for letter in new] == [ward.world.actors["carol"].account_id] * told
    assert all(letter.dedupe_key.startswith("alert_given:") for letter in new), "an occasion of its own"


async def test_a_level_that_rises_starts_the_steps_anew(ward: Care) -> None:
    await cover(ward)
    alert = await raise_(ward, level="high")
    await escalate(ward, alert.respond_by)
    worse = await raise_(ward, level="emergency_now", at=alert.respond_by)
    assert (worse.id, worse.escalations, worse.escalate_at) == (alert.id, 0, None)
    assert await escalate(ward, alert.respond_by + HOUR) == Escalated(0, covering=1, lead=0, admins=0)


async def test_an_emergency_is_told_at_once_at_night_and_its_clock_starts_in_the_morning(ward: Care) -> None:
    night = datetime(2026, 3, 6, 23, tzinfo=UTC)  # Friday
    alert = await raise_(ward, level=AlertLevel.EMERGENCY_NOW, at=night)
    (letter,) = await letters(ward, "alert_raised")
    assert (letter.due_at, letter.account_id) == (night, ward.bob.account_id)
    assert alert.respond_by == datetime(2026, 3, 9, 8, tzinfo=UTC)


async def test_an_alert_goes_back_to_everybody_when_its_owner_does_not_treat_the_patient_any_more(ward: Care) -> None:
    await cover(ward, until=NOW + 30 * HOUR)
    alert = await do(ward, alerts.acknowledge, await raise_(ward), by="carol")
    assert await escalate(ward, NOW + 29 * HOUR) == NOTHING
    later = NOW + 30 * HOUR  # Tuesday afternoon
    assert await escalate(ward, later) == Escalated(1, covering=0, lead=0, admins=0)
    assert await escalate(ward, later) == NOTHING
    back = await look(ward, alert.id)
    assert (back.status, back.owner_id, back.respond_by) == (AlertStatus.OPEN, None, later + 24 * HOUR)
    assert (back.acknowledged_at, back.acknowledged_by) == (None, None)
    assert (await events(ward, alert.id))[-1] == "handed_back"
    assert [one.account_id for one in await letters(ward, "alert_raised")] == [ward.bob.account_id] * 2
    assert (await escalate(ward, back.respond_by)).admins == 1


async def test_what_was_resolved_too_early_is_opened_again_with_a_new_clock(ward: Care) -> None:
    done = await resolve(ward, await raise_(ward))
    with pytest.raises(alerts.AlertNotResolved):
        await do(ward, alerts.reopen, await raise_(ward, rule_id="ES12"), "Not yet.")
    later = NOW + 71 * HOUR
    again = await do(ward, alerts.reopen, done, "It was another patient's call.", at=later)
    assert (again.status, again.respond_by, again.outcome) == (AlertStatus.OPEN, later + 24 * HOUR, None)
    assert (again.owner_id, again.acknowledged_at, again.escalations) == (None, None, 0)
    opened = await event(ward, done.id, "reopened")
    assert (opened.by, opened.note) == (ward.bob.account_id, "It was another patient's call.")
    assert opened.inputs == {
        "outcome": "patient_contacted",
        "resolved_by": str(ward.bob.account_id),
        "resolved_at": NOW.isoformat(),
    }
    assert (await ward.actions())[-1] == "alert.reopen"
    assert len(await letters(ward, "alert_raised")) == 3
    assert (await raise_(ward, at=later + HOUR)).id == done.id


async def test_how_it_had_ended_before_it_was_opened_again_is_kept_in_words(ward: Care) -> None:
    seen = await do(ward, alerts.acknowledge, await raise_(ward))
    done = await do(ward, alerts.resolve, seen, AlertOutcome.REFERRED, "Sent to her GP.")
    again = await do(ward, alerts.reopen, done, "The GP called back.")
    assert again.note is None
    seen = await do(ward, alerts.acknowledge, again)
    last = await do(ward, alerts.resolve, seen, AlertOutcome.NO_ACTION_NEEDED, "All is well.")
    assert last.note == "All is well."
    async with ward.sessions() as session:
        await ward.open(session)
        query = select(AlertEvent.note).where(AlertEvent.alert_id == done.id, AlertEvent.note.is_not(None))
        kept = list(await session.scalars(query.order_by(AlertEvent.id)))
    assert kept == ["Sent to her GP.", "The GP called back.", "All is well."]


async def test_after_three_days_or_beside_a_new_one_nothing_is_opened_again(ward: Care) -> None:
    done = await resolve(ward, await raise_(ward, rule_id="ES02", level="urgent_same_day"))
    with pytest.raises(alerts.TooLateToReopen):
        await do(ward, alerts.reopen, done, "Late.", at=NOW + 72 * HOUR)
    await raise_(ward, rule_id="ES02", level="urgent_same_day")  # never muted
    with pytest.raises(alerts.AlertStands):
        await do(ward, alerts.reopen, done, "Too early.")


async def test_only_a_physical_therapist_of_the_clinic_can_be_its_clinical_lead(ward: Care) -> None:
    async with ward.sessions.begin() as session:
        await ward.open(session)
        dana = ward.world.actors["dana"]
        version = (await clinics.get(session, dana)).version
        for wrong in (uuid4(), (await make_therapist(session, ward.clinic_id, "Pat Assistant", profession="PTA")).id):
            change = ClinicChange.model_validate({"settings": {"clinical_lead_id": str(wrong)}})
            with pytest.raises(clinics.LeadRefused):
                await clinics.update(session, dana, change, expected=version, at=NOW)
        change = ClinicChange.model_validate({"settings": {"clinical_lead_id": str(ward.world.carol.id)}})
        named = await clinics.update(session, dana, change, expected=version, at=NOW)
        assert named.settings.clinical_lead_id == ward.world.carol.id
        other = ClinicChange.model_validate({"settings": {"high_pain": 6}})
        kept = await clinics.update(session, dana, other, expected=named.version, at=NOW)
        assert kept.settings.clinical_lead_id == ward.world.carol.id
        none = ClinicChange.model_validate({"settings": {"clinical_lead_id": None}})
        gone = await clinics.update(session, dana, none, expected=kept.version, at=NOW)
        assert gone.settings.clinical_lead_id is None


async def test_workers_that_start_at_once_take_turns_and_wait_long_enough_for_each_other(ward: Care) -> None:
    alert = await raise_(ward)
    at = alert.respond_by
    for step, first, second in ((alerts.mark_overdue, 1, 0), (alerts.escalate, Escalated(0, 0, 0, 1), NOTHING)):

        async def late(step: Any = step) -> Any:
            async with ward.sessions.begin() as session:
                await ward.open(session)
                return await step(session, at=at)

        async with ward.sessions.begin() as session:
            await ward.open(session)
            assert await step(session, at=at) == first
            assert await session.scalar(text("SHOW lock_timeout")) == "30s"
            held = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()")
            assert await session.scalar(held) == 1
            other = asyncio.create_task(late())
            await waiting_for_a_lock(session)
        assert await other == second


async def test_each_step_takes_the_oldest_first_and_so_many_at_once(ward: Care) -> None:
    await cover(ward)
    rules = ("ES03", "ES04", "ES12")
    raised = [await raise_(ward, rule_id=rule, at=NOW + minute * HOUR / 60) for minute, rule in enumerate(rules)]
    at = raised[-1].respond_by
    steps = []
    for _ in range(3):
        async with ward.sessions.begin() as session:
            await ward.open(session)
            steps.append((await alerts.escalate(session, at=at, limit=2)).covering)
    assert steps == [2, 1, 0]
    at += 96 * HOUR
    owned = [await do(ward, alerts.acknowledge, await look(ward, one.id), by="carol") for one in raised]
    async with ward.sessions.begin() as session:
        await ward.open(session)
        links = select(CareLink).where(CareLink.therapist_id == ward.world.carol.id)
        for each in await session.scalars(links):
            each.during = Range(each.during.lower, at)
    back = []
    for _ in range(3):
        async with ward.sessions.begin() as session:
            await ward.open(session)
            back.append((await alerts.escalate(session, at=at, limit=2)).handed_back)
    assert back == [2, 1, 0]
    assert {(await look(ward, one.id)).status for one in owned} == {AlertStatus.OPEN}


async def test_a_step_leaves_out_what_somebody_is_just_handling(ward: Care) -> None:
    alert = await raise_(ward)
    at = alert.respond_by
    async with ward.sessions.begin() as session:
        await ward.open(session)
        await session.get_one(Alert, (ward.clinic_id, alert.id), with_for_update=True)
        assert await escalate(ward, at) == NOTHING
    assert (await escalate(ward, at)).admins == 1
    await cover(ward, until=at + HOUR)
    await do(ward, alerts.acknowledge, await look(ward, alert.id), by="carol", at=at)
    async with ward.sessions.begin() as session:
        await ward.open(session)
        await session.get_one(Alert, (ward.clinic_id, alert.id), with_for_update=True)
        assert await escalate(ward, at + HOUR) == NOTHING
    assert (await escalate(ward, at + HOUR)).handed_back == 1


async def test_one_sweep_takes_the_steps_of_all_clinics(fresh_database: Database) -> None:
    roles = {
        role: make_sessions(make_engine(getattr(fresh_database, role), pool_size=2)) for role in ("api", "sweeper")
    }
    wards = [await care(roles["api"], name=name, staffed_hours=WEEKDAYS) for name in ("Riverside", "Hillside", "Lake")]
    await cover(wards[0])
    await head(wards[1])
    raised = [await raise_(each) for each in wards]
    async with roles["sweeper"].begin() as session:
        assert await alerts.mark_overdue(session, at=raised[0].respond_by) == 3
        assert await alerts.escalate(session, at=raised[0].respond_by) == Escalated(0, covering=1, lead=1, admins=1)
    for each, alert in zip(wards, raised, strict=True):
        (step,) = await told(each, alert.id)
        assert len(step["told"]) == 1
    async with roles[
        "api"
    ].begin() as session:  # an outside scheduler runs it for one clinic: the others are out of reach
        await bind_clinic(session, wards[0].clinic_id)
        assert await alerts.escalate(session, at=raised[0].respond_by + 96 * HOUR) == Escalated(0, 0, 0, admins=1)
    for sessions in roles.values():
        await sessions.kw["bind"].dispose()


async def test_the_sweeper_may_open_again_what_somebody_had_taken(fresh_database: Database) -> None:
    engines = {role: make_engine(getattr(fresh_database, role), pool_size=2) for role in ("api", "sweeper")}
    ward = await care(make_sessions(engines["api"]), staffed_hours=WEEKDAYS)
    taken = await do(ward, alerts.acknowledge, await raise_(ward, level="routine", rule_id="ES09"))
    source = ("check_in", uuid4())
    found = alerts.Finding(
        ward.clinic_id, taken.patient_id, None, "ES09", "v", AlertLevel.EMERGENCY_NOW, None, source, {}
    )
    async with make_sessions(engines["sweeper"]).begin() as session:
        assert await alerts.raise_many(session, [found], at=NOW) == [taken.id]
    again = await look(ward, taken.id)
    assert (again.status, again.owner_id, again.acknowledged_at) == (AlertStatus.OPEN, None, None)
    await do(ward, alerts.acknowledge, again)
    async with ward.sessions.begin() as session:
        await ward.open(session)
        (await session.get_one(Therapist, (ward.clinic_id, ward.world.bob.id))).status = TherapistStatus.INACTIVE
    async with make_sessions(engines["sweeper"]).begin() as session:
        assert (await alerts.escalate(session, at=NOW)).handed_back == 1
    for engine in engines.values():
        await engine.dispose()
