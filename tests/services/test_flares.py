"""A flare-up from the answer that reports it to the day on which all is as usual, and one that does not settle."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from clinical.red_flags import required_questions
from core.crypto import new_id
from core.database import Sessions, bind_clinic, make_engine, make_sessions
from models.episodes import Episode, EpisodeStatus
from models.flares import Flare, FlareEnd, FlareEvent, FlareStep
from schemas import progress as shapes
from schemas.check_ins import AdHocIn
from schemas.episodes import EpisodeChange, EpisodeCreate, EpisodeReason
from schemas.flares import FlareCreate
from schemas.pages import Page
from schemas.programs import ProgramRead
from schemas.sessions import SessionLog
from schemas.today import Today
from schemas.worklist import Reason
from services import check_ins, episodes, flares, jobs, progress, sessions, today, worklist
from services.episode_gate import EpisodeClosed
from tests.conftest import Database
from tests.factories import TOKENS
from tests.services.caring import STRENGTH, waiting_for_a_lock
from tests.services.check_ins.scene import DAILY, DAY, Scene, berlin, scene
from tests.services.test_jobs import Post

DAY_TEN = berlin(10, 9)
CALM, FLARING = {"pain_now": 3, "function_limit": 2}, {"pain_now": 6, "function_limit": 6, "flare": True}


@pytest.fixture
async def stage(sessions: Sessions) -> Scene:
    return await scene(sessions)


@pytest.fixture
async def sweeper(database: Database) -> AsyncIterator[Sessions]:
    engine = make_engine(database.sweeper)
    yield make_sessions(engine)
    await engine.dispose()


async def say(stage: Scene, at: datetime, **answers: Any) -> None:
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        made = AdHocIn.model_validate({"question_set": "daily", "answers": DAILY | answers})
        await check_ins.put(session, stage.care.alice, new_id(at + timedelta(seconds=1)), made, at=at)


async def review(stage: Scene, at: datetime, *, dry_run: bool = False) -> int:
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        return await flares.review(session, stage.clinic_id, at=at, dry_run=dry_run)


async def day(stage: Scene, at: datetime) -> Today:
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        return await today.get(session, stage.care.alice, at=at)


async def train(stage: Scene, program: ProgramRead, at: datetime, reps: int, **changes: Any) -> None:
    assert program.shown is not None
    (item,) = program.shown.phases[0].items
    form: dict[str, Any] = {
        "performed_at": at,
        "device_zone": "Europe/Berlin",
        "items": [{"item_id": str(item.id), "sets": [{"reps": reps}] * 3, "pain_during": 2}],
    } | changes
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        log = SessionLog.model_validate(form)
        await sessions.log(session, stage.care.alice, new_id(at), log, at=at + timedelta(minutes=1))


async def screen_a_knee(stage: Scene, trigger: str, at: datetime) -> None:
    """Let alice answer what a knee must answer, under an episode of its own: complete, and nothing about her back."""
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        form = EpisodeCreate(title="Knee pain", body_region="knee")
        knee = await episodes.create(session, stage.care.bob, stage.care.world.alice.id, form, at=at)
    answers = dict.fromkeys(required_questions("knee"), "no")
    screen = await stage.care.screen(trigger=trigger, answers=answers, episode_id=str(knee.id), at=at)
    assert screen.complete


async def only(stage: Scene) -> Flare:
    async with stage.sessions() as session:
        await stage.care.open(session)
        return (await session.scalars(select(Flare).where(Flare.clinic_id == stage.clinic_id))).one()


async def history(stage: Scene) -> list[tuple[str, FlareStep]]:
    async with stage.sessions() as session:
        await stage.care.open(session)
        query = select(FlareEvent).where(FlareEvent.clinic_id == stage.clinic_id).order_by(FlareEvent.at, FlareEvent.id)
        return [(one.kind, one.step) for one in await session.scalars(query)]


async def looked_at(stage: Scene) -> dict[str, Any]:
    """Give what each event of the history looked at, by its kind."""
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        (flare,) = (await flares.browse(session, stage.care.bob, stage.care.world.alice.id, Page(2), at=DAY_TEN)).items
        return {
            one.kind: one.inputs for one in (await flares.get(session, stage.care.bob, flare.id, at=DAY_TEN)).events
        }


async def asked_on(stage: Scene) -> list[date]:
    return [row.local_date for row in await stage.rows() if row.plan_id is not None]


async def test_a_screen_from_before_a_new_symptom_counts_no_more(stage: Scene) -> None:
    program = await stage.care.running(at=berlin(2, 9), phases=[STRENGTH])
    assert program.shown is not None
    (item,) = program.shown.phases[0].items
    severe = [{"item_id": str(item.id), "sets": [{"reps": 4}], "pain_during": 8}]
    await say(stage, berlin(2, 9, 30), **CALM)
    await train(stage, program, berlin(2, 10), 12)
    assert not (await day(stage, berlin(2, 11))).screen_due, "nothing to ask about"
    await train(stage, program, berlin(3, 9), 4, items=severe)
    assert (await day(stage, berlin(3, 10))).screen_reasons == ["new_symptom"]
    await stage.care.screen(trigger="new_symptom", at=berlin(3, 11))
    assert not (await day(stage, berlin(3, 11))).screen_due
    await train(stage, program, berlin(3, 12), 12, new_neurological_symptom=True)
    await say(stage, berlin(3, 12, 30), **FLARING)
    seen = await day(stage, berlin(3, 13))
    assert (seen.screen_reasons, (await only(stage)).screen_id) == (["new_symptom", "flare"], None)
    await stage.care.screen(trigger="flare", at=berlin(3, 14))
    await say(stage, berlin(4, 9), **CALM)
    await say(stage, berlin(5, 9), **CALM, new_symptoms=True)
    await review(stage, berlin(5, 10))
    assert (await only(stage)).step is FlareStep.REDUCED, "nobody knows yet what it is"
    await stage.care.screen(trigger="new_symptom", at=berlin(5, 11))
    await review(stage, berlin(5, 13))
    assert (await only(stage)).step is FlareStep.THREE_QUARTERS


async def test_a_flare_up_from_its_first_answer_to_the_usual_dose(stage: Scene) -> None:
    plan = await stage.plan(at=berlin(2, 9), frequency="weekdays", weekdays=[1, 4])
    program = await stage.care.running(at=berlin(2, 9), phases=[STRENGTH])
    await say(stage, berlin(2, 10), **CALM)
    before = (await day(stage, berlin(3, 8))).flare
    await say(stage, berlin(3, 9), **FLARING)
    flare = await only(stage)
    assert (before, flare.opened_via.value, flare.opened_on) == (None, "rule", date(2026, 3, 3))
    assert (flare.step, flare.baseline_pain, flare.baseline_limitation) == (FlareStep.REDUCED, 3, 2)

    # the dose is lighter at once, and the questions about warning signs come first
    seen = await day(stage, berlin(3, 9))
    assert seen.flare is not None
    assert (seen.screen_due, seen.flare.screen_due, seen.flare.share_percent, seen.flare.day) == (True, True, 50, 1)
    assert seen.flare.next_step is not None
    assert (seen.flare.next_step.step, seen.flare.next_step.not_before) == ("three_quarters", date(2026, 3, 5))
    assert "two days in a row" in seen.flare.next_step.text
    assert seen.program is not None
    (item,) = seen.program.sessions[0].items
    assert item.usual is not None
    assert (item.sets, item.reps, item.usual.sets, item.usual.reps) == (2, 9, 3, 12)
    await stage.care.screen(trigger="flare", at=berlin(3, 11))
    assert not (await day(stage, berlin(3, 11))).screen_due

    # questions come every day: the days between are filled in, and none twice
    for number in (3, 4, 5):
        await stage.dispatch(berlin(number, 10))
    assert await asked_on(stage) == [date(2026, 3, 4), date(2026, 3, 5), date(2026, 3, 6)]
    assert await review(stage, berlin(3, 12)) == 0
    assert (await only(stage)).reasons == ["too_early"]
    for number in (4, 5):
        await say(stage, berlin(number, 9), **CALM)
    assert await review(stage, berlin(5, 8, 59)) == 0, "not 48 hours yet"
    assert await review(stage, berlin(5, 12), dry_run=True) == 1
    assert await review(stage, berlin(5, 12)) == 1
    assert await review(stage, berlin(5, 12)) == 0
    assert (await only(stage)).step is FlareStep.THREE_QUARTERS

    # two good sessions on one day are one day, and what the second day did is known the day after
    await train(stage, program, berlin(5, 18), 9)
    await train(stage, program, berlin(5, 18) + timedelta(seconds=1), 9)
    await stage.dispatch(berlin(6, 10))
    await say(stage, berlin(6, 11), **CALM)
    assert await review(stage, berlin(6, 12)) == 0
    assert (await only(stage)).reasons == ["sessions_missing"]
    await train(stage, program, berlin(7, 9), 9)
    await say(stage, berlin(7, 10), **CALM)
    assert await review(stage, berlin(7, 12)) == 0
    assert (await only(stage)).reasons == ["day_after_missing"]
    await stage.dispatch(berlin(7, 12))
    await say(stage, berlin(8, 8), **CALM)
    assert await review(stage, berlin(8, 9)) == 1
    flare = await only(stage)
    assert (flare.close_reason, flare.closed_on, flare.closed_by) == (FlareEnd.RECOVERED, date(2026, 3, 8), None)
    for number in (8, 9):
        await stage.dispatch(berlin(number, 10))
    days = await asked_on(stage)
    assert (days[-2:], plan.weekdays) == ([date(2026, 3, 8), date(2026, 3, 9)], [1, 4])
    assert (await day(stage, berlin(8, 13))).flare is None
    assert await history(stage) == [
        ("opened", FlareStep.REDUCED),
        ("screened", FlareStep.REDUCED),
        ("step", FlareStep.THREE_QUARTERS),
        ("closed", FlareStep.FULL),
    ]
    assert [(one.rule_id, one.repeats) for one in await stage.alerts()] == [("ES05", 0)]
    looked = await looked_at(stage)
    assert (looked["opened"]["baseline_pain"], looked["opened"]["baseline_pain_answers"]) == (3, 1)
    assert looked["opened"]["check_in_id"] is not None
    assert looked["screened"] == {"screen_id": str(flare.screen_id), "level": "none"}
    calm = [{"on": f"2026-03-0{number}", "pain": 3, "limitation": 2, "flare": False} for number in (4, 5)]
    settled = {"from_step": "reduced", "hours": 51, "screened": True, "pain_limit": 4, "days": calm, "sessions": []}
    assert looked["step"] == settled
    done = looked["closed"]["sessions"]
    assert [(one["on"], one["completed"], one["pain"]) for one in done] == [
        ("2026-03-05", True, 2),
        ("2026-03-05", True, 2),
        ("2026-03-07", True, 2),
    ]
    assert len({UUID(one["session_id"]) for one in done}) == 3
    assert (looked["closed"]["from_step"], looked["closed"]["reason"]) == ("three_quarters", "recovered")

    # Tuesday's missed session was one of the flare-up's plan; those that were done were measured against its dose
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        first, last = date(2026, 3, 2), date(2026, 3, 8)
        made = await progress.get(
            session, stage.care.bob, stage.care.world.alice.id, first=first, last=last, episode_id=None, at=berlin(9, 9)
        )
    assert made.flares == [shapes.Flare(started_on=date(2026, 3, 3), ended_on=date(2026, 3, 8), trigger=None)]
    kept = made.adherence
    assert (kept.scheduled, kept.completed, kept.excused, kept.session_percent) == (3, 2, 1, 100)
    assert (kept.dose_percent, kept.streak_sessions) == (100.0, 0)


async def test_one_that_does_not_settle_calls_for_the_therapist_and_then_for_an_assessment(
    stage: Scene, sweeper: Sessions
) -> None:
    reach = jobs.Reach(stage.sessions, stage.sessions, Post(), "https://app.example", stage.clinic_id, key=TOKENS.key)
    await say(stage, berlin(3, 9), pain_now=3, flare=True)
    assert (await jobs.run("flares.review", reach, at=berlin(3, 9))).counts == {"changed": 0}
    async with sweeper() as session:
        assert stage.clinic_id in await flares.clinics_to_review(session, at=berlin(3, 12))
    for number in (10, 17):  # no worker ran meanwhile
        assert (await jobs.run("flares.review", reach, at=berlin(number, 12))).counts == {"changed": 1}
        assert (await jobs.run("flares.review", reach, at=berlin(number, 14))).counts == {"changed": 0}
        await say(stage, berlin(number, 15), pain_now=3, flare=True)
    assert [(one.rule_id, one.repeats) for one in await stage.alerts()] == [("ES05", 2), ("ES06", 0)]
    assert [kind for kind, _ in await history(stage)] == ["opened", "contact", "reassess"]
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        (entry,) = (await worklist.browse(session, stage.care.bob, Page(50), at=berlin(17, 15))).items
    told = {each.code: each.since for each in entry.reasons}
    assert (told[Reason.FLARE], told[Reason.FLARE_REASSESSMENT]) == (berlin(3, 9), berlin(17, 12))
    assert (await day(stage, berlin(17, 16))).program is None


async def test_an_urgent_screen_keeps_the_dose_down_until_somebody_has_looked(stage: Scene) -> None:
    await stage.care.running(at=berlin(2, 9), phases=[STRENGTH])
    await say(stage, berlin(3, 9), **FLARING)
    await stage.care.screen(trigger="flare", yes=["both_legs"], at=berlin(3, 11))
    for number in (4, 5):
        await say(stage, berlin(number, 9), **CALM)
    assert await review(stage, berlin(5, 12)) == 0
    assert ((await only(stage)).step, (await only(stage)).reasons) == (FlareStep.REDUCED, ["screen_missing"])
    seen = (await day(stage, berlin(5, 12))).program
    assert seen is not None
    assert (seen.status, seen.sessions) == ("suspended_red_flag", [])


async def test_of_two_that_begin_at_once_one_is_there(stage: Scene) -> None:
    async def begin() -> UUID | None:
        async with stage.sessions.begin() as session:
            await bind_clinic(session, stage.clinic_id)
            form = FlareCreate()
            try:
                made = await flares.create(session, stage.care.alice, stage.care.world.alice.id, form, at=berlin(3, 9))
            except flares.FlareStands:
                return None
            return made.id

    made = await asyncio.gather(*(begin() for _ in range(3)))
    assert [one for one in made if one is not None] == [(await only(stage)).id]
    await stage.dispatch(berlin(3, 10))
    assert await asked_on(stage) == [date(2026, 3, 3) + DAY]  # a plan of its own


async def test_one_that_is_open_after_a_week_calls_for_the_therapist_at_three_quarters_too(stage: Scene) -> None:
    await say(stage, berlin(3, 9), **FLARING)
    await stage.care.screen(trigger="flare", at=berlin(3, 11))
    for number in (4, 5):
        await say(stage, berlin(number, 9), **CALM)
    assert await review(stage, berlin(5, 12)) == 1
    assert await review(stage, berlin(9, 12)) == 0
    assert await review(stage, berlin(10, 12)) == 1
    assert ((await only(stage)).step, (await only(stage)).reasons) == (FlareStep.THREE_QUARTERS, ["sessions_missing"])
    assert [one.rule_id for one in await stage.alerts()] == ["ES05", "ES06"]


async def test_while_the_episode_is_on_hold_nothing_is_decided(stage: Scene) -> None:
    await say(stage, berlin(3, 9), **FLARING)
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        await session.execute(update(Episode).values(status=EpisodeStatus.ON_HOLD))
    assert await review(stage, berlin(11, 12)) == 0
    flare = await only(stage)
    assert (flare.reasons, flare.contacted_at, flare.version) == (["episode_on_hold"], None, 1)


async def test_a_calm_evening_does_not_take_back_the_morning(stage: Scene) -> None:
    await say(stage, berlin(3, 9), **FLARING)
    await stage.care.screen(trigger="flare", at=berlin(3, 11))
    for number in (4, 5):
        await say(stage, berlin(number, 8), pain_now=8, function_limit=7, flare=True)
        await say(stage, berlin(number, 20), **CALM)
    assert await review(stage, berlin(5, 21)) == 0
    assert ((await only(stage)).step, (await only(stage)).reasons) == (FlareStep.REDUCED, ["not_settled"])


async def test_a_session_with_a_new_neurological_symptom_does_not_end_it(stage: Scene) -> None:
    program = await stage.care.running(at=berlin(2, 9), phases=[STRENGTH])
    await say(stage, berlin(3, 9), **FLARING)
    await stage.care.screen(trigger="flare", at=berlin(3, 11))
    for number in (4, 5):
        await say(stage, berlin(number, 9), **CALM)
    assert await review(stage, berlin(5, 12)) == 1
    await train(stage, program, berlin(5, 18), 9)
    await train(stage, program, berlin(7, 9), 9, new_neurological_symptom=True)
    assert await review(stage, berlin(7, 12)) == 0
    assert ((await only(stage)).step, (await only(stage)).reasons) == (FlareStep.THREE_QUARTERS, ["sessions_missing"])


async def test_a_screen_about_another_region_is_not_the_one_that_it_waits_for(stage: Scene) -> None:
    await say(stage, berlin(3, 9), **FLARING)
    await screen_a_knee(stage, "flare", berlin(3, 11))
    assert (await only(stage)).screen_id is None
    assert (await day(stage, berlin(3, 12))).screen_reasons == ["flare", "intake"]
    back = dict.fromkeys(required_questions("low_back"), "no")
    taken = await stage.care.screen(
        trigger="flare", answers=back, episode_id=str(stage.care.episode_id), at=berlin(3, 13)
    )
    assert (await only(stage)).screen_id == taken.id
    assert not (await day(stage, berlin(3, 14))).screen_due
    # It was the neck after all: what was asked about a back does not say that it is safe.
    for region, still in (("low_back", taken.id), ("neck", None)):
        async with stage.sessions.begin() as session:
            await stage.care.open(session)
            form, episode = EpisodeChange(body_region=region), stage.care.episode_id
            await episodes.update(session, stage.care.bob, episode, form, version=1, at=berlin(3, 15))
        assert (await only(stage)).screen_id == still
    assert (await day(stage, berlin(3, 16))).screen_due


async def test_a_screen_about_another_region_taken_just_before_does_not_belong_to_it(stage: Scene) -> None:
    await screen_a_knee(stage, "weekly", berlin(3, 8))
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        form = FlareCreate(episode_id=stage.care.episode_id)
        await flares.create(session, stage.care.alice, stage.care.world.alice.id, form, at=berlin(3, 9))
    assert (await only(stage)).screen_id is None


async def test_none_begins_in_an_episode_that_is_being_discharged(stage: Scene) -> None:
    async def begin() -> None:
        async with stage.sessions.begin() as session:
            await stage.care.open(session)
            await flares.create(session, stage.care.alice, stage.care.world.alice.id, FlareCreate(), at=berlin(3, 9))

    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        episode = await session.get_one(Episode, (stage.clinic_id, stage.care.episode_id))
        reason = EpisodeReason(reason="All well")
        await episodes.discharge(session, stage.care.bob, episode.id, reason, version=episode.version, at=berlin(3, 9))
        begun = asyncio.create_task(begin())
        await waiting_for_a_lock(session)
    with pytest.raises(EpisodeClosed):
        await begun
    async with stage.sessions() as session:
        await stage.care.open(session)
        assert (await session.scalars(select(Flare.id))).all() == []
