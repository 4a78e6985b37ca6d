"""What patients are told about their check-ins, and what they are spared."""

from datetime import date, timedelta
from typing import Any

import pytest

from clinical import recurrence
from models.check_ins import CheckIn, CheckInStatus
from schemas.check_ins import PlanOut
from schemas.instrument_plans import InstrumentPlanCreate
from services import check_ins, instrument_plans
from services.check_ins import Closed, Dispatched
from services.check_ins.plans import PlanRefused
from tests.services.check_ins.scene import Scene, berlin

MISSED, OPEN, DUE, EXCUSED = CheckInStatus.MISSED, CheckInStatus.OPEN, CheckInStatus.DUE, CheckInStatus.EXCUSED


async def told(stage: Scene) -> list[tuple[str, str]]:
    """Give template and local moment of what the patient is told, the first first."""
    alice = stage.care.world.alice.id
    return [
        (one.template.removeprefix("check_in_"), f"{recurrence.local_time(one.due_at, 'Europe/Berlin'):%d %H:%M}")
        for one in await stage.owed()
        if one.patient_id == alice
    ]


async def outcome(stage: Scene) -> list[tuple[int, CheckInStatus, str | None]]:
    return [(row.local_date.day, row.status, row.excused_reason) for row in await stage.rows()]


async def test_after_six_days_without_a_worker_one_check_in_opens_and_is_told_of_once(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7), notify_on_open=True, remind_after_hours=1)
    assert await stage.dispatch(berlin(2, 7)) == Dispatched(materialized=1, opened=0)
    assert await stage.dispatch(berlin(8, 12)) == Dispatched(materialized=7, opened=1, told=1)
    assert await stage.close(berlin(8, 12)) == Closed(missed=0, excused=1, reminders=0, alerts=0)
    assert await outcome(stage) == [
        *((day, EXCUSED, "outage") for day in range(2, 8)),
        (8, OPEN, None),
        (9, DUE, None),
    ]
    assert await told(stage) == [("open", "08 12:00")]
    assert await stage.dispatch(berlin(8, 13)) == Dispatched(0, 0)
    assert await stage.live(berlin(8, 14), berlin(10, 5)) == Closed(missed=2, excused=0, reminders=1, alerts=0)


async def test_of_windows_that_overlap_only_the_latest_opens_after_an_outage(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7), closes_minutes=6 * 24 * 60)
    await stage.dispatch(berlin(2, 7))  # one is made ahead, and never opened
    await stage.dispatch(berlin(5, 12))
    assert await outcome(stage) == [
        (2, EXCUSED, "outage"),
        (3, EXCUSED, "outage"),
        (4, EXCUSED, "outage"),
        (5, OPEN, None),
        (6, DUE, None),
    ]
    await stage.live(berlin(5, 13), berlin(7, 12))  # without one they stand side by side
    assert [status for _, status, _ in await outcome(stage)][3:] == [OPEN, OPEN, OPEN, DUE]


async def test_what_was_open_before_a_short_outage_is_missed_and_nothing_is_doubled(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7), notify_on_open=True)
    await stage.live(berlin(2, 8), berlin(3, 2))
    assert await stage.dispatch(berlin(3, 8, 30)) == Dispatched(materialized=1, opened=1, told=1)
    assert await stage.close(berlin(3, 8, 30)) == Closed(missed=1, excused=0, reminders=0, alerts=0)
    assert await told(stage) == [("open", "02 08:00"), ("open", "03 08:30")]


async def test_a_phone_that_had_the_check_in_may_still_answer_what_nobody_opened(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7))
    await stage.dispatch(berlin(2, 7))
    await stage.close(berlin(3, 5))
    (row,) = await stage.rows()
    assert (row.status, row.excused_reason) == (EXCUSED, "outage")
    _, new = await stage.answer(row, berlin(3, 6))
    assert new
    assert (await stage.rows())[0].status is CheckInStatus.LATE


async def test_a_check_in_that_opens_is_told_of_once_if_its_plan_asks_for_it(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7), notify_on_open=True)
    await stage.plan(at=berlin(2, 7), question_set="weekly")
    assert await stage.dispatch(berlin(2, 8)) == Dispatched(materialized=4, opened=2, told=1)
    assert await stage.dispatch(berlin(2, 8)) == Dispatched(0, 0)
    (letter,) = await stage.owed()
    row = next(row for row in await stage.rows() if row.question_set == "daily")
    assert (letter.account_id, letter.dedupe_key) == (stage.care.alice.account_id, f"check_in_open:{row.id}")
    assert letter.parameters == {"check_in_id": str(row.id)}


async def test_one_that_waits_is_reminded_of_once_after_the_hours_of_its_plan(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7), remind_after_hours=6)
    await stage.live(berlin(2, 8), berlin(3, 9))
    assert await told(stage) == [("reminder", "02 14:00")]
    today = next(row for row in await stage.rows() if row.local_date.day == 3)
    await stage.answer(today, berlin(3, 10))
    await stage.live(berlin(3, 11), berlin(3, 23))
    assert await told(stage) == [("reminder", "02 14:00")]


async def test_the_check_in_after_a_session_is_reminded_of_too(stage: Scene) -> None:
    plan = await stage.plan(
        question_set="daily", frequency="after_session", local_time=None, after_hours=24, remind_after_hours=2
    )
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        ended = berlin(2, 9)
        await check_ins.after_session(session, stage.clinic_id, plan.patient_id, plan.id, ended_at=ended, at=ended)
    await stage.live(berlin(2, 9), berlin(3, 20))
    assert await told(stage) == [("reminder", "03 11:00")]


async def test_a_reminder_of_an_instrument_takes_none_of_the_week_away(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7), remind_after_hours=2, reminders_per_week=1)
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        asked = InstrumentPlanCreate(instrument="rmdq24")
        await instrument_plans.create(session, stage.care.bob, stage.care.episode_id, asked, at=berlin(2, 7))
        assert await instrument_plans.remind(session, stage.clinic_id, at=berlin(2, 7)) == 1
    await stage.live(berlin(2, 8), berlin(2, 12))
    assert await told(stage) == [("reminder", "02 07:00"), ("reminder", "02 10:00")]


async def test_no_more_reminders_in_a_local_week_than_agreed(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7), remind_after_hours=2, reminders_per_week=2)
    await stage.live(berlin(2, 8), berlin(9, 12))  # 2 and 9 are Mondays
    assert await told(stage) == [("reminder", "02 10:00"), ("reminder", "03 10:00"), ("reminder", "09 10:00")]


async def test_plans_that_remind_in_the_same_minute_share_the_weeks_number(stage: Scene) -> None:
    for questions in ("daily", "weekly"):
        await stage.plan(at=berlin(2, 7), question_set=questions, remind_after_hours=2, reminders_per_week=1)
    await stage.live(berlin(2, 8), berlin(2, 12))
    assert await told(stage) == [("reminder", "02 10:00")]


async def test_a_muted_plan_asks_and_sends_nothing_until_its_day(stage: Scene) -> None:
    plan = await stage.plan(at=berlin(2, 7), notify_on_open=True, remind_after_hours=2)
    await stage.change(plan, at=berlin(2, 7), muted_until="2026-03-05")
    assert await stage.live(berlin(2, 8), berlin(5, 7)) == Closed(missed=3, excused=0, reminders=0, alerts=1)
    assert await told(stage) == []
    await stage.live(berlin(5, 8), berlin(5, 12))
    assert await told(stage) == [("open", "05 08:00"), ("reminder", "05 10:00")]


async def test_days_off_that_were_agreed_are_quiet_and_excused_and_may_be_answered(stage: Scene) -> None:
    plan = await stage.plan(at=berlin(2, 7), notify_on_open=True, remind_after_hours=2)
    plan = await stage.change(
        plan,
        at=berlin(2, 7),
        holidays=[
            {"first_on": "2026-03-04", "last_on": "2026-03-04"},
            {"first_on": "2026-03-03", "last_on": "2026-03-03"},
            {"first_on": "2026-07-06", "last_on": "2026-07-19"},
        ],
    )
    shown = PlanOut.model_validate(plan)
    assert [(one.first_on, one.last_on) for one in shown.holidays] == [
        (date(2026, 3, 3), date(2026, 3, 4)),
        (date(2026, 7, 6), date(2026, 7, 19)),
    ]
    await stage.live(berlin(2, 8), berlin(4, 8))
    fourth = next(row for row in await stage.rows() if row.local_date.day == 4)
    await stage.answer(fourth, berlin(4, 9))
    await stage.live(berlin(4, 10), berlin(6, 5))
    assert await outcome(stage) == [
        (2, MISSED, None),
        (3, EXCUSED, "holiday_agreed"),
        (4, CheckInStatus.SUBMITTED, None),
        (5, MISSED, None),
        (6, DUE, None),
    ]
    opened = [when for template, when in await told(stage) if template == "open"]
    assert opened == ["02 08:00", "05 08:00"]
    gone = await stage.change(plan, at=berlin(6, 6), holidays=[])
    assert PlanOut.model_validate(gone).holidays == []


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [({"holidays": None}, "/holidays"), ({"notify_on_open": None}, "/notify_on_open")],
)
async def test_what_cannot_be_empty_is_not_emptied(stage: Scene, changes: dict[str, Any], pointer: str) -> None:
    plan = await stage.plan(at=berlin(2, 7))
    with pytest.raises((PlanRefused, ValueError)) as refused:
        await stage.change(plan, at=berlin(2, 7), **changes)
    assert pointer.strip("/") in str(getattr(refused.value, "problems", refused.value))


async def test_a_reminder_is_taken_back_by_emptying_its_field(stage: Scene) -> None:
    plan = await stage.plan(at=berlin(2, 7), remind_after_hours=2, reminders_per_week=3, muted_until="2026-03-02")
    plan = await stage.change(plan, at=berlin(2, 7), remind_after_hours=None, reminders_per_week=None, muted_until=None)
    assert (plan.remind_after_hours, plan.reminders_per_week, plan.muted_until) == (None, None, None)
    await stage.live(berlin(2, 8), berlin(2, 12))
    assert await told(stage) == []


@pytest.mark.parametrize(("zone", "first_after"), [("Pacific/Auckland", 3), ("America/Los_Angeles", 3)])
async def test_a_new_zone_counts_from_the_next_local_day_and_no_day_is_asked_twice(
    stage: Scene, zone: str, first_after: int
) -> None:
    plan = await stage.plan(at=berlin(2, 7))
    await stage.dispatch(berlin(2, 9))
    await stage.change(plan, at=berlin(2, 12), zone=zone)
    await stage.dispatch(berlin(2, 12) + timedelta(hours=30))
    rows = await stage.rows()
    assert (rows[0].zone, rows[0].local_date.day) == ("Europe/Berlin", 2)
    after: list[CheckIn] = rows[1:]
    assert [row.local_date.day for row in after] == list(range(first_after, first_after + len(after)))
    for row in after:
        assert recurrence.local_time(row.due_at, zone).strftime("%d %H:%M") == f"0{row.local_date.day} 08:00"


@pytest.mark.parametrize("times", range(1, 8))
def test_times_per_week_keep_the_widest_gap_that_there_is(times: int) -> None:
    days = recurrence.spread(times)
    gaps = [(after - before - 1) % 7 + 1 for before, after in zip(days, (*days[1:], days[0]), strict=True)]
    assert min(gaps) == 7 // times
    assert max(gaps) - min(gaps) <= 1
