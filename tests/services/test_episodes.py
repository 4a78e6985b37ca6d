"""What an episode takes with it: nothing runs on in one that is held or over."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from core.database import Sessions
from models.check_ins import CheckInPlan, PlanStatus
from models.episodes import Episode
from models.programs import Program, ProgramStatus
from schemas.check_ins import PlanIn
from schemas.episodes import EpisodeReason
from services import check_ins, episodes, programs
from services.check_ins import plans
from tests.factories import NOW
from tests.services.caring import Care, care, codes

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
        assert await programs.halt(session, running.clinic_id, row.id, ended=True, reason="", at=LATER) == 0
        assert await check_ins.follow_episode(session, running.clinic_id, row.id, ended=True, at=LATER) == 0
    assert await state(running) == (ProgramStatus.COMPLETED, PlanStatus.ENDED)


async def test_discharging_ends_what_a_red_flag_has_suspended_and_holding_leaves_it(running: Care) -> None:
    await running.screen(at=NOW + timedelta(hours=1), trigger="new_symptom", yes=["saddle"])
    async with running.sessions.begin() as session:
        await running.open(session)
        row = await session.get_one(Episode, (running.clinic_id, running.episode_id))
        row = await episodes.hold(session, running.bob, row.id, REASON, version=row.version, at=LATER)
    assert (await state(running))[0] is ProgramStatus.SUSPENDED_RED_FLAG
    async with running.sessions.begin() as session:
        await running.open(session)
        await episodes.discharge(session, running.bob, row.id, REASON, version=row.version, at=LATER)
    assert (await state(running))[0] is ProgramStatus.COMPLETED
