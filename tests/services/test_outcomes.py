"""Outcome instruments answered: scores are derived, changes compared, staff and patient told what they must know."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select

from core.database import Sessions
from core.errors import Forbidden, Invalid, NotFound
from models.alerts import Alert, AlertLevel
from models.episodes import Episode, EpisodeStatus
from models.outcomes import Outcome
from schemas.outcomes import OutcomeCreate, OutcomeScored
from schemas.pages import Page
from services import outcomes
from services.episode_gate import EpisodeClosed
from services.instruments import UnknownInstrument
from services.outcomes import AdministeredAtRefused, SupersedesRefused
from tests.factories import NOW, locate
from tests.services.caring import DAY, Care, care

RMDQ = {f"q{number}": number <= 12 for number in range(1, 25)}
BETTER = {f"q{number}": number <= 4 for number in range(1, 25)}
PHQ = {f"q{number}": 1 for number in range(1, 10)}


@pytest.fixture
async def alices(sessions: Sessions) -> Care:
    return await care(sessions)


async def answer(
    here: Care, instrument: str, answers: dict[str, Any], *, by: str = "alice", at: Any = NOW, **more: Any
) -> OutcomeScored:
    form = OutcomeCreate.model_validate({"instrument": instrument, "answers": answers} | more)
    async with here.sessions.begin() as session:
        await here.open(session)
        return await outcomes.create(session, here.world.actors[by], here.episode_id, form, at=at)


async def alerts_of(here: Care) -> list[Alert]:
    async with here.sessions() as session:
        await here.open(session)
        return list(await session.scalars(select(Alert)))


async def test_answers_become_a_score_and_the_first_has_nothing_to_compare_with(alices: Care) -> None:
    first = await answer(alices, "rmdq24", RMDQ)
    assert (first.score, first.score_id is not None, first.change) == (12, True, None)
    assert (first.administered_at, first.administered_on) == (NOW, NOW.date())
    assert (first.advice, first.fired, await alerts_of(alices)) == (None, [], [])
    assert "outcome.create" in await alices.actions()


async def test_a_later_response_is_compared_with_the_first_of_the_episode(alices: Care) -> None:
    first = await answer(alices, "rmdq24", RMDQ)
    await answer(alices, "rmdq24", BETTER | {"q5": True}, at=NOW + 7 * DAY)
    later = await answer(alices, "rmdq24", BETTER, at=NOW + 14 * DAY, by="bob")
    assert later.change is not None
    assert (later.change.baseline_id, later.change.points) == (first.id, -8)
    assert later.change.improved_points
    assert later.change.improved_percent
    assert not later.change.worsened_points


async def test_a_worse_outcome_reaches_the_therapist(alices: Care) -> None:
    await answer(alices, "rmdq24", BETTER)
    worse = await answer(alices, "rmdq24", RMDQ, at=NOW + 14 * DAY)
    assert worse.change is not None
    assert worse.change.worsened_points
    (alert,) = await alerts_of(alices)
    assert (alert.rule_id, alert.source_type, alert.source_id) == ("ES11", "outcome", worse.id)
    assert worse.advice is None


async def test_a_hint_of_self_harm_brings_advice_at_once_and_an_alert(alices: Care) -> None:
    scored = await answer(alices, "phq9", PHQ)
    assert scored.advice is not None
    assert scored.advice.actions
    assert [rule.action for rule in scored.fired] == ["safety_flow"]
    (alert,) = await alerts_of(alices)
    assert alert.rule_id == "ES02"
    assert alert.level in {AlertLevel.URGENT_SAME_DAY, AlertLevel.EMERGENCY_NOW}


async def test_the_advice_names_the_numbers_of_the_place_where_the_patient_is(alices: Care) -> None:
    at_home = await answer(alices, "phq9", PHQ)
    async with alices.sessions.begin() as session:
        await alices.open(session)
        await locate(session, alices.world.alice, "US", "CA", at=NOW + DAY)
    abroad = await answer(alices, "phq9", PHQ, at=NOW + 2 * DAY)
    assert at_home.advice is not None
    assert abroad.advice is not None
    assert at_home.advice != abroad.advice


async def test_no_hint_no_alarm(alices: Care) -> None:
    scored = await answer(alices, "phq9", PHQ | {"q9": 0})
    assert (scored.advice, scored.fired, await alerts_of(alices)) == (None, [], [])


async def test_activities_of_the_psfs_are_compared_one_by_one(alices: Care) -> None:
    stairs = {"id": "stairs", "name": "Climb two flights of stairs"}
    await answer(alices, "psfs", {"activities": [{**stairs, "rating": 3}]})
    later = await answer(alices, "psfs", {"activities": [{**stairs, "rating": 7}]}, at=NOW + 28 * DAY)
    assert later.change is not None
    assert (later.change.points, later.change.activities_compared) == (4, 1)


async def test_a_correction_stands_in_the_place_of_what_it_corrects(alices: Care) -> None:
    wrong = await answer(alices, "rmdq24", RMDQ)
    right = await answer(alices, "rmdq24", BETTER, supersedes_id=str(wrong.id), at=NOW + timedelta(minutes=2))
    assert (right.supersedes_id, right.change) == (wrong.id, None)
    later = await answer(alices, "rmdq24", RMDQ, at=NOW + 14 * DAY)
    assert later.change is not None
    assert later.change.baseline_id == right.id
    for taken in (wrong.id, uuid4()):
        with pytest.raises(SupersedesRefused):
            await answer(alices, "rmdq24", RMDQ, supersedes_id=str(taken), at=NOW + 15 * DAY)
    async with alices.sessions() as session:
        await alices.open(session)
        kept = await session.scalars(outcomes.standing(alices.clinic_id).order_by(Outcome.administered_at))
        assert [row.id for row in kept] == [right.id, later.id]


async def test_another_instruments_response_cannot_be_corrected_by_it(alices: Care) -> None:
    pain = await answer(alices, "nprs", {"now": 6, "worst_24h": 8, "least_24h": 3})
    with pytest.raises(SupersedesRefused):
        await answer(alices, "rmdq24", RMDQ, supersedes_id=str(pain.id))


async def test_paper_answers_come_later_but_neither_from_the_future_nor_from_before_the_episode(alices: Care) -> None:
    hour = timedelta(hours=1)
    late = await answer(alices, "rmdq24", RMDQ, administered_at=(NOW - hour).isoformat())
    assert late.administered_at == NOW - hour
    for moment in (NOW + hour, NOW - 3 * DAY):
        with pytest.raises(AdministeredAtRefused):
            await answer(alices, "rmdq24", RMDQ, administered_at=moment.isoformat())


async def test_answers_from_before_the_present_baseline_have_nothing_to_compare_with(alices: Care) -> None:
    await answer(alices, "rmdq24", BETTER)
    earlier = await answer(alices, "rmdq24", RMDQ, administered_at=(NOW - timedelta(hours=3)).isoformat())
    assert earlier.change is None


async def test_what_the_instrument_does_not_ask_is_refused(alices: Care) -> None:
    with pytest.raises(UnknownInstrument):
        await answer(alices, "horoscope", {})
    for answers in ({"q99": True}, {"q1": 3}, {"now": 11, "worst_24h": 8, "least_24h": 3}):
        with pytest.raises(Invalid):
            await answer(alices, "nprs" if "now" in answers else "rmdq24", answers)
    async with alices.sessions() as session:
        await alices.open(session)
        assert (await session.scalars(select(Outcome))).all() == []


async def test_a_discharged_episode_takes_no_answers(alices: Care) -> None:
    async with alices.sessions.begin() as session:
        await alices.open(session)
        episode = await session.get_one(Episode, (alices.clinic_id, alices.episode_id))
        episode.status, episode.discharged_at = EpisodeStatus.DISCHARGED, NOW
    with pytest.raises(EpisodeClosed):
        await answer(alices, "rmdq24", RMDQ)


async def test_responses_are_listed_newest_first_and_by_instrument(alices: Care) -> None:
    first = await answer(alices, "rmdq24", RMDQ)
    pain = await answer(alices, "nprs", {"now": 6, "worst_24h": 8, "least_24h": 3}, at=NOW + DAY)
    last = await answer(alices, "rmdq24", BETTER, at=NOW + 2 * DAY)

    async def listed(**wanted: Any) -> list[UUID]:
        async with alices.sessions.begin() as session:
            await alices.open(session)
            options = {"instrument": None, "at": NOW + 3 * DAY} | wanted
            page = await outcomes.browse(session, alices.bob, alices.episode_id, Page(), **options)
            return [row.id for row in page.items]

    assert await listed() == [last.id, pain.id, first.id]
    assert await listed(instrument="rmdq24") == [last.id, first.id]
    assert await listed(instrument="horoscope") == []
    assert (await alices.actions()).count("outcome.list") == 3


async def test_nobody_else_answers_or_looks(alices: Care) -> None:
    with pytest.raises(NotFound):
        await answer(alices, "rmdq24", RMDQ, by="carol")
    with pytest.raises(Forbidden):
        await answer(alices, "rmdq24", RMDQ, by="dana")
    for name, refusal in (("carol", NotFound), ("dana", Forbidden)):
        async with alices.sessions() as session:
            await alices.open(session)
            with pytest.raises(refusal):
                await outcomes.browse(
                    session, alices.world.actors[name], alices.episode_id, Page(), instrument=None, at=NOW
                )


def test_ratings_are_those_of_rated_activities() -> None:
    rated = {"activities": [{"id": "stairs", "rating": 3}, {"id": "lift"}]}
    assert outcomes.ratings(rated) == {"stairs": 3}
    assert outcomes.ratings({"q1": True}) == {}
