"""Outcome instruments over HTTP: what an app needs to ask the questions."""

from typing import Any

import pytest
from httpx import AsyncClient

from clinical.library import load
from core.database import Sessions
from tests.factories import World, make_world


@pytest.fixture
async def world(sessions: Sessions) -> World:
    return await make_world(sessions)


async def test_all_instruments_are_listed_with_their_attribution(client: AsyncClient, world: World) -> None:
    page = (await client.get("/v1/instruments", headers=world.headers["alice"])).json()
    assert [each["code"] for each in page["items"]] == sorted(load().measures)
    assert page["next_cursor"] is None
    for each in page["items"]:
        assert each["attribution"]
        assert each["est_minutes"] > 0


@pytest.mark.parametrize("code", sorted(load().instruments))
async def test_an_instrument_shows_what_to_ask_and_how_to_answer(client: AsyncClient, world: World, code: str) -> None:
    shown: dict[str, Any] = (await client.get(f"/v1/instruments/{code}", headers=world.headers["bob"])).json()
    instrument = load().instruments[code]
    assert (shown["code"], shown["version"], shown["title"]) == (code, instrument.version, instrument.title)
    assert [each["id"] for each in shown["items"]] == [each.id for each in instrument.items]
    assert shown["answer_type"] in {"activities", "option", "integer", "boolean"}
    assert shown["answer_type"] == "activities" or shown["items"]
    assert shown["answer_type"] != "option" or shown["options"] or any("options" in each for each in shown["items"])
    assert shown["scores"]


async def test_an_unknown_instrument_is_not_there(client: AsyncClient, world: World) -> None:
    answer = await client.get("/v1/instruments/horoscope", headers=world.headers["bob"])
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
