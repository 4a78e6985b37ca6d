"""A licensed instrument from the empty slot to its answers, and what was scored stays as it was scored."""

import asyncio
import copy
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from clinical.scoring import score
from core.database import Sessions
from core.errors import Forbidden, NotFound
from models.instrument_imports import InstrumentImport
from models.outcomes import Outcome
from schemas.instrument_imports import PLACEHOLDER, InstrumentFill, InstrumentGiveUp
from schemas.instrument_plans import InstrumentPlanCreate
from schemas.outcomes import InstrumentRead, OutcomeCreate, OutcomeScored
from schemas.pages import Page
from services import instrument_imports, instrument_plans, instruments, outcomes, progress, today
from services.instrument_imports import InstrumentNotFilled, InstrumentTextRefused
from services.instruments import InstrumentNotLicensed
from services.outcomes import InstrumentTextChanged, InstrumentVersionMissing
from tests.factories import NOW
from tests.services.caring import DAY, Care, care, pointers, waiting_for_a_lock

ANSWERS = {f"q{place}": 2 for place in range(1, 11)}


@pytest.fixture
async def here(sessions: Sessions) -> Care:
    return await care(sessions)


async def fill(here: Care, by: str = "dana", code: str = "odi", at: Any = NOW, **changes: Any) -> Any:
    form = InstrumentFill.model_validate({**copy.deepcopy(PLACEHOLDER), **changes})
    async with here.sessions.begin() as session:
        await here.open(session)
        return await instrument_imports.fill(session, here.world.actors[by], code, form, at=at)


async def give_up(here: Care) -> Any:
    async with here.sessions.begin() as session:
        await here.open(session)
        form = InstrumentGiveUp(note="Not renewed.")
        return await instrument_imports.give_up(session, here.world.actors["dana"], "odi", form, at=NOW)


async def shown(here: Care, at: Any = NOW) -> InstrumentRead:
    async with here.sessions() as session:
        await here.open(session)
        return await instruments.get(session, here.alice, "odi", at=at)


async def answer(here: Care, at: Any = NOW, read: str | None = "2.1a/1") -> OutcomeScored:
    form = OutcomeCreate.model_validate({"instrument": "odi", "instrument_version": read, "answers": ANSWERS})
    async with here.sessions.begin() as session:
        await here.open(session)
        return await outcomes.create(session, here.alice, here.episode_id, form, at=at)


async def test_a_slot_is_filled_asked_and_given_up_and_the_answers_stay(here: Care) -> None:
    empty = await shown(here)
    assert (empty.text, empty.license_contact, len(empty.items)) == ("empty", "eprovide.mapi-trust.org", 10)
    assert not any("text" in item for item in empty.items)
    with pytest.raises(InstrumentNotLicensed):
        await answer(here)
    async with here.sessions() as session:
        await here.open(session)
        wanted = InstrumentPlanCreate(instrument="odi")
        with pytest.raises(InstrumentNotLicensed):
            await instrument_plans.create(session, here.bob, here.episode_id, wanted, at=NOW)
    with pytest.raises(InstrumentNotFilled):
        await give_up(here)

    made = await fill(here, valid_until=str((NOW + 20 * DAY).date()))
    assert (made.number, made.filled, made.by) == (1, True, here.world.actors["dana"].account_id)
    filled = await shown(here)
    assert (filled.text, filled.version, filled.stem) == ("filled", "2.1a/1", PLACEHOLDER["stem"])
    assert [item["text"] for item in filled.items] == [item["text"] for item in PLACEHOLDER["items"]]
    first = await answer(here)
    assert (first.score, first.band, first.instrument_version) == (40, "moderate", "2.1a/1")
    second = await fill(here, terms_version="of 2027", items=PLACEHOLDER["items"][::-1])
    assert second.number == 2
    assert (await answer(here, NOW + DAY, "2.1a/2")).instrument_version == "2.1a/2"
    assert (await give_up(here)).filled is False
    with pytest.raises(InstrumentNotLicensed):
        await answer(here, NOW + 2 * DAY)
    async with here.sessions.begin() as session:
        await here.open(session)
        seen = await progress.get(
            session, here.bob, here.world.alice.id, first=None, last=None, episode_id=None, at=NOW + DAY
        )
        listed = await instrument_imports.browse(session, here.world.actors["dana"], "odi", Page(key=b"k"), at=NOW)
    assert [series.instrument for series in seen.outcomes] == ["odi"], "old answers are shown all the same"
    assert [(row.number, row.terms_version) for row in listed.items] == [
        (3, None),
        (2, "of 2027"),
        (1, PLACEHOLDER["terms_version"]),
    ]
    assert {"instrument.fill", "instrument.give_up"} <= set(await here.actions())


async def test_answers_to_another_text_than_the_one_in_force_are_not_kept(here: Care) -> None:
    await fill(here)
    await fill(here, items=PLACEHOLDER["items"][::-1])  # between reading and answering
    with pytest.raises(InstrumentTextChanged):
        await answer(here)
    with pytest.raises(InstrumentVersionMissing) as refused:
        await answer(here, read=None)
    assert pointers(refused.value.problems) == {"/instrument_version": "missing"}
    old = OutcomeCreate.model_validate({"instrument": "rmdq24", "instrument_version": "0", "answers": {"q1": True}})
    async with here.sessions() as session:
        await here.open(session)
        with pytest.raises(InstrumentTextChanged):
            await outcomes.create(session, here.alice, here.episode_id, old, at=NOW)
    async with here.sessions() as session:
        await here.open(session)
        assert await session.scalar(select(Outcome)) is None
    assert (await answer(here, read=(await shown(here)).version)).instrument_version == "2.1a/2"


async def test_who_gives_up_what_another_gives_up_or_renews_waits_and_finds_what_he_left(here: Care) -> None:
    await fill(here)
    form = InstrumentGiveUp(note="Not renewed.")

    async def at_the_same_time(first: Awaitable[Any], session: AsyncSession) -> asyncio.Task[Any]:
        await first
        second = asyncio.create_task(give_up(here))
        await waiting_for_a_lock(session)
        await session.commit()
        return second

    async with here.sessions() as session:
        await here.open(session)
        dana = here.world.actors["dana"]
        renewal = InstrumentFill.model_validate({**copy.deepcopy(PLACEHOLDER), "terms_version": "of 2027"})
        second = await at_the_same_time(instrument_imports.fill(session, dana, "odi", renewal, at=NOW), session)
        assert ((await second).number, (await shown(here)).text) == (3, "empty")
    await fill(here)
    async with here.sessions() as session:
        await here.open(session)
        second = await at_the_same_time(instrument_imports.give_up(session, dana, "odi", form, at=NOW), session)
        with pytest.raises(InstrumentNotFilled):
            await second


async def test_a_license_ends_with_its_last_day(here: Care) -> None:
    last = NOW + 3 * DAY
    await fill(here, valid_until=str(last.date()))
    assert (await shown(here, last)).text == "filled"
    assert (await shown(here, last + DAY)).text == "empty"
    with pytest.raises(InstrumentNotLicensed):
        await answer(here, last + DAY)


async def test_only_an_admin_fills_a_slot_and_only_with_a_text_that_fits(here: Care) -> None:
    for by in ("bob", "alice"):
        with pytest.raises(Forbidden):
            await fill(here, by)
    for code in ("rmdq24", "horoscope"):
        with pytest.raises(NotFound):
            await fill(here, code=code)
    with pytest.raises(InstrumentTextRefused) as refused:
        await fill(
            here,
            items=PLACEHOLDER["items"][:9],
            options=PLACEHOLDER["options"][:5],
            valid_until=str((NOW - timedelta(days=2)).date()),
        )
    assert set(pointers(refused.value.problems)) == {"/items", "/options", "/valid_until"}
    async with here.sessions() as session:
        await here.open(session)
        assert await session.scalar(select(InstrumentImport)) is None


async def test_a_stored_score_is_that_of_its_answers_and_nothing_changes_it(here: Care) -> None:
    await fill(here)
    made = await answer(here)
    async with here.sessions.begin() as session:
        await here.open(session)
        row = await session.get_one(Outcome, (here.clinic_id, made.id))
        again = score(load().measures["odi"], row.answers)
        assert again.scores == row.scores
        assert again.primary_value == row.score
    async with here.sessions() as session:
        await here.open(session)
        with pytest.raises(DBAPIError, match="permission denied"):
            await session.execute(text("UPDATE outcomes SET score = 0"))


async def test_what_has_no_license_any_more_is_neither_asked_nor_reminded_of(here: Care) -> None:
    async def asked(at: Any) -> tuple[list[str], int]:
        async with here.sessions.begin() as session:
            await here.open(session)
            due = [one.instrument for one in (await today.get(session, here.alice, at=at)).instruments]
            return due, await instrument_plans.remind(session, here.clinic_id, at=at)

    await fill(here, valid_until=str((NOW + DAY).date()))
    async with here.sessions.begin() as session:
        await here.open(session)
        await instrument_plans.create(
            session, here.bob, here.episode_id, InstrumentPlanCreate(instrument="odi"), at=NOW
        )
    assert await asked(NOW + 2 * DAY) == ([], 0)
    await fill(here, at=NOW + 2 * DAY, terms_version="of 2027")
    assert await asked(NOW + 2 * DAY) == (["odi"], 1)
    await give_up(here)
    assert await asked(NOW + 3 * DAY) == ([], 0)
