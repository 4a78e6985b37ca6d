"""What an episode takes with it: nothing runs on in one that is held or over."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.program_life import ProgramStatus
from core.database import Sessions
from models.check_ins import CheckInPlan, PlanStatus
from models.episodes import Episode, EpisodeStatus
from models.flares import Flare
from models.programs import Program, ProgramPause
from schemas.check_ins import PlanIn
from schemas.episodes import EpisodeChange, EpisodeCreate, EpisodeReason
from schemas.flares import FlareClose, FlareCreate
from schemas.red_flag_screens import RedFlagScreenClose, RedFlagScreenCreate
from services import access, check_ins, episodes, flares, programs, red_flag_screens
from services.access import Action
from services.check_ins import plans
from services.episode_gate import EpisodeOnHold, EpisodeUnsettled
from tests.factories import NOW
from tests.services.caring import Care, care, codes, settle, waiting_for_a_lock

REASON = EpisodeReason(reason="Holiday")
LATER = NOW + timedelta(days=3)


@pytest.fixture
async def running(sessions: Sessions) -> Care:
    """Give an episode with a program in use and a daily check-in."""
    made = await care(sessions)
    await made.running()
    async with sessions.begin() as session:
        await made.open(session)
        form = PlanIn.model_validate({"question_set": "daily", "frequency": "daily", "local_time": "08:00"})
        await plans.create(session, made.bob, made.episode_id, form, at=NOW)
    return made


async def closed(session: AsyncSession, care_: Care, screen_id: UUID) -> None:
    form = RedFlagScreenClose.model_validate({"outcome": "seen_by_clinician", "note": "Seen"})
    await red_flag_screens.close(session, care_.bob, screen_id, form, version=1, at=LATER)


async def state(care_: Care) -> tuple[ProgramStatus, PlanStatus]:
    async with care_.sessions() as session:
        await care_.open(session)
        program = (await session.scalars(select(Program))).one()
        plan = (await session.scalars(select(CheckInPlan))).one()
        return program.status, plan.status


async def test_holding_pauses_program_and_check_ins_and_reopening_leaves_them_to_the_therapist(running: Care) -> None:
    async with running.sessions.begin() as session:
        await running.open(session)
        row = await session.get_one(Episode, (running.clinic_id, running.episode_id))
        held = await episodes.hold(session, running.bob, row.id, REASON, version=row.version, at=LATER)
        version = held.version
    assert await state(running) == (ProgramStatus.PAUSED, PlanStatus.PAUSED)
    async with running.sessions() as session:
        await running.open(session)
        program = (await session.scalars(select(Program))).one()
        assert program.status_reason == REASON.reason
        with pytest.raises(programs.lifecycle.ProgramNotReady) as refusal:
            await programs.lifecycle.require_ready(session, running.bob, program, at=LATER)
        assert "episode_on_hold" in codes(refusal.value.problems)
    async with running.sessions.begin() as session:
        await running.open(session)
        await episodes.reopen(session, running.bob, running.episode_id, REASON, version=version, at=LATER)
    assert await state(running) == (ProgramStatus.PAUSED, PlanStatus.PAUSED)


async def test_discharging_ends_program_and_check_ins(running: Care) -> None:
    async with running.sessions.begin() as session:
        await running.open(session)
        row = await session.get_one(Episode, (running.clinic_id, running.episode_id))
        await episodes.discharge(session, running.bob, row.id, REASON, version=row.version, at=LATER)
        again: dict[str, Any] = {"actor": running.bob, "ended": True, "at": LATER}
        assert await programs.halt(session, running.clinic_id, row.id, reason="", **again) == 0
        assert await check_ins.follow_episode(session, running.clinic_id, row.id, **again) == 0
    assert await state(running) == (ProgramStatus.COMPLETED, PlanStatus.ENDED)


async def test_discharging_ends_what_a_red_flag_has_suspended_and_holding_leaves_it(running: Care) -> None:
    screen = await running.screen(at=NOW + timedelta(hours=1), trigger="new_symptom", yes=["saddle"])
    async with running.sessions.begin() as session:
        await running.open(session)
        row = await session.get_one(Episode, (running.clinic_id, running.episode_id))
        row = await episodes.hold(session, running.bob, row.id, REASON, version=row.version, at=LATER)
    assert (await state(running))[0] is ProgramStatus.SUSPENDED_RED_FLAG
    async with running.sessions.begin() as session:
        await running.open(session)
        await closed(session, running, screen.id)
        await settle(session, running, at=LATER)
        await episodes.discharge(session, running.bob, row.id, REASON, version=row.version, at=LATER)
    assert (await state(running))[0] is ProgramStatus.COMPLETED
    async with running.sessions() as session:
        await running.open(session)
        pauses = (await session.scalars(select(ProgramPause).order_by(ProgramPause.began_at))).all()
    assert [(pause.reason, pause.ended_at) for pause in pauses] == [("red_flag_suspended", None)], "no session counts"
    assert pauses[0].during.upper == LATER.date()


async def test_nobody_is_discharged_while_a_warning_sign_waits_for_a_human(running: Care) -> None:
    screen = await running.screen(at=NOW + timedelta(hours=1), trigger="new_symptom", yes=["saddle"])

    async def discharge() -> None:
        async with running.sessions.begin() as session:
            await running.open(session)
            row = await session.get_one(Episode, (running.clinic_id, running.episode_id))
            await episodes.discharge(session, running.bob, row.id, REASON, version=row.version, at=LATER)

    with pytest.raises(EpisodeUnsettled) as refusal:
        await discharge()
    assert codes(refusal.value.problems) == {"red_flag_open", "urgent_alert_open"}
    async with running.sessions.begin() as session:
        await running.open(session)
        await closed(session, running, screen.id)
    with pytest.raises(EpisodeUnsettled) as refusal:
        await discharge()
    assert codes(refusal.value.problems) == {"urgent_alert_open"}
    assert (await state(running))[0] is ProgramStatus.SUSPENDED_RED_FLAG
    async with running.sessions.begin() as session:
        await running.open(session)
        await settle(session, running, at=LATER)
    await discharge()
    assert (await state(running))[0] is ProgramStatus.COMPLETED


async def test_a_discharge_waits_for_a_screen_that_is_being_kept(running: Care) -> None:
    async with running.sessions.begin() as keeping:
        await running.open(keeping)
        form = RedFlagScreenCreate.model_validate({"trigger": "new_symptom", "answers": {"saddle": "yes"}})
        await red_flag_screens.create(keeping, running.alice, running.world.alice.id, form, at=LATER)

        async def discharge() -> None:
            async with running.sessions.begin() as session:
                await running.open(session)
                await episodes.discharge(session, running.bob, running.episode_id, REASON, version=1, at=LATER)

        discharging = asyncio.create_task(discharge())
        await waiting_for_a_lock(keeping)
    with pytest.raises(EpisodeUnsettled):
        await discharging


async def test_a_discharge_waits_for_a_flare_that_is_being_closed_with_nothing_in_its_hands(sessions: Sessions) -> None:
    running = await care(sessions)
    await running.running()  # and no check-in plan: the flare-up brings its own
    async with running.sessions.begin() as session:
        await running.open(session)
        form = FlareCreate(episode_id=running.episode_id)
        flare_id = (await flares.create(session, running.bob, running.world.alice.id, form, at=NOW)).id
    async with running.sessions.begin() as closing:
        await running.open(closing)
        own = (Action.REPORT_FLARES, Flare, flare_id)
        flare = await access.subject(closing, running.bob, *own, at=LATER, lock=True)

        async def discharge() -> None:
            async with running.sessions.begin() as session:
                await running.open(session)
                await episodes.discharge(session, running.bob, running.episode_id, REASON, version=1, at=LATER)

        discharging = asyncio.create_task(discharge())
        await waiting_for_a_lock(closing)
        await flares.close(closing, running.bob, flare_id, FlareClose(reason="over"), version=flare.version, at=LATER)
    await discharging
    assert await state(running) == (ProgramStatus.COMPLETED, PlanStatus.ENDED)


async def test_a_plan_is_not_resumed_while_its_episode_is_being_held(running: Care) -> None:
    async with running.sessions.begin() as session:
        await running.open(session)
        plan = (await session.scalars(select(CheckInPlan))).one()
        plan = await plans.pause(session, running.bob, plan.id, "Away", version=plan.version, at=NOW)
    async with running.sessions.begin() as holding:
        await running.open(holding)
        await episodes.hold(holding, running.bob, running.episode_id, REASON, version=1, at=LATER)

        async def resume() -> None:
            async with running.sessions.begin() as session:
                await running.open(session)
                await plans.resume(session, running.bob, plan.id, "Back", version=plan.version, at=LATER)

        resuming = asyncio.create_task(resume())
        await waiting_for_a_lock(holding)
    with pytest.raises(EpisodeOnHold):
        await resuming
    assert await state(running) == (ProgramStatus.PAUSED, PlanStatus.PAUSED)


async def test_what_stops_with_its_episode_is_on_record(running: Care) -> None:
    async with running.sessions.begin() as session:
        await running.open(session)
        held = await episodes.hold(session, running.bob, running.episode_id, REASON, version=1, at=LATER)
        await episodes.discharge(session, running.bob, held.id, REASON, version=held.version, at=LATER)
    assert (await running.actions())[-6:] == [
        "program.pause",
        "check_in_plan.pause",
        "episode.hold",
        "program.complete",
        "check_in_plan.end",
        "episode.discharge",
    ]


async def test_an_episode_may_begin_with_the_referral(running: Care) -> None:
    async with running.sessions.begin() as session:
        await running.open(session)
        form = EpisodeCreate(title="Knee pain", body_region="knee", status="referred")
        row = await episodes.create(session, running.bob, running.world.alice.id, form, at=NOW)
        assert row.status is EpisodeStatus.REFERRED
        seen = EpisodeChange(status="intake")
        row = await episodes.update(session, running.bob, row.id, seen, version=row.version, at=NOW)
        assert row.status is EpisodeStatus.INTAKE
