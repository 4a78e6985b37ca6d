"""Goals, habits and small victories over weeks: read from what was answered and done, and corrected by corrections."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

import pytest

from core.database import Sessions
from models.check_ins import CheckInStatus
from schemas.factors import Factors
from schemas.goals import GoalChange, GoalCreate, GoalRead, MilestoneCreate
from schemas.lifestyle import Achievements, LifestyleTargetCreate, LifestyleTargetRead
from schemas.pages import Page
from services import achievements, factors, goals, lifestyle, milestones
from tests.factories import NOW
from tests.services.caring import Care, care
from tests.services.histories import check_in, exercised, morning, outcome, roland
from tests.services.test_reports import made as made_report

MONDAY = NOW.date()
DAY = timedelta(days=1)


@pytest.fixture
async def world(sessions: Sessions) -> Care:
    return await care(sessions)


def on(number: int) -> date:
    return MONDAY + number * DAY


async def set_goal(world: Care, statement: str, day: date = MONDAY, **form: object) -> GoalRead:
    async with world.sessions.begin() as session:
        await world.open(session)
        form_ = GoalCreate.model_validate({"statement": statement, **form})
        return await goals.create(session, world.bob, world.episode_id, form_, at=morning(day))


async def goals_on(world: Care, day: date) -> list[GoalRead]:
    async with world.sessions.begin() as session:
        await world.open(session)
        found = await goals.browse(session, world.alice, world.episode_id, Page(), status=None, at=morning(day, 20))
        return list(found.items)


async def achieved(world: Care, day: date) -> Achievements:
    async with world.sessions.begin() as session:
        await world.open(session)
        patient_id: UUID = world.world.alice.id
        return await achievements.get(session, world.alice, patient_id, episode_id=None, at=morning(day, 20))


def victories(found: Achievements) -> list[tuple[str, int | None, date]]:
    return [(one.kind, one.count, one.on) for one in found.victories]


# ------------------------------------------------------------------ goals
async def test_a_corrected_outcome_corrects_how_far_a_goal_is(world: Care) -> None:
    await outcome(world, MONDAY, "rmdq24", roland(14))
    await set_goal(world, "Less disabled", measure="rmdq24", target=4, due_on=on(20).isoformat())
    wrong = await outcome(world, on(7), "rmdq24", roland(3))
    (goal,) = await goals_on(world, on(8))
    far = goal.achievement
    assert (far.baseline, far.current, far.current_on, far.percent) == (14, 3, on(7), 100)
    assert (far.reached_on, far.holds, far.overdue) == (on(7), True, False)
    await outcome(world, on(7), "rmdq24", roland(9), supersedes=wrong)
    (goal,) = await goals_on(world, on(21))
    assert (goal.achievement.current, goal.achievement.percent) == (9, 50)
    assert (goal.achievement.reached_on, goal.achievement.overdue) == (None, True)
    assert goal.version == 1, "how far it is, is kept nowhere"
    async with world.sessions.begin() as session:
        await world.open(session)
        change = GoalChange.model_validate({"status": "not_achieved"})
        await goals.update(session, world.bob, goal.id, change, version=1, at=morning(on(22)))
    await outcome(world, on(30), "rmdq24", roland(0))
    (goal,) = await goals_on(world, on(31))
    assert (goal.achievement.current, goal.achievement.overdue) == (9, False), "a closed goal stays as it was"


async def test_a_daily_goal_follows_the_median_of_a_week_and_stands_in_the_report(world: Care) -> None:
    for number, hours in enumerate([5, 6, 5, 5.5, 2, 6, 7, 7, 7, 3, 8, 7]):
        await check_in(world, on(number), pain_now=4, sleep_hours=hours)
    await set_goal(world, "Sleep better", on(3), measure="sleep_hours", target=7)
    await check_in(world, on(11), question_set="weekly", pain_now=4, sleep_hours=1)  # the daily answer tells of its day
    await check_in(world, on(11), CheckInStatus.LATE, answered_at=morning(on(12)), pain_now=4, sleep_hours=1)
    (goal,) = await goals_on(world, on(11))
    far = goal.achievement
    assert (far.baseline, far.current, far.current_on) == (5.25, 7, on(11)), "bad nights move nothing"
    assert (far.percent, far.reached_on, far.holds) == (100, on(10), True)
    (said,) = (await made_report(world)).snapshot.goals
    assert (said.measure, said.unit, said.baseline, said.target) == ("Sleep", "h", 5.25, 7)


async def test_how_far_a_goal_came_does_not_fade_over_the_years(world: Care) -> None:
    for number, hours in enumerate([5, 5, 5, 5, 8, 8, 8, 8, 8, 8, 8]):
        await check_in(world, on(number), pain_now=4, sleep_hours=hours)
    await set_goal(world, "Sleep better", on(3), measure="sleep_hours", target=7)
    closed = await set_goal(world, "Sleep well", on(3), measure="sleep_hours", target=8)
    async with world.sessions.begin() as session:
        await world.open(session)
        change = GoalChange.model_validate({"status": "achieved"})
        await goals.update(session, world.bob, closed.id, change, version=1, at=morning(on(10)))
    soon = [goal.achievement for goal in await goals_on(world, on(10))]
    assert [far.percent for far in soon] == [100, 100]
    assert [goal.achievement for goal in await goals_on(world, on(500))] == soon


# ------------------------------------------------------------------ small victories
async def test_a_streak_forgives_rest_and_victories_have_their_day(world: Care) -> None:
    program = await world.running()  # twice a day from Monday to Friday
    for number in range(5):
        await exercised(world, program, on(number))
        if number > 0:
            await exercised(world, program, on(number), slot=2)
    found = await achieved(world, on(7))
    assert (found.streak.days, found.streak.since, found.streak.longest, found.sessions) == (5, MONDAY, 5, 9)
    await exercised(world, program, on(7), slot=2)
    assert (await achieved(world, on(7))).streak.days == 6, "the weekend is nobody's fault, and one of two is half"
    found = await achieved(world, on(9))
    assert (found.streak.days, found.streak.since, found.streak.longest) == (0, None, 6)
    assert victories(found) == [("sessions", 10, on(7)), ("streak_days", 3, on(2)), ("sessions", 1, MONDAY)]


async def test_goals_milestones_and_important_changes_are_victories_until_they_are_corrected(world: Care) -> None:
    await outcome(world, MONDAY, "rmdq24", roland(14))
    goal = await set_goal(world, "Less disabled", measure="rmdq24", target=4)
    async with world.sessions.begin() as session:
        await world.open(session)
        form = MilestoneCreate(statement="Half of it", target=8)
        await milestones.create(session, world.bob, goal.id, form, at=morning(MONDAY))
    await check_in(world, on(1), pain_now=3)
    better = await outcome(world, on(7), "rmdq24", roland(3))
    found = await achieved(world, on(8))
    assert sorted(victories(found), key=str) == [
        ("check_ins", 1, on(1)),
        ("goal", None, on(7)),
        ("important_change", None, on(7)),
        ("milestone", None, on(7)),
    ]
    assert {one.goal_id for one in found.victories} == {goal.id, None}
    await outcome(world, on(7), "rmdq24", roland(12), supersedes=better)
    assert victories(await achieved(world, on(8))) == [("check_ins", 1, on(1))]
    assert "achievement.read" in await world.actions()


# ------------------------------------------------------------------ habits and factors
async def test_a_habit_is_held_against_its_target_with_a_trend_and_its_source(world: Care) -> None:
    for number in range(14):
        answers: dict[str, Any] = {"activity_source": "device"} if number > 10 else {}
        await check_in(world, on(number), pain_now=3, steps=4000 + 300 * number, **answers)
    await check_in(world, on(13), question_set="after_session", pain_now=3, steps=1)
    async with world.sessions.begin() as session:
        await world.open(session)
        for kind, target in (("steps", 7000), ("stress", 3)):
            form = LifestyleTargetCreate.model_validate({"kind": kind, "target": target})
            await lifestyle.create(session, world.bob, world.episode_id, form, at=morning(on(2)))
        found = await lifestyle.browse(session, world.alice, world.episode_id, Page(), at=morning(on(13), 20))
    steps, stress = found.items
    _hold(steps)
    assert (stress.progress.window_days, stress.progress.reached, stress.progress.points) == (28, None, [])


def _hold(steps: LifestyleTargetRead) -> None:
    told = steps.progress
    assert (told.days_answered, told.days_reached, told.reached) == (7, 4, True)
    assert (told.trend.direction, told.trend.recent, told.trend.before) == ("better", 7000, 4900)
    assert told.trend.slope_per_week == 2100
    assert [each.source for each in told.points[-4:]] == [None, "device", "device", "device"]


async def test_medicine_and_pain_are_shown_side_by_side(world: Care) -> None:
    await check_in(world, on(0), pain_now=5)
    await check_in(world, on(1), question_set="weekly", pain_now=6, medicine_use="more", opioid_use=False)
    await check_in(world, on(8), question_set="weekly", pain_now=3, medicine_use="less", opioid_use=False)
    async with world.sessions.begin() as session:
        await world.open(session)
        patient_id = world.world.alice.id
        found: Factors = await factors.get(
            session, world.bob, patient_id, first=MONDAY, last=on(8), episode_id=None, at=morning(on(8), 20)
        )
    assert [(each.on, each.medicine_use) for each in found.medicine] == [(on(1), "more"), (on(8), "less")]
    assert [each.value for each in found.pain] == [5, 6, None, None, None, None, None, None, 3]
