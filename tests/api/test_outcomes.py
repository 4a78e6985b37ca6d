"""Answers to instruments over HTTP."""

from datetime import UTC, datetime
from typing import Any

import pytest
from httpx import AsyncClient

from core.database import Sessions
from schemas.outcomes import NPRS_EXAMPLE, PSFS_EXAMPLE, RMDQ_EXAMPLE
from tests.services.caring import Care, care


@pytest.fixture
async def alices(sessions: Sessions) -> Care:
    return await care(sessions, now=datetime.now(UTC))


def outcomes(here: Care) -> str:
    return f"/v1/episodes/{here.episode_id}/outcomes"


@pytest.mark.parametrize("example", [RMDQ_EXAMPLE, NPRS_EXAMPLE, PSFS_EXAMPLE])
async def test_answers_come_back_scored(client: AsyncClient, alices: Care, example: dict[str, Any]) -> None:
    made = await client.post(outcomes(alices), json=example, headers=alices.world.headers["alice"])
    assert made.status_code == 201
    assert made.headers["location"] == outcomes(alices)
    body = made.json()
    assert (body["instrument"], body["answers"]) == (example["instrument"], example["answers"])
    assert body["score"] is not None
    (listed,) = (await client.get(outcomes(alices), headers=alices.world.headers["bob"])).json()["items"]
    assert listed == {key: value for key, value in body.items() if key != "advice"}


async def test_the_advice_is_in_the_answer_to_an_alarming_answer(client: AsyncClient, alices: Care) -> None:
    phq = {"instrument": "phq9", "answers": {f"q{number}": 1 for number in range(1, 10)}}
    made = await client.post(outcomes(alices), json=phq, headers=alices.world.headers["alice"])
    assert made.status_code == 201
    assert made.json()["advice"]["actions"]


async def test_a_score_cannot_be_sent(client: AsyncClient, alices: Care) -> None:
    for extra in ({"score": 3}, {"change": None}, {"band": "mild"}):
        answer = await client.post(outcomes(alices), json=RMDQ_EXAMPLE | extra, headers=alices.world.headers["alice"])
        assert answer.status_code == 422


async def test_a_wrong_answer_is_named_by_its_place_and_not_repeated(client: AsyncClient, alices: Care) -> None:
    wrong = {"instrument": "nprs", "answers": {"now": 61, "worst_24h": 8, "least_24h": 3}}
    answer = await client.post(outcomes(alices), json=wrong, headers=alices.world.headers["alice"])
    assert answer.status_code == 422
    assert "/answers/now" in {each["pointer"] for each in answer.json()["errors"]}
    assert "61" not in answer.text.replace(answer.json()["request_id"], "")


async def test_the_same_key_gives_the_same_outcome_once(client: AsyncClient, alices: Care) -> None:
    headers = alices.world.headers["alice"] | {"Idempotency-Key": "one"}
    first, again = [await client.post(outcomes(alices), json=RMDQ_EXAMPLE, headers=headers) for _ in range(2)]
    assert (again.json(), again.headers["idempotent-replay"]) == (first.json(), "true")
    listed = await client.get(outcomes(alices), params={"instrument": "rmdq24"}, headers=headers)
    assert len(listed.json()["items"]) == 1
