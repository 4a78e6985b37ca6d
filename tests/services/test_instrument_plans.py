"""An instrument that is planned is due, is asked for, is answered, and is due again."""

from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from core.database import Sessions
from core.errors import Forbidden, Stale
from models.check_ins import CheckInStatus
from models.episodes import Episode, EpisodeStatus
from models.instrument_plans import InstrumentPlan
from models.notifications import Notification
from models.patients import Patient
from schemas.instrument_plans import DueInstrument, InstrumentPlanChange, InstrumentPlanCreate
from schemas.outcomes import OutcomeCreate
from schemas.pages import Page
from services import backlogs, check_ins, instrument_plans, outcomes, today
from services.instrument_plans import InstrumentPlanEnded, InstrumentPlanRefused, InstrumentPlanStands
from services.instruments import UnknownInstrument
from tests.factories import NOW
from tests.services.caring import DAY, Care, care, pointers
from tests.services.histories import check_in, morning

START = NOW.date()


@pytest.fixture
async def here(sessions: Sessions) -> Care:
    return await care(sessions)


async def plan(here: Care, by: str = "bob", **form: Any) -> InstrumentPlan:
    made = InstrumentPlanCreate.model_validate({"instrument": "rmdq24", "every_weeks": 2, **form})
    async with here.sessions.begin() as session:
        await here.open(session)
        return await instrument_plans.create(session, here.world.actors[by], here.episode_id, made, at=NOW)


async def change(here: Care, row: InstrumentPlan, version: int, **form: Any) -> InstrumentPlan:
    made = InstrumentPlanChange.model_validate(form)
    async with here.sessions.begin() as session:
        await here.open(session)
        return await instrument_plans.update(session, here.bob, row.id, made, version=version, at=NOW)


async def only(here: Care) -> InstrumentPlan:
    async with here.sessions.begin() as session:
        await here.open(session)
        paged = await instrument_plans.browse(session, here.alice, here.episode_id, Page(key=b"k"), at=NOW)
        (row,) = paged.items
        return row


async def due(here: Care, at: datetime) -> list[DueInstrument]:
    async with here.sessions.begin() as session:
        await here.open(session)
        return (await today.get(session, here.alice, at=at)).instruments


async def answer(here: Care, at: datetime, **more: Any) -> Any:
    form = OutcomeCreate.model_validate({"instrument": "rmdq24", "answers": {"q1": True}, **more})
    async with here.sessions.begin() as session:
        await here.open(session)
        return await outcomes.create(session, here.alice, here.episode_id, form, at=at)


async def remind(here: Care, at: datetime, *, dry_run: bool = False) -> int:
    async with here.sessions.begin() as session:
        await here.open(session)
        return await instrument_plans.remind(session, here.clinic_id, at=at, dry_run=dry_run)


async def test_an_instrument_is_due_until_it_is_answered_and_again_after_its_weeks(here: Care) -> None:
    row = await plan(here)
    assert (row.next_on, row.occasion) == (START, "intake")
    (asked,) = await due(here, NOW)
    assert (asked.instrument, asked.occasion, asked.due_on) == ("rmdq24", "intake", START)
    assert [await remind(here, NOW, dry_run=True), await remind(here, NOW), await remind(here, NOW)] == [1, 1, 0]
    first = await answer(here, NOW)
    assert await due(here, NOW + 13 * DAY) == []
    assert await remind(here, NOW + 13 * DAY) == 0
    assert [one.occasion for one in await due(here, NOW + 14 * DAY)] == ["interval"]
    assert await remind(here, NOW + 14 * DAY) == 1
    row = await only(here)
    assert (row.next_on, row.occasion) == (START + timedelta(days=14), "interval")

    # a correction that lies earlier counts instead of what it corrects
    late = await answer(here, NOW + 20 * DAY)
    await answer(here, NOW + 20 * DAY, supersedes_id=str(late.id), administered_at=(NOW + 6 * DAY).isoformat())
    assert (await only(here)).next_on == START + timedelta(days=20)
    assert first.id != late.id

    # in an episode that rests nobody is asked, and nothing waits for a reminder
    async with here.sessions.begin() as session:
        await here.open(session)
        await session.execute(update(Episode).values(status=EpisodeStatus.ON_HOLD))
    assert await due(here, NOW + 30 * DAY) == []
    assert await remind(here, NOW + 30 * DAY) == 0
    assert await remind(here, NOW + 30 * DAY, dry_run=True) == 0
    async with here.sessions() as session:
        await here.open(session)
        owed = (await session.scalars(select(Notification))).all()
        about = {"instrument_plan_id": str(row.id)}
        assert [(each.template, each.parameters) for each in owed] == [("check_in_reminder", about)] * 2
        assert len(owed) == 2
    assert {"instrument_plan.create", "instrument_plan.list"} <= set(await here.actions())


async def test_a_check_in_of_that_day_shows_what_else_is_to_be_answered(here: Care) -> None:
    await plan(here)
    waits = await check_in(here, START, CheckInStatus.OPEN)
    done = await check_in(here, START)

    async def shown(check_in_id: UUID, at: datetime) -> list[DueInstrument]:
        async with here.sessions.begin() as session:
            await here.open(session)
            return (await check_ins.get(session, here.alice, check_in_id, at=at)).instruments

    now = morning(START, 10)
    assert await shown(waits, now) == await due(here, now) != []
    assert await shown(done, now) == [], "it was answered"
    assert await shown(waits, morning(START, 7)) == [], "it is not open yet"
    await answer(here, now)
    assert await shown(waits, now) == []


async def waiting(here: Care, at: datetime) -> int:
    async with here.sessions.begin() as session:
        await here.open(session)
        return (await backlogs.measure(session, at=at, clinic_id=here.clinic_id))["instruments.remind"].waiting


async def test_a_reminder_waits_until_somebody_can_be_told_and_nothing_is_late_meanwhile(here: Care) -> None:
    await plan(here)
    later = NOW + 3 * DAY
    alice = here.alice.account_id
    nobody: list[tuple[Any, Any]] = [
        (update(Patient).values(account_id=None), update(Patient).values(account_id=alice)),
        (update(Episode).values(status="on_hold"), update(Episode).values(status="active")),
    ]
    for away, back in nobody:
        assert await waiting(here, later) == 1
        await run(here, away.where(away.table.c.id.in_([here.world.alice.id, here.episode_id])))
        assert (await remind(here, later), await waiting(here, later)) == (0, 0)
        await run(here, back.where(back.table.c.id.in_([here.world.alice.id, here.episode_id])))
    assert (await remind(here, later), await waiting(here, later)) == (1, 0)


async def run(here: Care, statement: Any) -> None:
    async with here.sessions.begin() as session:
        await here.open(session)
        await session.execute(statement)


async def test_a_plan_is_changed_and_ended_and_asks_what_the_instrument_is_made_for(here: Care) -> None:
    row = await plan(here, asked_of="staff")
    assert await due(here, NOW) == [], "staff ask it"
    with pytest.raises(InstrumentPlanStands):
        await plan(here)
    with pytest.raises(UnknownInstrument):
        await plan(here, instrument="horoscope")
    with pytest.raises(Forbidden):
        await plan(here, by="alice", instrument="psfs")
    refused: dict[str, dict[str, Any]] = {
        "/intake": {"instrument": "groc11"},
        "": {"instrument": "psfs", "intake": False, "every_weeks": None},
        "/report_on": {"instrument": "psfs", "report_on": str(START - timedelta(days=1))},
    }
    for pointer, form in refused.items():
        with pytest.raises(InstrumentPlanRefused) as error:
            await plan(here, **form)
        assert pointer in pointers(error.value.problems)
    with pytest.raises(Stale):
        await change(here, row, 4, every_weeks=4)
    report = START + timedelta(days=10)
    changed = await change(here, row, 1, asked_of="patient", intake=False, every_weeks=None, report_on=str(report))
    assert (changed.next_on, changed.occasion) == (date(2026, 3, 5), "report")
    with pytest.raises(InstrumentPlanRefused):
        await change(here, row, 2, report_on=None)
    ended = await change(here, row, 2, status="ended")
    assert (ended.status, ended.next_on) == ("ended", None)
    with pytest.raises(InstrumentPlanEnded):
        await change(here, row, 3, every_weeks=2)
    assert (await plan(here)).status == "active", "another one may be made"
