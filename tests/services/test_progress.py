"""How a patient is doing: what was answered, done and planned, and what is missing."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from core.database import Sessions
from core.errors import NotFound
from models.check_ins import CheckInStatus
from models.episodes import Episode, EpisodeStatus
from schemas.programs import ProgramPauseIn, ProgramReason
from schemas.progress import ChangeRule, Flare, Progress
from services import programs, progress
from services.progress import PeriodRefused
from tests.factories import NOW, link, make_patient
from tests.services.caring import DAY, Care, care, pointers
from tests.services.histories import check_in, exercised, morning, outcome, plan, roland, specific

MONDAY = NOW.date()
"""2 March 2026; the program of `care` begins on this day."""
SUNDAY = MONDAY + timedelta(days=6)
NEXT_MONDAY = morning(SUNDAY + DAY, 9)


def on(number: int) -> date:
    """Give a day of the first week, 0 being Monday."""
    return MONDAY + timedelta(days=number)


async def seen(
    world: Care,
    first: date | None = MONDAY,
    last: date | None = SUNDAY,
    *,
    at: datetime = NEXT_MONDAY,
    who: str = "bob",
    episode_id: UUID | None = None,
    patient_id: UUID | None = None,
) -> Progress:
    async with world.sessions.begin() as session:
        await world.open(session)
        return await progress.get(
            session,
            world.world.actors[who],
            patient_id or world.world.alice.id,
            first=first,
            last=last,
            episode_id=episode_id,
            at=at,
        )


def values(series: Any) -> list[float | None]:
    return [point.value for point in series.points]


@pytest.fixture
async def world(sessions: Sessions) -> Care:
    return await care(sessions)


# ------------------------------------------------------------------ series
async def test_a_day_without_an_answer_is_a_point_without_a_value(world: Care) -> None:
    await check_in(world, on(0), pain_now=6, pain_worst_24h=8, function_limit=7, sleep_hours=6.5, sleep_quality=4)
    await check_in(world, on(2), pain_now=0, function_limit=3)
    made = await seen(world)
    assert [point.on for point in made.pain.now.points] == [on(number) for number in range(7)]
    assert values(made.pain.now) == [6, None, 0, None, None, None, None]
    assert values(made.pain.worst_24h)[:3] == [8, None, None]
    assert values(made.function)[:3] == [7, None, 3]
    assert values(made.sleep.hours)[:3] == [6.5, None, None]
    assert values(made.sleep.quality)[:3] == [4, None, None]
    assert (made.pain.now.minimum, made.pain.now.maximum, made.pain.now.unit) == (0, 10, "0-10")
    assert (made.sleep.hours.unit, made.sleep.hours.higher_is_better) == ("h", True)
    data = made.completeness
    assert (data.days, data.days_with_check_in, data.pain_answers, data.days_with_any_data) == (7, 2, 2, 2)
    assert data.check_in_days_percent == 28.6


async def test_of_several_answers_on_a_day_the_last_counts_and_keeps_what_only_the_first_said(world: Care) -> None:
    await check_in(world, on(0), pain_now=6, sleep_hours=5)
    await check_in(world, on(0), answered_at=morning(on(0), 20), pain_now=3)
    made = await seen(world)
    assert (values(made.pain.now)[0], values(made.sleep.hours)[0]) == (3, 5)


async def test_a_late_answer_tells_of_the_day_it_was_given(world: Care) -> None:
    await check_in(world, on(0), CheckInStatus.LATE, answered_at=morning(on(1), 20), pain_now=5)
    await check_in(world, on(3), answered_at=morning(on(4), 3), pain_now=2)
    assert values((await seen(world)).pain.now)[:5] == [None, 5, None, 2, None]


async def test_an_answer_right_after_a_session_is_not_the_day_s(world: Care) -> None:
    await check_in(world, on(0), pain_now=3)
    await check_in(world, on(0), question_set="after_session", answered_at=morning(on(0), 11), pain_now=7)
    assert values((await seen(world)).pain.now)[0] == 3


async def test_answers_of_other_days_and_other_episodes_stay_out(world: Care) -> None:
    await check_in(world, on(-1), pain_now=9)
    await check_in(world, on(7), pain_now=9)
    async with world.sessions.begin() as session:
        await world.open(session)
        other = Episode(
            clinic_id=world.clinic_id,
            patient_id=world.world.alice.id,
            title="Knee pain",
            body_region="knee",
            status=EpisodeStatus.ACTIVE,
            started_on=MONDAY,
        )
        session.add(other)
    newest = await seen(world)
    assert newest.episode_id == other.id
    first = await seen(world, episode_id=world.episode_id)
    assert first.episode_id == world.episode_id
    assert set(values(first.pain.now)) == {None}


async def test_an_answer_given_after_the_moment_of_asking_is_not_known_yet(world: Care) -> None:
    await check_in(world, on(0), pain_now=3)
    made = await seen(world, at=morning(on(0), 8))
    assert set(values(made.pain.now)) == {None}
    assert made.completeness.days == 1


# ------------------------------------------------------------------ flares
@pytest.mark.parametrize(
    ("days", "expected"),
    [
        ({}, []),
        ({1: True, 2: True, 3: False}, [(1, 2)]),
        ({0: False, 1: True, 4: True, 5: False}, [(1, 4)]),
        ({-3: True, -1: True, 0: False}, []),
        ({-3: True, 1: True, 2: False, 4: True}, [(-3, 1), (4, None)]),
        ({5: True}, [(5, None)]),
    ],
)
async def test_a_flare_up_is_what_the_patient_calls_one(
    world: Care, days: dict[int, bool], expected: list[tuple[int, int | None]]
) -> None:
    for number, flare in days.items():
        await check_in(world, on(number), pain_now=4, flare=flare)
    assert (await seen(world)).flares == [
        Flare(started_on=on(begin), ended_on=None if end is None else on(end), trigger=None) for begin, end in expected
    ]


async def test_a_flare_up_that_nobody_speaks_of_any_more_is_over(world: Care) -> None:
    await check_in(world, on(1), pain_now=4, flare=True)
    made = await seen(world, MONDAY, MONDAY + timedelta(days=20), at=morning(MONDAY + timedelta(days=20), 9))
    assert made.flares == [Flare(started_on=on(1), ended_on=on(1), trigger=None)]


# ------------------------------------------------------------------ check-ins
async def test_check_ins_are_counted_as_they_ended(world: Care) -> None:
    daily = await plan(world, MONDAY)
    await check_in(world, on(0), plan_id=daily, pain_now=3)
    await check_in(world, on(1), CheckInStatus.LATE, plan_id=daily, answered_at=morning(on(2), 9), pain_now=3)
    await check_in(world, on(2), CheckInStatus.MISSED, plan_id=daily)
    await check_in(world, on(3), CheckInStatus.EXCUSED, plan_id=daily)
    await check_in(world, on(4), CheckInStatus.OPEN, plan_id=daily)
    await check_in(world, on(4), pain_now=3)
    counted = (await seen(world)).adherence.check_ins
    assert (counted.due, counted.submitted, counted.late, counted.missed, counted.excused) == (4, 1, 1, 1, 1)
    assert counted.submitted_percent == 33.3


# ------------------------------------------------------------------ adherence
async def test_adherence_counts_what_was_planned_by_the_version_in_force(world: Care) -> None:
    program = await world.running()
    await exercised(world, program, on(0), slot=1, done=2, dose=28)
    await exercised(world, program, on(0), slot=2, done=1, dose=20)
    await exercised(world, program, on(1), slot=1, done=1, dose=10)
    await exercised(world, program, on(6), slot=1, done=2, dose=28)
    made = await seen(world)
    done = made.adherence
    assert (done.scheduled, done.completed, done.excused, done.band) == (10, 3, 0, "low")
    assert done.session_percent == 30.0
    assert done.exercise_percent == 30.8  # four of thirteen items
    assert done.dose_percent == 25.9  # 58 of 224
    assert done.streak_sessions == 0
    assert [(week.scheduled, week.completed, week.session_percent) for week in made.sessions] == [(10, 3, 30.0)]
    assert made.completeness.days_with_session == 3


async def test_a_corrected_session_counts_as_corrected(world: Care) -> None:
    program = await world.running()
    wrong = await exercised(world, program, on(0), done=2, dose=28)
    await exercised(world, program, on(0), done=0, dose=0, supersedes=wrong)
    assert (await seen(world)).adherence.completed == 0


async def test_a_session_of_today_counts_once_it_is_done_and_one_of_tomorrow_never(world: Care) -> None:
    program = await world.running()
    open_ = await seen(world, at=morning(on(0), 9))
    assert (open_.adherence.scheduled, open_.adherence.session_percent) == (0, None)
    await exercised(world, program, on(0), slot=1)
    done = await seen(world, at=morning(on(0), 12))
    assert (done.adherence.scheduled, done.adherence.completed, done.adherence.streak_sessions) == (1, 1, 1)


async def test_days_of_a_pause_are_excused(world: Care) -> None:
    program = await world.running()
    await exercised(world, program, on(0), slot=1)
    async with world.sessions.begin() as session:
        await world.open(session)
        paused = await programs.pause(
            session,
            world.bob,
            program.id,
            ProgramPauseIn(reason="holiday_agreed"),
            version=program.version,
            at=morning(on(1), 7),
        )
    async with world.sessions.begin() as session:
        await world.open(session)
        await programs.resume(
            session,
            world.bob,
            program.id,
            ProgramReason(reason="Back again"),
            version=paused.version,
            at=morning(on(3), 7),
        )
    done = (await seen(world)).adherence
    assert done.excused > 0
    assert done.scheduled == 10
    assert done.session_percent == round(100 * done.completed / (done.scheduled - done.excused), 1)


async def test_a_session_missed_in_a_flare_up_does_not_break_the_streak(world: Care) -> None:
    program = await world.running()
    for number in range(5):
        await check_in(world, on(number), pain_now=4, flare=number in {1, 2})
        for slot in (1, 2):
            if number not in {1, 2}:
                await exercised(world, program, on(number), slot=slot)
    assert (await seen(world)).adherence.streak_sessions == 6


async def test_weeks_begin_with_the_period_and_the_last_one_may_be_short(world: Care) -> None:
    await world.running()
    weeks = (await seen(world, on(-7), on(1))).sessions
    assert [(week.week_from, week.week_to, week.scheduled) for week in weeks] == [
        (on(-7), on(-1), 0),
        (on(0), on(1), 4),
    ]
    assert weeks[0].session_percent is None


# ------------------------------------------------------------------ outcomes
async def test_outcomes_are_held_against_the_baseline_by_both_yardsticks(world: Care) -> None:
    await outcome(world, on(-1), "rmdq24", roland(14))
    await outcome(world, on(2), "rmdq24", roland(12))
    await outcome(world, on(5), "rmdq24", roland(7))
    await outcome(world, on(0), "nprs", {"now": 6})
    await outcome(world, on(5), "nprs", {"now": 5})
    await outcome(world, on(0), "gad2", {"q1": 1, "q2": 1})
    await outcome(world, on(5), "gad2", {"q1": 0, "q2": 0})
    roland_morris, pain, anxiety = (await seen(world)).outcomes
    assert (roland_morris.instrument, pain.instrument, anxiety.instrument) == ("rmdq24", "nprs", "gad2")
    assert [(point.on, point.value) for point in roland_morris.points] == [(on(2), 12), (on(5), 7)]
    change = roland_morris.change
    assert change is not None
    assert (change.baseline_on, change.baseline, change.current, change.points) == (on(-1), 14, 7, -7)
    assert (change.percent, change.improved_points, change.improved_percent) == (-50.0, True, True)
    assert (change.rule, change.worsened) == (ChangeRule.BOTH, False)
    assert (roland_morris.mic_points, roland_morris.mic_percent, roland_morris.source) == (5, 30, "Ostelo 2008")
    assert pain.change is not None
    assert pain.change.rule is ChangeRule.NEITHER
    assert anxiety.change is not None
    assert (anxiety.change.improved_points, anxiety.change.rule, anxiety.change.worsened) == (None, None, None)
    assert (anxiety.mic_points, anxiety.source) == (None, None)


async def test_a_corrected_response_is_left_out(world: Care) -> None:
    await outcome(world, on(0), "rmdq24", roland(14))
    wrong = await outcome(world, on(5), "rmdq24", roland(24))
    await outcome(world, on(5), "rmdq24", roland(10), supersedes=wrong)
    (series,) = (await seen(world)).outcomes
    assert values(series) == [14, 10]


async def test_one_response_is_no_change(world: Care) -> None:
    await outcome(world, on(0), "rmdq24", roland(14))
    (series,) = (await seen(world)).outcomes
    assert (series.change, values(series)) == (None, [14])


async def test_a_response_before_the_period_is_still_the_current_one_and_later_ones_are_not(world: Care) -> None:
    await outcome(world, MONDAY, "rmdq24", roland(14))
    await outcome(world, on(1), "rmdq24", roland(9))
    await outcome(world, on(6), "rmdq24", roland(2))
    (series,) = (await seen(world, on(3), on(4))).outcomes
    assert series.points == []
    assert series.change is not None
    assert (series.change.baseline, series.change.current) == (14, 9)


async def test_rated_activities_are_compared_one_by_one(world: Care) -> None:
    await outcome(world, on(0), "psfs", specific(stairs=3, sitting=4))
    await outcome(world, on(5), "psfs", specific(stairs=6, lifting=2))
    (series,) = (await seen(world)).outcomes
    assert series.mic_points == 3
    assert series.change is not None
    assert (series.change.points, series.change.rule, series.change.improved_percent) == (3, ChangeRule.POINTS, None)


async def test_activities_that_have_nothing_in_common_are_no_change(world: Care) -> None:
    await outcome(world, on(0), "psfs", specific(stairs=3))
    await outcome(world, on(5), "psfs", specific(lifting=2))
    (series,) = (await seen(world)).outcomes
    assert series.change is None


async def test_an_instrument_whose_scale_goes_below_zero_says_so(world: Care) -> None:
    await outcome(world, on(5), "groc11", {"change": 3})
    (series,) = (await seen(world)).outcomes
    assert (series.unit, series.minimum) == ("-5 to 5", -5)


# ------------------------------------------------------------------ periods and access
async def test_without_a_period_it_is_the_28_days_up_to_the_patient_s_today(world: Care) -> None:
    made = await seen(world, None, None, at=morning(on(30), 0))
    assert (made.period_from, made.period_to) == (on(3), on(30))


async def test_a_period_may_reach_into_the_future(world: Care) -> None:
    made = await seen(world, on(40), None, at=NEXT_MONDAY)
    assert (made.period_from, made.period_to) == (on(40), on(40))
    assert (made.completeness.days, made.adherence.scheduled) == (0, 0)
    assert made.completeness.check_in_days_percent is None


@pytest.mark.parametrize(
    ("first", "last", "wrong"),
    [
        (on(1), on(0), {"#/query/to": "period_order"}),
        (on(0), on(400), {"#/query/from": "period_length"}),
        (date(1, 1, 1), on(0), {"#/query/from": "day_range"}),
        (on(0), date(9999, 12, 31), {"#/query/to": "day_range"}),
    ],
)
async def test_periods_that_make_no_sense_are_refused(
    world: Care, first: date, last: date, wrong: dict[str, str]
) -> None:
    with pytest.raises(PeriodRefused) as refused:
        await seen(world, first, last)
    assert pointers(refused.value.problems) == wrong


async def test_400_days_are_a_period(world: Care) -> None:
    made = await seen(world, on(-399), on(0))
    assert len(made.pain.now.points) == 400


async def test_who_is_not_in_care_here_is_not_there(world: Care) -> None:
    with pytest.raises(NotFound):
        await seen(world, who="carol")
    with pytest.raises(NotFound):
        await seen(world, patient_id=uuid4())
    with pytest.raises(NotFound):
        await seen(world, episode_id=uuid4())


async def test_a_patient_without_an_episode_has_no_progress(world: Care) -> None:
    async with world.sessions.begin() as session:
        await world.open(session)
        other = await make_patient(session, world.clinic_id, "Erin Weiss")
        await link(session, other, world.world.bob)
    with pytest.raises(NotFound):
        await seen(world, patient_id=other.id)


async def test_patients_see_their_own_and_every_look_is_on_record(world: Care) -> None:
    await seen(world, who="alice")
    await seen(world)
    assert (await world.actions()).count("progress.read") == 2
