"""Who speaks of harming himself reads whom to call: in the answer, and in each refusal."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient
from sqlalchemy import select

from clinical.escalation import speaks_of_self_harm
from core.crypto import new_id
from core.database import Sessions
from models.alerts import Alert
from tests.services.caring import Care, care

WORDS = "Tired. I want to end it all"
ITEM_NINE: dict[str, Any] = {"instrument": "phq9", "answers": {"q9": 1}}


@pytest.fixture
async def alices(sessions: Sessions) -> Care:
    return await care(sessions, now=datetime.now(UTC))


async def raised(here: Care) -> list[tuple[str, str, dict[str, Any]]]:
    async with here.sessions() as session:
        await here.open(session)
        rows = await session.scalars(select(Alert).where(Alert.clinic_id == here.clinic_id))
        return [(row.rule_id, row.source_type, row.inputs) for row in rows]


async def test_every_refusal_carries_the_advice(client: AsyncClient, alices: Care) -> None:
    me = alices.world.headers["alice"]
    outcomes, check_in = f"/v1/episodes/{alices.episode_id}/outcomes", f"/v1/check-ins/{new_id(datetime.now(UTC))}"
    daily = {"question_set": "daily", "answers": {"note": WORDS}}
    lines = {"performed_at": datetime.now(UTC).isoformat(), "device_zone": "Europe/Berlin"}
    logged = lines | {"items": [{"item_id": str(uuid4()), "note": WORDS}]}
    event = {"kind": "mood", "description": WORDS, "occurred_on": "2100-01-01"}
    refusals = [
        await client.post(outcomes, json=ITEM_NINE, headers=me),
        await client.post(outcomes, json=ITEM_NINE | {"extra": 1}, headers=me),
        await client.post(f"/v1/episodes/{uuid4()}/outcomes", json=ITEM_NINE, headers=me),
        await client.put(check_in, json=daily, headers=me),
        await client.put(check_in, json=daily | {"extra": 1}, headers=me),
        await client.post(f"{check_in}/answers", json={"answers": {"note": WORDS}}, headers=me),
        await client.put(f"/v1/sessions/{new_id(datetime.now(UTC))}", json=logged, headers=me),
        await client.post(f"/v1/patients/{alices.world.alice.id}/adverse-events", json=event, headers=me),
    ]
    for place, answer in enumerate(refusals):
        assert answer.status_code in {404, 409, 422}, (place, answer.text)
        advice = answer.json()["advice"]
        assert "call_emergency" in advice["actions"], place
        assert "could not be kept" in advice["text"], place
    quiet = await client.put(check_in, json=daily | {"answers": {"note": "Fine"}}, headers=me)
    assert (quiet.status_code, "advice" in quiet.json()) == (422, False)
    assert await raised(alices) == [], "a refusal changes nothing"


async def test_words_in_a_session_and_in_a_report_are_heeded_as_well(client: AsyncClient, alices: Care) -> None:
    me, now = alices.world.headers["alice"], datetime.now(UTC)
    program = await alices.running(at=now)
    assert program.shown is not None
    item = {"item_id": str(program.shown.phases[0].items[0].id), "sets": [{"reps": 5}]}
    body = {"performed_at": datetime.now(UTC).isoformat(), "device_zone": "Europe/Berlin", "items": [item]}
    quiet = await client.put(f"/v1/sessions/{new_id(now)}", json=body, headers=me)
    assert (quiet.status_code, quiet.json()["advice"]) == (201, None)
    path, words = f"/v1/sessions/{new_id(now)}", body | {"items": [item | {"note": WORDS}]}
    for status in (201, 200):
        told = await client.put(path, json=words, headers=me)
        assert (told.status_code, told.json()["advice"]["emergency_number"]) == (status, "112")
    corrections = [
        await client.put(f"/v1/sessions/{new_id(now)}", json=words | {"supersedes_id": told.json()["id"]}, headers=me)
        for _ in range(2)
    ]
    assert [answer.status_code for answer in corrections] == [201, 409], "and the database has ended that transaction"
    assert "(or the emergency number of the place" in corrections[1].json()["advice"]["text"]
    event = {"kind": "mood", "description": WORDS, "occurred_on": str(now.date())}
    made = await client.post(f"/v1/patients/{alices.world.alice.id}/adverse-events", json=event, headers=me)
    assert made.json()["advice"] == told.json()["advice"]
    assert "Your clinic is told" in made.json()["advice"]["text"]
    ((rule, source, inputs),) = await raised(alices)
    assert (rule, source, inputs["crisis_word"]) == ("ES02", "session", True), "one alert, its repeats counted"
    assert WORDS not in str(inputs)


def test_what_is_heeded_in_what_could_not_be_read() -> None:
    assert speaks_of_self_harm([{"deep": ["", {"er": WORDS}]}])
    assert speaks_of_self_harm(ITEM_NINE)
    for said in (
        None,
        9,
        True,
        {},
        ITEM_NINE | {"answers": {"q9": 0}},
        ITEM_NINE | {"answers": []},
        {"answers": {"q9": 3}},
    ):
        assert not speaks_of_self_harm(said)
