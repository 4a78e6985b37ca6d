from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range

from core.database import Sessions, bind_clinic
from core.errors import Forbidden, NotFound, Stale
from models.alerts import Alert, AlertEvent, AlertLevel, AlertOutcome, AlertStatus
from models.care_team import CareLink, CareRole
from models.clinics import Clinic
from models.notifications import Notification
from models.red_flag_screens import ScreenOutcome, ScreenStatus
from models.therapists import Therapist, TherapistStatus
from schemas.pages import Page
from services import alerts
from tests.factories import NOW, link
from tests.services.caring import Care, care

STAFFED = {str(weekday): [["08:00", "12:00"], ["13:00", "17:00"]] for weekday in range(1, 6)}


@pytest.fixture
async def ward(sessions: Sessions) -> Care:
    return await care(sessions, staffed_hours=STAFFED, holidays=["2026-03-03"])


async def raise_(ward: Care, *, at: datetime = NOW, **changes: Any) -> Alert:
    values: dict[str, Any] = {
        "rule_id": "ES03",
        "rule_version": "escalation-2026-1",
        "level": AlertLevel.HIGH,
        "task": None,
        "source": ("check_in", uuid4()),
        "inputs": {"pain_now": 8},
    }
    async with ward.sessions.begin() as session:
        await ward.open(session)
        return await alerts.raise_alert(
            session,
            clinic_id=ward.clinic_id,
            patient_id=ward.world.alice.id,
            episode_id=ward.episode_id,
            **values | changes,
            at=at,
        )


async def do(ward: Care, verb: Any, alert: Alert, *args: Any, by: str = "bob", at: datetime = NOW) -> Alert:
    async with ward.sessions.begin() as session:
        await ward.open(session)
        done = await verb(session, ward.world.actors[by], alert.id, *args, version=alert.version, at=at)
        assert isinstance(done, Alert)
        return done


async def resolve(ward: Care, alert: Alert, *, at: datetime = NOW) -> Alert:
    alert = await do(ward, alerts.acknowledge, alert, at=at)
    return await do(ward, alerts.resolve, alert, AlertOutcome.PATIENT_CONTACTED, None, at=at)


async def events(ward: Care, alert_id: UUID) -> list[str]:
    async with ward.sessions() as session:
        await ward.open(session)
        query = select(AlertEvent.kind).where(AlertEvent.alert_id == alert_id).order_by(AlertEvent.at, AlertEvent.id)
        return list(await session.scalars(query))


async def event(ward: Care, alert_id: UUID, kind: str) -> AlertEvent:
    """Give the only event of its kind."""
    async with ward.sessions() as session:
        await ward.open(session)
        query = select(AlertEvent).where(AlertEvent.alert_id == alert_id, AlertEvent.kind == kind)
        return (await session.scalars(query)).one()


async def overdue(ward: Care, at: datetime, **changes: Any) -> int:
    async with ward.sessions.begin() as session:
        await ward.open(session)
        return await alerts.mark_overdue(session, at=at, **changes)


async def look(ward: Care, alert_id: UUID) -> Alert:
    async with ward.sessions() as session:
        await ward.open(session)
        return await session.get_one(Alert, (ward.clinic_id, alert_id))


async def letters(ward: Care) -> list[str]:
    async with ward.sessions() as session:
        await ward.open(session)
        query = select(Notification.dedupe_key).order_by(Notification.created_at)
        return list(await session.scalars(query.where(Notification.clinic_id == ward.clinic_id)))


async def test_a_repeat_adds_an_event_and_may_raise_the_level_but_never_lower_it(ward: Care) -> None:
    first = await raise_(ward, level="routine")
    assert (first.status, first.repeats) == (AlertStatus.OPEN, 0)
    assert await letters(ward) == []
    seen = await do(ward, alerts.acknowledge, first)
    higher = await raise_(ward, level="high")
    assert (higher.id, higher.level, higher.repeats) == (first.id, AlertLevel.HIGH, 1)
    assert higher.status is AlertStatus.OPEN
    assert higher.version == seen.version + 1
    lower = await raise_(ward, level="routine")
    assert (lower.level, lower.repeats) == (AlertLevel.HIGH, 2)
    assert await events(ward, first.id) == ["raised", "acknowledged", "repeated", "repeated"]
    assert await letters(ward) == [f"alert_raised:{first.id}:high"]


async def test_the_letter_goes_to_somebody_who_still_works_here(ward: Care) -> None:
    async with ward.sessions.begin() as session:
        await ward.open(session)
        await link(session, ward.world.alice, ward.world.carol, CareRole.MEMBER)
        bob = await session.get_one(Therapist, (ward.clinic_id, ward.world.bob.id))
        bob.status = TherapistStatus.INACTIVE
    await raise_(ward, level="high")
    async with ward.sessions() as session:
        await ward.open(session)
        told = await session.scalars(select(Notification.account_id).where(Notification.clinic_id == ward.clinic_id))
        assert list(told) == [ward.world.actors["carol"].account_id]


@pytest.mark.parametrize(
    ("level", "at", "respond_by"),
    [
        ("emergency_now", datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("urgent_same_day", datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 2, 14, tzinfo=UTC)),
        ("urgent_same_day", datetime(2026, 3, 2, 18, tzinfo=UTC), datetime(2026, 3, 4, 11, tzinfo=UTC)),
        ("high", datetime(2026, 3, 2, 9, tzinfo=UTC), datetime(2026, 3, 4, 9, tzinfo=UTC)),
        ("routine", datetime(2026, 3, 6, 9, tzinfo=UTC), datetime(2026, 3, 10, 9, tzinfo=UTC)),
    ],
)
async def test_the_response_clock_runs_in_staffed_hours_without_holidays(
    ward: Care, level: str, at: datetime, respond_by: datetime
) -> None:
    assert (await raise_(ward, level=level, at=at)).respond_by == respond_by


async def test_a_resolved_alert_rests_for_three_days_unless_it_is_urgent_or_worse(ward: Care) -> None:
    first = await resolve(ward, await raise_(ward, level="high"))
    muted = await raise_(ward, level="high", at=NOW + timedelta(hours=71))
    assert (muted.id, muted.status) == (first.id, AlertStatus.RESOLVED)
    assert (await events(ward, first.id))[-1] == "repeated"
    second = await raise_(ward, level="high", at=NOW + timedelta(hours=72))
    assert second.id != first.id
    urgent = await resolve(ward, await raise_(ward, rule_id="ES02", level="urgent_same_day"))
    assert (await raise_(ward, rule_id="ES02", level="urgent_same_day")).id != urgent.id
    mild = await resolve(ward, await raise_(ward, rule_id="ES05", level="routine"))
    assert (await raise_(ward, rule_id="ES05", level="high")).id != mild.id


async def test_findings_of_one_rule_in_one_sweep_become_one_alert(ward: Care) -> None:
    found = alerts.Finding(
        ward.clinic_id, ward.world.alice.id, None, "ES08", "v", AlertLevel.ROUTINE, None, ("check_in", uuid4()), {}
    )
    async with ward.sessions.begin() as session:
        await ward.open(session)
        ids = await alerts.raise_many(session, [found, found], at=NOW)
        assert await alerts.raise_many(session, [], at=NOW) == []
    assert ids[0] == ids[1]
    assert await events(ward, ids[0]) == ["raised", "repeated"]


async def test_an_alert_goes_from_open_to_resolved_step_by_step(ward: Care) -> None:
    alert = await raise_(ward)
    with pytest.raises(alerts.AlertNotAcknowledged):
        await do(ward, alerts.resolve, alert, AlertOutcome.REFERRED, None)
    acknowledged = await do(ward, alerts.acknowledge, alert)
    assert acknowledged.acknowledged_by == ward.bob.account_id
    with pytest.raises(Stale):
        await do(ward, alerts.acknowledge, alert)
    with pytest.raises(alerts.AlertNotOpen):
        await do(ward, alerts.acknowledge, acknowledged)
    with pytest.raises(alerts.AssigneeNotLinked):
        await do(ward, alerts.assign, acknowledged, ward.world.carol.id)
    assigned = await do(ward, alerts.assign, acknowledged, ward.world.bob.id)
    assert (assigned.status, assigned.owner_id) == (AlertStatus.ASSIGNED, ward.world.bob.id)
    done = await do(ward, alerts.resolve, assigned, AlertOutcome.PROGRAM_CHANGED, "Half the repetitions for a week.")
    assert (done.status, done.outcome) == (AlertStatus.RESOLVED, AlertOutcome.PROGRAM_CHANGED)
    for verb, args in ((alerts.resolve, (AlertOutcome.REFERRED, None)), (alerts.assign, (ward.world.bob.id,))):
        with pytest.raises(alerts.AlertNotOpen):
            await do(ward, verb, done, *args)
    assert await events(ward, alert.id) == ["raised", "acknowledged", "assigned", "resolved"]
    ended = await event(ward, alert.id, "resolved")
    assert (ended.inputs, ended.note) == ({"outcome": "program_changed"}, "Half the repetitions for a week.")
    assert (await ward.actions())[-3:] == ["alert.acknowledge", "alert.assign", "alert.resolve"]


async def test_whoever_assigns_an_open_alert_has_seen_it(ward: Care) -> None:
    assigned = await do(ward, alerts.assign, await raise_(ward), ward.world.bob.id)
    assert assigned.acknowledged_by == ward.bob.account_id


async def test_a_red_flags_alert_stays_until_its_screen_is_closed(ward: Care) -> None:
    screen = await ward.screen(yes=["saddle"])
    async with ward.sessions() as session:
        await ward.open(session)
        alert = (await session.scalars(select(Alert).where(Alert.rule_id == alerts.RED_FLAG))).one()
    alert = await do(ward, alerts.acknowledge, alert)
    with pytest.raises(alerts.ScreenStillOpen):
        await do(ward, alerts.resolve, alert, AlertOutcome.SENT_TO_EMERGENCY, None)
    async with ward.sessions.begin() as session:
        await ward.open(session)
        session.add(screen)
        screen.status, screen.outcome = ScreenStatus.CLOSED, ScreenOutcome.SENT_TO_EMERGENCY
        screen.closed_at, screen.closed_by = NOW, ward.bob.account_id
    await do(ward, alerts.resolve, alert, AlertOutcome.SENT_TO_EMERGENCY, None)


async def test_alerts_are_listed_by_what_must_be_answered_first(ward: Care) -> None:
    slow = await raise_(ward, rule_id="ES05", level="routine")
    quick = await raise_(ward, rule_id="ES02", level="urgent_same_day")
    gone = await resolve(ward, await raise_(ward, rule_id="ES12"))
    owned = await do(ward, alerts.assign, slow, ward.world.bob.id)
    async with ward.sessions() as session:
        await ward.open(session)

        async def ids(by: str = "bob", **filters: Any) -> list[UUID]:
            paged = await alerts.browse(session, ward.world.actors[by], Page(), **filters, at=NOW)
            return [row.id for row in paged.items]

        assert await ids() == [quick.id, slow.id]
        assert await ids(status=[AlertStatus.RESOLVED]) == [gone.id]
        assert await ids(level=[AlertLevel.ROUTINE], rule_id="ES05", owner_id=owned.owner_id) == [slow.id]
        assert await ids(patient_id=ward.world.alice.id) == [quick.id, slow.id]
        assert await ids(by="carol") == []
        with pytest.raises(NotFound):
            await ids(by="carol", patient_id=ward.world.alice.id)
        with pytest.raises(Forbidden):
            await ids(by="alice")
        await link(session, ward.world.alice, ward.world.carol, "covering", since=NOW)  # type: ignore[arg-type]
        assert await ids(by="carol") == [quick.id, slow.id]


async def test_an_alert_that_nobody_saw_in_time_is_marked_once_and_reminded_of(ward: Care) -> None:
    alert = await raise_(ward, level="emergency_now")
    await do(ward, alerts.acknowledge, await raise_(ward, rule_id="ES02", level="urgent_same_day"))
    async with ward.sessions.begin() as session:
        await bind_clinic(session, ward.clinic_id)
        assert await alerts.unresolved(session, ward.clinic_id, at=NOW + timedelta(hours=30)) == 1
        marked = [await alerts.mark_overdue(session, at=NOW + timedelta(hours=hours)) for hours in (0.5, 30, 31)]
    assert marked == [0, 1, 0]
    assert (await events(ward, alert.id))[-1] == "overdue"
    assert f"alert_overdue:{alert.id}:emergency_now:2@{ward.bob.account_id}" in await letters(ward), "the whole team"


async def test_an_alert_that_nobody_treats_goes_to_the_clinics_own_address(ward: Care) -> None:
    async with ward.sessions.begin() as session:
        await ward.open(session)
        clinic = await session.get_one(Clinic, ward.clinic_id)
        clinic.email = "desk@example.org"
        for each in await session.scalars(select(CareLink).where(CareLink.clinic_id == ward.clinic_id)):
            each.during = Range(each.during.lower, NOW)
    await raise_(ward, at=NOW, level=AlertLevel.EMERGENCY_NOW)
    async with ward.sessions() as session:
        await ward.open(session)
        letters = list(await session.scalars(select(Notification).where(Notification.clinic_id == ward.clinic_id)))
    assert [(one.account_id, one.address) for one in letters] == [(None, "desk@example.org")]


@pytest.mark.parametrize(
    "changes",
    [{"level": "urgent_same_day"}, {"level": "high", "rule_id": "ES13"}, {"level": "high", "rule_id": "RF12"}],
)
async def test_a_repeat_of_what_is_never_muted_must_be_acknowledged_again_and_is_told_again(
    ward: Care, changes: dict[str, Any]
) -> None:
    first = await raise_(ward, **changes)
    await do(ward, alerts.acknowledge, first)
    later = NOW + timedelta(days=2)
    again = await raise_(ward, at=later, **changes)
    assert (again.id, again.status, again.repeats) == (first.id, AlertStatus.OPEN, 1)
    assert again.respond_by > later
    assert (again.overdue_at, again.escalations, again.escalate_at) == (None, 0, None)
    key = f"alert_raised:{first.id}:{changes['level']}"
    assert await letters(ward) == [key, f"{key}:1"]
    unseen = await raise_(ward, at=later + timedelta(minutes=1), **changes)
    assert unseen.respond_by == again.respond_by, "nobody has looked: its time runs on"
    assert await letters(ward) == [key, f"{key}:1", f"{key}:2"]


async def test_an_overdue_alert_reminds_the_whole_team(ward: Care) -> None:
    async with ward.sessions.begin() as session:
        await ward.open(session)
        await link(session, ward.world.alice, ward.world.carol, CareRole.MEMBER)
    alert = await raise_(ward)
    async with ward.sessions.begin() as session:
        await bind_clinic(session, ward.clinic_id)
        await alerts.mark_overdue(session, at=NOW + timedelta(days=30))
    team = {ward.bob.account_id, ward.world.actors["carol"].account_id}
    assert set(await letters(ward)) == {
        f"alert_raised:{alert.id}:high",
        *(f"alert_overdue:{alert.id}:high:2@{one}" for one in team),
    }


async def test_what_is_overdue_once_more_is_reminded_of_once_more(ward: Care) -> None:
    alert = await raise_(ward, level="urgent_same_day")
    assert await overdue(ward, alert.respond_by) == 1
    await do(ward, alerts.acknowledge, await look(ward, alert.id), at=alert.respond_by)
    again = await raise_(ward, level="urgent_same_day", at=alert.respond_by + timedelta(days=2))
    assert await overdue(ward, again.respond_by) == 1
    reminders = [key for key in await letters(ward) if key.startswith(f"alert_overdue:{alert.id}:urgent_same_day:")]
    assert len(set(reminders)) == 2


@pytest.mark.parametrize(
    ("before", "after"), [({"level": "urgent_same_day"}, "urgent_same_day"), ({"level": "routine"}, "high")]
)
async def test_what_a_finding_opens_again_is_nobodys(ward: Care, before: dict[str, Any], after: str) -> None:
    await do(ward, alerts.acknowledge, await raise_(ward, **before))
    again = await raise_(ward, level=after)
    assert again.status is AlertStatus.OPEN
    assert (again.owner_id, again.acknowledged_at, again.acknowledged_by) == (None, None, None)
    mine = await do(ward, alerts.acknowledge, again)
    kept = await raise_(ward, level="routine")
    assert (kept.status, kept.owner_id, kept.acknowledged_at) == (mine.status, ward.world.bob.id, NOW)


async def test_the_oldest_are_marked_first_and_what_somebody_is_handling_waits_for_the_next_minute(ward: Care) -> None:
    rules = ("ES03", "ES04", "ES12")
    first, second, third = [
        await raise_(ward, rule_id=rule, at=NOW + timedelta(minutes=minute)) for minute, rule in enumerate(rules)
    ]
    late = third.respond_by
    async with ward.sessions.begin() as session:
        await ward.open(session)
        await session.get_one(Alert, (ward.clinic_id, first.id), with_for_update=True)
        assert await overdue(ward, late, limit=1) == 1
        assert (await look(ward, second.id)).overdue_at == late
        await session.get_one(Alert, (ward.clinic_id, third.id), with_for_update=True)
        assert await overdue(ward, late) == 0
    assert await overdue(ward, late) == 2


@pytest.mark.parametrize(
    ("changes", "category", "channel"),
    [
        ({"rule_id": "ES03"}, "alert", "email"),
        ({"rule_id": "ES13"}, "red_flag", "email"),
        ({"rule_id": "RF12"}, "red_flag", "email"),
        ({"rule_id": "ES03", "level": "urgent_same_day"}, "red_flag", "push"),
    ],
)
async def test_what_is_never_muted_goes_out_as_what_nobody_can_switch_off(
    ward: Care, changes: dict[str, Any], category: str, channel: str
) -> None:
    alert = await raise_(ward, **changes)
    await overdue(ward, alert.respond_by)
    async with ward.sessions() as session:
        await ward.open(session)
        rows = await session.scalars(select(Notification).where(Notification.clinic_id == ward.clinic_id))
        found = [(one.template, one.category, one.channel) for one in rows.all()]
    assert sorted(found) == [("alert_overdue", category, channel), ("alert_raised", category, channel)]
