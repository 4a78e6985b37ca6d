import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError
from sqlalchemy import select, update

from core.database import bind_clinic
from core.errors import Forbidden, NotFound, Stale
from models.check_ins import CheckInPlan, CheckInStatus, PlanStatus
from models.episodes import Episode, EpisodeStatus
from schemas.check_ins import PlanChange, PlanIn
from schemas.pages import Page
from services import check_ins
from services.check_ins import plans
from services.episode_gate import EpisodeClosed, EpisodeOnHold
from tests.services.caring import pointers
from tests.services.check_ins.scene import DAY, MONDAY, Scene, berlin


async def test_a_daily_plan_begins_with_the_next_morning_that_is_ahead_on_the_patients_clock(stage: Scene) -> None:
    plan = await stage.plan(at=MONDAY)  # ten in Berlin
    assert (plan.zone, plan.follow_zone) == ("Europe/Berlin", True)
    assert plan.next_on == date(2026, 3, 3)
    assert plan.next_due_at == berlin(3, 8)
    early = await stage.plan(at=berlin(2, 7))
    assert early.next_due_at == berlin(2, 8)
    assert (await stage.care.actions())[-2:] == ["check_in_plan.create", "check_in_plan.create"]


async def test_times_per_week_are_spread_evenly(stage: Scene) -> None:
    plan = await stage.plan(frequency="times_per_week", times_per_week=3)
    assert plan.weekdays == [1, 3, 5]
    assert plan.steps == [2, 1, 2, 1, 3, 2, 1]
    assert plan.next_on == date(2026, 3, 4)


async def test_a_plan_may_begin_later_and_ends_before_its_first_day_is_empty(stage: Scene) -> None:
    plan = await stage.plan(frequency="weekdays", weekdays=[5, 1], starts_on="2026-03-10", zone="Asia/Tokyo")
    assert (plan.next_on, plan.follow_zone, plan.weekdays) == (date(2026, 3, 13), False, [1, 5])
    empty = await stage.plan(frequency="weekdays", weekdays=[1], ends_on="2026-03-05")
    assert empty.next_on is None


@pytest.mark.parametrize(
    ("form", "places"),
    [
        ({"local_time": None}, {"/local_time": "missing"}),
        ({"frequency": "weekdays"}, {"/weekdays": "weekdays"}),
        ({"weekdays": [1]}, {"/weekdays": "weekdays"}),
        ({"frequency": "weekdays", "weekdays": [1, 1]}, {"/weekdays": "repeated"}),
        ({"frequency": "times_per_week"}, {"/times_per_week": "times_per_week"}),
        ({"times_per_week": 2}, {"/times_per_week": "times_per_week"}),
        ({"after_hours": 24}, {"/after_hours": "after_hours"}),
        ({"frequency": "after_session", "after_hours": 12}, {"/after_hours": "after_hours"}),
        ({"starts_on": "2026-03-01"}, {"/starts_on": "in_the_past"}),
        ({"starts_on": "9999-12-30"}, {"/starts_on": "too_far_ahead"}),
        ({"starts_on": "2026-03-05", "ends_on": "2026-03-04"}, {"/ends_on": "before_start"}),
    ],
)
async def test_a_plan_that_does_not_add_up_is_refused_with_its_place(
    stage: Scene, form: dict[str, Any], places: dict[str, str]
) -> None:
    with pytest.raises(plans.PlanRefused) as refused:
        await stage.plan(**form)
    assert pointers(refused.value.problems) == places


@pytest.mark.parametrize("change", [{"zone": "Mars/Olympus"}, {"weekdays": [8]}, {"closes_minutes": 5}, {"late": 1}])
def test_a_form_with_wrong_words_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PlanIn.model_validate({"question_set": "daily", "frequency": "daily", "local_time": "08:00"} | change)


async def test_only_the_therapist_in_charge_plans_and_only_for_an_open_episode(stage: Scene) -> None:
    form = PlanIn.model_validate({"question_set": "daily", "frequency": "daily", "local_time": "08:00"})
    actors = stage.care.world.actors
    async with stage.sessions() as session:
        await bind_clinic(session, stage.clinic_id)
        with pytest.raises(NotFound):
            await plans.create(session, actors["carol"], stage.care.episode_id, form, at=MONDAY)
        with pytest.raises(Forbidden):
            await plans.create(session, actors["alice"], stage.care.episode_id, form, at=MONDAY)
        with pytest.raises(NotFound):
            await plans.create(session, actors["bob"], uuid4(), form, at=MONDAY)
        await session.execute(
            update(Episode)
            .where(Episode.id == stage.care.episode_id)
            .values(status=EpisodeStatus.DISCHARGED, discharged_at=MONDAY)
        )
        with pytest.raises(EpisodeClosed):
            await plans.create(session, actors["bob"], stage.care.episode_id, form, at=MONDAY)
        held = {"status": EpisodeStatus.ON_HOLD, "discharged_at": None}
        await session.execute(update(Episode).where(Episode.id == stage.care.episode_id).values(held))
        with pytest.raises(EpisodeOnHold):
            await plans.create(session, actors["bob"], stage.care.episode_id, form, at=MONDAY)


async def test_a_new_time_counts_from_the_next_local_day_and_takes_forecasts_back(stage: Scene) -> None:
    plan = await stage.plan(at=berlin(2, 7))
    await stage.dispatch(berlin(2, 9))
    assert [(row.local_date.day, row.status) for row in await stage.rows()] == [
        (2, CheckInStatus.OPEN),
        (3, CheckInStatus.DUE),
    ]
    plan = await stage.change(plan, at=berlin(2, 10), local_time="19:30")
    assert [row.local_date.day for row in await stage.rows()] == [2]
    assert plan.next_due_at == berlin(3, 19, 30)
    assert plan.version == 2


async def test_what_was_planned_for_today_stays_when_the_sweep_is_behind(stage: Scene) -> None:
    plan = await stage.plan(at=berlin(2, 7), local_time="20:00")
    await stage.change(plan, at=berlin(2, 10), local_time="09:00")
    assert [row.due_at for row in await stage.rows()] == [berlin(2, 20)]


async def test_a_plan_follows_the_patient_to_his_new_zone_unless_it_has_its_own(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7))
    fixed = await stage.plan(at=berlin(2, 7), zone="Europe/Berlin")
    await stage.dispatch(berlin(2, 9))
    async with stage.sessions.begin() as session:
        await bind_clinic(session, stage.clinic_id)
        alice = stage.care.world.alice.id
        for moved in (1, 0):
            done = await check_ins.follow_zone(
                session, stage.clinic_id, alice, "America/New_York", actor=stage.care.alice, at=berlin(2, 10)
            )
            assert done == moved
    await stage.dispatch(berlin(2, 11))
    following = [row for row in await stage.rows() if row.plan_id != fixed.id]
    assert [(row.local_date.day, row.zone) for row in following] == [(2, "Europe/Berlin")]
    await stage.dispatch(berlin(3, 11))
    following = [row for row in await stage.rows() if row.plan_id != fixed.id]
    assert following[-1].due_at == datetime(2026, 3, 3, 13, tzinfo=UTC)


@pytest.mark.parametrize("verb", ["follow_zone", "follow_episode"])
async def test_plans_are_locked_in_the_order_of_their_ids(stage: Scene, verb: str) -> None:
    first, second = sorted([await stage.plan(at=berlin(2, 7)) for _ in range(2)], key=lambda plan: plan.id)
    await stage.change(first, at=berlin(2, 7), local_time="09:00")  # it stands behind the second now

    async def follow() -> int:
        async with stage.sessions.begin() as session:
            await bind_clinic(session, stage.clinic_id)
            if verb == "follow_zone":
                return await check_ins.follow_zone(
                    session, stage.clinic_id, first.patient_id, "Asia/Tokyo", actor=stage.care.alice, at=berlin(2, 10)
                )
            return await check_ins.follow_episode(
                session, stage.clinic_id, first.episode_id, actor=stage.care.bob, ended=True, at=berlin(2, 10)
            )

    locking = select(CheckInPlan.id).where(CheckInPlan.clinic_id == stage.clinic_id).with_for_update(nowait=True)
    async with stage.sessions.begin() as session:
        await bind_clinic(session, stage.clinic_id)
        await session.execute(locking.where(CheckInPlan.id == first.id))
        waiting = asyncio.ensure_future(follow())
        await asyncio.sleep(0.3)
        assert not waiting.done()
        await session.execute(locking.where(CheckInPlan.id == second.id))  # nobody who waits for the first holds it
    assert await waiting == 2


async def test_days_zone_and_end_can_change_and_what_makes_no_sense_cannot(stage: Scene) -> None:
    plan = await stage.plan()
    plan = await stage.change(plan, frequency="weekdays", weekdays=[3])
    assert plan.next_on == date(2026, 3, 4)
    plan = await stage.change(plan, local_time="07:00")
    assert plan.weekdays == [3]
    plan = await stage.change(plan, zone="Asia/Tokyo", opens_minutes=30)
    assert (plan.follow_zone, plan.next_due_at) == (False, datetime(2026, 3, 3, 22, tzinfo=UTC))
    plan = await stage.change(plan, zone=None, frequency="times_per_week", times_per_week=2)
    assert (plan.follow_zone, plan.zone, plan.weekdays) == (True, "Europe/Berlin", [1, 4])
    plan = await stage.change(plan, frequency="daily")
    assert plan.times_per_week is None
    with pytest.raises(plans.PlanRefused) as refused:
        await stage.change(plan, local_time=None)
    assert pointers(refused.value.problems) == {"/local_time": "missing"}
    newer = await stage.change(plan, ends_on="2026-04-01")
    with pytest.raises(Stale) as refused_stale:
        await stage.change(plan, ends_on=None)
    assert refused_stale.value.current_version == newer.version
    assert (await stage.change(newer, ends_on=None, at=MONDAY + DAY)).ends_on is None


async def test_a_plan_after_sessions_has_no_timetable_to_change(stage: Scene) -> None:
    plan = await stage.plan(question_set="after_session", frequency="after_session", local_time=None)
    with pytest.raises(plans.PlanRefused):
        await stage.change(plan, local_time="08:00")
    assert (await stage.change(plan, after_hours=24)).after_hours == 24


async def test_a_pause_takes_forecasts_back_and_excuses_what_is_open(stage: Scene) -> None:
    plan = await stage.plan(at=berlin(2, 7))
    await stage.dispatch(berlin(2, 9))
    plan = await stage.pause(plan, at=berlin(2, 10))
    with pytest.raises(plans.PlanNotActive):
        await stage.pause(plan, at=berlin(2, 10))
    assert (await stage.dispatch(berlin(5, 9))).materialized == 0
    assert await stage.close(berlin(5, 9)) == check_ins.Closed(missed=0, excused=1, reminders=0, alerts=0)
    plan = await stage.change(plan, at=berlin(5, 9), closes_minutes=600)
    plan = await stage.resume(plan, at=berlin(5, 10))
    assert plan.next_due_at == berlin(6, 8)
    with pytest.raises(plans.PlanNotPaused):
        await stage.resume(plan, at=berlin(5, 10))
    actions = await stage.care.actions()
    assert actions[-3:] == ["check_in_plan.pause", "check_in_plan.update", "check_in_plan.resume"]


async def test_a_paused_plan_may_go_on_with_the_very_same_day(stage: Scene) -> None:
    plan = await stage.plan(at=berlin(2, 7), local_time="20:00")
    await stage.dispatch(berlin(2, 9))
    plan = await stage.pause(plan, at=berlin(2, 10))
    assert await stage.rows() == []
    plan = await stage.resume(plan, at=berlin(2, 11))
    assert plan.next_due_at == berlin(2, 20)


async def test_plans_rest_and_end_with_their_episode(stage: Scene) -> None:
    plan = await stage.plan(at=berlin(2, 7))
    async with stage.sessions.begin() as session:
        await bind_clinic(session, stage.clinic_id)
        held = [
            await check_ins.follow_episode(
                session, stage.clinic_id, stage.care.episode_id, actor=stage.care.bob, ended=False, at=MONDAY
            )
            for _ in range(2)
        ]
        await session.execute(
            update(Episode).where(Episode.id == stage.care.episode_id).values(status=EpisodeStatus.ON_HOLD)
        )
    assert held == [1, 0]
    async with stage.sessions() as session:
        await bind_clinic(session, stage.clinic_id)
        paged = await plans.browse(session, stage.care.bob, stage.care.episode_id, Page(), at=MONDAY)
        (plan,) = paged.items
        assert (plan.status, plan.status_reason) == (PlanStatus.PAUSED, plans.ON_HOLD)
    with pytest.raises(EpisodeOnHold):
        await stage.resume(plan, at=MONDAY + timedelta(hours=1))
    async with stage.sessions.begin() as session:
        await bind_clinic(session, stage.clinic_id)
        ended = await check_ins.follow_episode(
            session, stage.clinic_id, stage.care.episode_id, actor=stage.care.bob, ended=True, at=MONDAY
        )
    assert ended == 1
    assert [each for each in await stage.care.actions() if each.startswith("check_in_plan.")] == [
        "check_in_plan.create",
        "check_in_plan.pause",
        "check_in_plan.end",
    ]
    async with stage.sessions() as session:
        await bind_clinic(session, stage.clinic_id)
        with pytest.raises(plans.PlanNotActive):
            await plans.update(session, stage.care.bob, plan.id, PlanChange(), version=plan.version + 1, at=MONDAY)
