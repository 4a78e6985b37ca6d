import asyncio
from dataclasses import astuple
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import Range

from clinical import recurrence
from clinical.program_life import ProgramStatus
from core.database import Sessions, bind_clinic, make_engine, make_sessions
from models.alerts import AlertLevel
from models.check_ins import CheckInPlan, CheckInStatus
from models.episodes import Episode, EpisodeStatus
from models.events import Event
from models.programs import Program, ProgramPause
from schemas.check_ins import PlanIn
from services import check_ins
from services.check_ins import Closed, Dispatched, plans
from tests.conftest import Database
from tests.services.caring import waiting_for_a_lock
from tests.services.check_ins.scene import DAY, Scene, berlin, scene


async def test_a_check_in_is_made_a_day_ahead_opens_closes_and_is_missed(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7), opens_minutes=60)
    assert await stage.dispatch(berlin(2, 6)) == Dispatched(materialized=1, opened=0)
    assert await stage.dispatch(berlin(2, 6)) == Dispatched(materialized=0, opened=0)
    (row,) = await stage.rows()
    assert (row.opens_at, row.due_at) == (berlin(2, 7), berlin(2, 8))
    assert (row.closes_at, row.late_until) == (berlin(3, 4), berlin(4, 4))
    assert await stage.dispatch(berlin(2, 7)) == Dispatched(materialized=0, opened=1)
    assert await stage.close(berlin(3, 3)) == Closed(0, 0, 0, 0)
    assert await stage.close(berlin(3, 4)) == Closed(missed=1, excused=0, reminders=0, alerts=0)
    assert await stage.close(berlin(3, 4)) == Closed(0, 0, 0, 0)
    assert [one.status for one in await stage.rows()] == [CheckInStatus.MISSED]


async def test_what_a_sweep_does_is_left_for_the_live_updates(stage: Scene) -> None:
    plan = await stage.plan(at=berlin(2, 7), opens_minutes=60)
    await stage.dispatch(berlin(2, 6))
    await stage.dispatch(berlin(2, 7))
    await stage.dispatch(berlin(2, 9))
    await stage.close(berlin(3, 4))
    await stage.dispatch(berlin(3, 7))
    await stage.pause(plan, at=berlin(3, 8))
    await stage.close(berlin(4, 4))
    missed, excused = await stage.rows()
    async with stage.sessions() as session:
        await bind_clinic(session, stage.clinic_id)
        left = list(await session.scalars(select(Event).order_by(Event.xid, Event.id)))
    assert [(each.action, each.resource_id, each.at) for each in left] == [
        ("check_in.open", missed.id, berlin(2, 7)),
        ("check_in.miss", missed.id, berlin(3, 4)),
        ("check_in.open", excused.id, berlin(3, 7)),
        ("check_in.excuse", excused.id, berlin(4, 4)),
    ]
    assert {each.patient_id for each in left} == {missed.patient_id}


async def test_a_plan_ends_on_its_last_day(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7), ends_on="2026-03-03")
    await stage.dispatch(berlin(9, 9))
    assert [row.local_date.day for row in await stage.rows()] == [2, 3]


async def test_what_is_there_already_is_kept_and_the_rest_is_made(stage: Scene) -> None:
    again, other = await stage.plan(at=berlin(2, 7)), await stage.plan(at=berlin(2, 7))
    await stage.dispatch(berlin(2, 6))
    before = await stage.rows()
    async with stage.sessions.begin() as session:  # as when a plan was changed and comes to a day for the second time
        await bind_clinic(session, stage.clinic_id)
        back = update(CheckInPlan).where(CheckInPlan.id == again.id)
        await session.execute(back.values(next_on=berlin(2, 8).date(), next_due_at=berlin(2, 8)))
    assert (await stage.dispatch(berlin(3, 6))).materialized == 2
    rows = await stage.rows()
    assert [row.id for row in rows if row.local_date.day == 2] == [row.id for row in before]
    assert {row.plan_id for row in rows if row.local_date.day == 3} == {again.id, other.id}


async def test_misses_in_a_row_escalate_each_once(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7))
    assert await stage.live(berlin(2, 8), berlin(9, 9)) == Closed(missed=7, excused=0, reminders=1, alerts=2)
    rows = await stage.rows()
    assert [row.status for row in rows] == [CheckInStatus.MISSED] * 7 + [CheckInStatus.OPEN, CheckInStatus.DUE]
    raised = await stage.alerts()
    assert [(one.rule_id, one.level, one.task, one.inputs, one.source_id) for one in raised] == [
        ("ES08", AlertLevel.ROUTINE, "task_therapist_message", {"missed_in_a_row": 3}, rows[2].id),
        ("ES09", AlertLevel.HIGH, "task_therapist_call", {"missed_in_a_row": 5}, rows[4].id),
    ]
    assert [(one.template, one.dedupe_key) for one in await stage.owed()] == [
        ("check_in_reminder", f"check_in_reminder:{rows[1].id}"),
        ("alert_raised", f"alert_raised:{raised[1].id}:high"),
    ]
    assert await stage.live(berlin(9, 10), berlin(12, 9)) == Closed(missed=3, excused=0, reminders=0, alerts=0)


async def test_an_answer_ends_the_streak_and_an_excused_day_neither_ends_nor_adds(stage: Scene) -> None:
    plan = await stage.plan(at=berlin(2, 7))
    await stage.live(berlin(2, 9), berlin(4, 9))  # 2 and 3 missed
    plan = await stage.pause(plan, at=berlin(4, 10))
    assert (await stage.close(berlin(5, 5))).excused == 1
    await stage.resume(plan, at=berlin(5, 7))
    assert await stage.live(berlin(5, 8), berlin(6, 7)) == Closed(missed=1, excused=0, reminders=0, alerts=1)
    await stage.dispatch(berlin(6, 9))
    today = next(row for row in await stage.rows() if row.local_date.day == 6)
    await stage.answer(today, berlin(6, 10))
    assert await stage.live(berlin(6, 11), berlin(9, 5)) == Closed(missed=2, excused=0, reminders=1, alerts=0)


async def _rest_program(stage: Scene, values: dict[str, Any]) -> None:
    async with stage.sessions.begin() as session:
        await bind_clinic(session, stage.clinic_id)
        program = Program(
            clinic_id=stage.clinic_id,
            patient_id=stage.care.world.alice.id,
            episode_id=stage.care.episode_id,
            title="At home",
            status=ProgramStatus.PAUSED,
        )
        session.add(program)
        await session.flush()
        session.add(ProgramPause(clinic_id=stage.clinic_id, program_id=program.id, **values))


async def test_nobody_is_expected_to_answer_while_the_program_rests(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7))
    day = berlin(2, 8).date()
    await _rest_program(
        stage, {"reason": "red_flag_suspended", "during": Range(day, day + DAY), "began_at": berlin(2, 7)}
    )
    assert await stage.live(berlin(2, 8), berlin(5, 9)) == Closed(missed=2, excused=1, reminders=1, alerts=0)
    assert (await stage.rows())[0].excused_reason == "red_flag_suspended"


async def test_nobody_is_expected_to_answer_while_the_episode_rests(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7))
    await stage.dispatch(berlin(2, 9))
    async with stage.sessions.begin() as session:
        await bind_clinic(session, stage.clinic_id)
        await session.execute(
            update(Episode).where(Episode.id == stage.care.episode_id).values(status=EpisodeStatus.ON_HOLD)
        )
    assert (await stage.close(berlin(3, 9))).excused == 1
    assert (await stage.rows())[0].excused_reason == "episode_on_hold"


async def test_a_session_is_asked_about_once_per_plan_each_in_a_slot_of_its_own(stage: Scene) -> None:
    now = await stage.plan(question_set="after_session", frequency="after_session", local_time=None)
    await stage.plan(question_set="daily", frequency="after_session", local_time=None, after_hours=24)
    await stage.plan(frequency="after_session", local_time=None, starts_on="2026-04-01")
    first, second = (row_id for row_id in (now.id, now.episode_id))
    made = []
    async with stage.sessions.begin() as session:
        await bind_clinic(session, stage.clinic_id)
        alice = stage.care.world.alice.id
        for session_id, at in ((first, berlin(2, 9)), (first, berlin(2, 9)), (second, berlin(2, 18))):
            made.append(await check_ins.after_session(session, stage.clinic_id, alice, session_id, ended_at=at, at=at))
        answerable = await check_ins.open_for(session, stage.clinic_id, alice, at=berlin(2, 19))
    assert made == [2, 0, 2]
    assert [row.slot for row in answerable] == [1, 2]
    rows = await stage.rows()
    assert [(row.local_date.day, row.slot, row.status) for row in rows] == [
        (2, 1, CheckInStatus.OPEN),
        (2, 2, CheckInStatus.OPEN),
        (3, 1, CheckInStatus.DUE),
        (3, 2, CheckInStatus.DUE),
    ]
    assert rows[2].due_at == berlin(3, 9)


async def test_of_a_session_that_arrives_late_only_what_can_still_be_answered_is_asked(stage: Scene) -> None:
    await stage.plan(question_set="after_session", frequency="after_session", local_time=None, closes_minutes=60)
    await stage.plan(question_set="daily", frequency="after_session", local_time=None)
    async with stage.sessions.begin() as session:
        await bind_clinic(session, stage.clinic_id)
        made = [
            await check_ins.after_session(
                session, stage.clinic_id, stage.care.world.alice.id, uuid4(), ended_at=berlin(2, hour), at=berlin(2, 12)
            )
            for hour in (8, 9, 10, 11)
        ]
    assert made == [1, 1, 1, 1]
    assert {row.question_set for row in await stage.rows()} == {"daily"}
    assert await stage.close(berlin(2, 13)) == Closed(0, 0, 0, 0)


async def test_after_an_outage_batches_do_what_one_sweep_would(stage: Scene) -> None:
    for minute in range(3):
        await stage.plan(
            at=berlin(2, 7), local_time=f"08:0{minute}", notify_on_open=True, remind_after_hours=1, closes_minutes=10080
        )
    await stage.dispatch(berlin(2, 7))
    done = [Dispatched(0, 0, more=True)]
    while done[-1].more:
        async with stage.sessions.begin() as session:
            await bind_clinic(session, stage.clinic_id)
            done.append(await check_ins.dispatch(session, at=berlin(5, 12), limit=2))
    # Four further days are made, the first one's are excused, the last one's open; then nothing is left.
    made, opened = [each.materialized for each in done[1:]], [each.opened for each in done[1:]]
    assert (made, opened) == ([2] * 6 + [0] * 4, [0] * 7 + [1, 2, 0])
    rows = await stage.rows()
    assert [(row.local_date.day, row.status, row.excused_reason) for row in rows] == [
        *[(day, CheckInStatus.EXCUSED, "outage") for day in (2, 3, 4) for _ in range(3)],
        *[(5, CheckInStatus.OPEN, None)] * 3,
        *[(6, CheckInStatus.DUE, None)] * 3,
    ]
    assert [one.template for one in await stage.owed()] == ["check_in_open"] * 3


async def test_reminders_of_different_batches_share_the_patients_week(stage: Scene) -> None:
    for minute in range(5):
        await stage.plan(at=berlin(2, 7), local_time=f"08:0{minute}", remind_after_hours=1, reminders_per_week=3)
    await stage.dispatch(berlin(2, 8, 30))
    told = []
    for _ in range(3):
        async with stage.sessions.begin() as session:
            await bind_clinic(session, stage.clinic_id)
            told.append(await check_ins.dispatch(session, at=berlin(2, 10), limit=2))
    assert [(each.told, each.more) for each in told] == [(2, True), (1, True), (0, False)]


@pytest.fixture
def roles(fresh_database: Database) -> dict[str, Sessions]:
    return {
        role: make_sessions(make_engine(getattr(fresh_database, role), pool_size=2))
        for role in ("api", "sweeper", "worker")
    }


async def test_a_batch_ends_amid_plans_that_are_due_at_the_same_instant(roles: dict[str, Sessions]) -> None:
    scenes = [await scene(roles["api"], name=name) for name in ("Riverside", "Hillside")]
    for each in scenes:
        for _ in range(5):
            await each.plan(at=berlin(2, 7))
    made = [3]
    while made[-1] == 3:
        async with roles["sweeper"].begin() as session:
            made.append(await check_ins.materialize(session, at=berlin(3, 7), limit=3))
    assert made == [3] + [3] * 6 + [2]  # two days of ten plans
    for each in scenes:
        days: dict[UUID, list[int]] = {}
        for row in await each.rows():
            assert row.plan_id is not None
            days.setdefault(row.plan_id, []).append(row.local_date.day)
        assert sorted(map(tuple, days.values())) == [(2, 3)] * 5


@pytest.mark.parametrize("limit", [1, 2, 4, 5])
async def test_a_batch_that_goes_round_makes_no_more_than_its_limit(roles: dict[str, Sessions], limit: int) -> None:
    stage = await scene(roles["api"], name="Riverside")
    for _ in range(3):
        await stage.plan(at=berlin(2, 7))
    made = [limit]
    while made[-1] == limit:
        async with roles["sweeper"].begin() as session:
            made.append(await check_ins.materialize(session, at=berlin(5, 7), limit=limit))
    assert max(made) == limit
    assert sum(made[1:]) == 12  # four days of three plans


async def test_a_plan_that_comes_into_a_batch_is_made_with_it(roles: dict[str, Sessions]) -> None:
    stage = await scene(roles["api"], name="Riverside")
    for _ in range(2):
        await stage.plan(at=berlin(2, 7))

    async def sweep() -> list[Dispatched]:
        done = [Dispatched(0, 0, more=True)]
        while done[-1].more:
            async with roles["sweeper"].begin() as session:
                done.append(await check_ins.dispatch(session, at=berlin(2, 7), limit=2))
        return done[1:]

    async with roles["api"].begin() as session:
        await bind_clinic(session, stage.clinic_id)
        await session.execute(text("LOCK TABLE check_in_plans IN SHARE MODE"))  # a batch may be found, but not made
        sweeping = asyncio.create_task(sweep())
        await waiting_for_a_lock(session)
        form = PlanIn.model_validate({"question_set": "daily", "frequency": "daily", "local_time": "07:30"})
        await plans.create(session, stage.care.bob, stage.care.episode_id, form, at=berlin(2, 7))
    assert await sweeping == [Dispatched(3, 0, more=True), Dispatched(0, 0)]
    assert len(await stage.rows()) == 3


async def test_a_day_that_the_zone_never_had_is_not_asked_about(stage: Scene) -> None:
    plan = await stage.plan(at=berlin(2, 7), zone="Pacific/Apia")
    first = date(2011, 12, 29)
    async with stage.sessions.begin() as session:
        await bind_clinic(session, stage.clinic_id)
        due = recurrence.instant(first, plan.local_time, plan.zone)
        back = update(CheckInPlan).where(CheckInPlan.id == plan.id)
        await session.execute(back.values(next_on=first, next_due_at=due))
    await stage.dispatch(datetime(2011, 12, 31, tzinfo=UTC))
    assert [row.local_date.day for row in await stage.rows()] == [29, 31, 1]  # there was no 30th


async def test_the_sweeper_does_for_all_clinics_what_a_clinic_does_for_itself(roles: dict[str, Sessions]) -> None:
    scenes = [await scene(roles["api"], name=name) for name in ("Riverside", "Hillside")]
    for each in scenes:
        await each.plan(at=berlin(2, 7))
    at = berlin(9, 9)
    async with roles["sweeper"].begin() as session:
        for each in scenes:
            assert await check_ins.backlog(session, each.clinic_id, at=at) == (1, berlin(2, 8))
        assert await check_ins.dispatch(session, at=at) == Dispatched(materialized=18, opened=2)
    closed = [Closed(0, 0, 0, 0)]
    for hours in range(5 * 24):
        async with roles["sweeper"].begin() as session:
            await check_ins.dispatch(session, at=at + hours * timedelta(hours=1))
            closed.append(await check_ins.close_due(session, at=at + hours * timedelta(hours=1)))
    sums = [sum(column) for column in zip(*map(astuple, closed), strict=True)]
    assert sums == [10, 0, 2, 4]  # missed, excused, reminders, alerts
    at += timedelta(hours=5 * 24 - 1)
    for each in scenes:
        assert [one.rule_id for one in await each.alerts()] == ["ES08", "ES09"]
        assert (await each.dispatch(at)) == Dispatched(0, 0)
        assert len(await each.owed()) == 2
    async with roles["sweeper"].begin() as session:
        assert await check_ins.backlog(session, scenes[0].clinic_id, at=at) == (0, None)
        found = await check_ins.dispatch(session, at=at + timedelta(minutes=1))
        assert found == Dispatched(0, 0)
    for sessions in roles.values():
        await sessions.kw["bind"].dispose()
