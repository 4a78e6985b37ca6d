"""Consents under way at the same time: whoever comes second waits, and nobody waits in a ring."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import Sessions
from models.consents import Consent, ConsentMethod, ConsentStatus
from models.patients import Patient
from models.programs import Program
from schemas.consents import ConsentCreate
from services import consents
from services.timetable import TIMETABLE
from tests.factories import NOW
from tests.services.caring import DAY, Care, care

FORM = {"purpose": "telehealth", "text_version": "1", "method": "electronic", "expires_on": (NOW + DAY).date()}


@pytest.fixture
async def alices(sessions: Sessions) -> Care:
    return await care(sessions, consent=False)


async def give(session: AsyncSession, here: Care) -> Consent:
    form = ConsentCreate.model_validate(FORM)
    return await consents.create(session, here.alice, here.world.alice.id, form, at=NOW)


async def withdraw(session: AsyncSession, here: Care, given: Consent) -> Any:
    try:
        return await consents.withdraw(session, here.alice, given.id, version=given.version, at=NOW)
    except consents.ConsentNotGiven as refused:
        return refused


async def expire(session: AsyncSession, here: Care, _given: Consent) -> Any:
    return await consents.expire(session, here.clinic_id, at=NOW + 3 * DAY)


async def until_it_waits(session: AsyncSession, process: int) -> None:
    """Wait until the server process of another session waits for a lock."""
    waits = text("SELECT wait_event_type FROM pg_stat_activity WHERE pid = :pid")
    while await session.scalar(waits, {"pid": process}) != "Lock":
        await session.rollback()  # a transaction sees the same activity throughout


@pytest.mark.parametrize("second", [withdraw, expire])
async def test_a_consent_given_anew_while_it_ends_meets_no_deadlock(
    alices: Care, second: Callable[[AsyncSession, Care, Consent], Awaitable[Any]]
) -> None:
    async with alices.sessions.begin() as session:
        await alices.open(session)
        given = await give(session, alices)
    await alices.running(at=NOW + timedelta(hours=1))

    async def end(started: asyncio.Future[int]) -> Any:
        async with alices.sessions.begin() as session:
            await alices.open(session)
            started.set_result(await session.scalar(text("SELECT pg_backend_pid()")) or 0)
            return await second(session, alices, given)

    async with alices.sessions.begin() as first, alices.sessions() as watching:
        await alices.open(first)
        # As `create` begins; the other one then comes between its lock and its change.
        await first.execute(
            select(Patient.id).where(Patient.id == alices.world.alice.id).with_for_update(key_share=True)
        )
        started = asyncio.get_running_loop().create_future()
        ending = asyncio.create_task(end(started))
        await asyncio.wait_for(until_it_waits(watching, await started), 10)
        await give(first, alices)
    ended = await ending
    assert isinstance(ended, consents.ConsentNotGiven) or ended == 1
    async with alices.sessions() as session:
        await alices.open(session)
        rows = (await session.scalars(select(Consent).order_by(Consent.created_at))).all()
    assert rows[0].status is ConsentStatus.SUPERSEDED
    assert rows[0].method is ConsentMethod.ELECTRONIC


async def test_no_program_runs_on_a_consent_that_ran_out_minutes_ago(alices: Care) -> None:
    (cron,) = [entry.cron for entry in TIMETABLE if entry.job == "consents.expire"]
    assert cron == "*/5 * * * *"
    async with alices.sessions.begin() as session:
        await alices.open(session)
        await give(session, alices)
    await alices.running(at=NOW + timedelta(hours=1))
    midnight = (NOW + 2 * DAY).replace(hour=0) - timedelta(hours=1)  # in Berlin
    for minutes, expected in ((-1, 0), (0, 1), (1, 0)):
        at = midnight + timedelta(minutes=minutes)
        async with alices.sessions.begin() as session:
            await alices.open(session)
            assert await consents.expire(session, alices.clinic_id, at=at) == expected
    async with alices.sessions() as session:
        await alices.open(session)
        halted = await session.scalars(select(Program.halted_by).where(Program.clinic_id == alices.clinic_id))
        assert list(halted) == ["telehealth_consent_expired"]
