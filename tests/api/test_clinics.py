"""The clinic over HTTP."""

import asyncio
from typing import Any

import pytest
from httpx import AsyncClient

from core.database import Sessions, bind_clinic
from services import clinics
from tests import factories
from tests.factories import World


@pytest.fixture
async def world(sessions: Sessions) -> World:
    return await factories.make_world(sessions)


async def change(client: AsyncClient, world: World, body: Any, *, who: str = "dana", version: int = 1) -> Any:
    headers = world.headers[who] | {"If-Match": f'"{version}"'}
    return await client.patch("/v1/clinic", json=body, headers=headers)


async def test_everybody_sees_the_clinic_with_its_thresholds(client: AsyncClient, world: World) -> None:
    for who in ("alice", "bob", "dana"):
        answer = await client.get("/v1/clinic", headers=world.headers[who])
        assert answer.status_code == 200
        assert answer.headers["etag"] == '"1"'
        told = answer.json()
        assert (told["id"], told["zone"]) == (str(world.clinic.id), "Europe/Berlin")
        assert (told["settings"]["high_pain"], told["settings"]["pain_rise"]) == (7, 2)


async def test_the_admin_changes_it_and_what_she_leaves_out_stays(client: AsyncClient, world: World) -> None:
    hours = {"1": [["13:30", "17:00"], ["09:00", "12:30"]], "6": [["20:00", "24:00"]]}
    answer = await change(
        client,
        world,
        {
            "name": "Riverside",
            "zone": "Europe/Paris",
            "email": "Desk@Riverside.example",
            "staffed_hours": hours,
            "holidays": ["2026-12-25", "2026-01-01", "2026-12-25"],
            "settings": {"high_pain": 6},
        },
    )
    assert answer.status_code == 200
    told = answer.json()
    assert (told["name"], told["zone"], told["email"]) == ("Riverside", "Europe/Paris", "desk@riverside.example")
    assert told["staffed_hours"]["1"] == [["09:00", "12:30"], ["13:30", "17:00"]]
    assert told["holidays"] == ["2026-01-01", "2026-12-25"]
    assert (told["settings"]["high_pain"], told["settings"]["pain_rise"]) == (6, 2)
    assert answer.headers["etag"] == f'"{told["version"]}"'
    second = await change(client, world, {"settings": {"pain_rise": 3}}, version=told["version"])
    assert (second.json()["settings"]["high_pain"], second.json()["settings"]["pain_rise"]) == (6, 3)
    assert second.json()["staffed_hours"] == told["staffed_hours"]


async def test_services_read_the_thresholds_in_force(client: AsyncClient, world: World, sessions: Sessions) -> None:
    await change(client, world, {"settings": {"high_pain": 6}})
    async with sessions() as session:
        await bind_clinic(session, world.clinic.id)
        settings = await clinics.settings_of(session, world.clinic.id)
    assert (settings.high_pain, settings.pain_rise) == (6, 2)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"zone": "Europe/Atlantis"}, "/zone"),
        ({"name": ""}, "/name"),
        ({"name": None}, "/name"),
        ({"name": "x" * 201}, "/name"),
        ({"country": "FR"}, "/country"),
        ({"paper": "a5"}, "/paper"),
        ({"email": "desk"}, "/email"),
        ({"holidays": ["2026-02-30"]}, "/holidays/0"),
        ({"settings": {"high_pain": 11}}, "/settings/high_pain"),
        ({"settings": {"high_pain": "7"}}, "/settings/high_pain"),
        ({"settings": {"mood": 3}}, "/settings/mood"),
        ({"settings": {"pain_rise": 9}}, "/settings/pain_rise"),
        ({"staffed_hours": {"1": [["09:00", "12:00"], ["11:00", "13:00"]]}}, "/staffed_hours/1"),
        ({"staffed_hours": {"1": [["12:00", "09:00"]]}}, "/staffed_hours/1"),
        ({"staffed_hours": {"1": [["09:00", "09:00"]]}}, "/staffed_hours/1"),
        ({"staffed_hours": {"1": [["9:00", "12:00"]]}}, "/staffed_hours/1/0/0"),
        ({"staffed_hours": {"1": [["09:00"]]}}, "/staffed_hours/1/0"),
        ({"staffed_hours": {"8": []}}, "/staffed_hours/8/[key]"),
    ],
)
async def test_what_cannot_be_is_refused_and_changes_nothing(
    client: AsyncClient, world: World, body: Any, pointer: str
) -> None:
    answer = await change(client, world, body)
    assert answer.status_code == 422
    assert pointer in [each["pointer"] for each in answer.json()["errors"]]
    assert (await client.get("/v1/clinic", headers=world.headers["dana"])).json()["version"] == 1


async def test_nobody_else_may_change_it(client: AsyncClient, world: World) -> None:
    for who in ("alice", "bob"):
        assert (await change(client, world, {"name": "Mine"}, who=who)).status_code == 403


async def test_a_change_names_the_version_it_means(client: AsyncClient, world: World) -> None:
    missing = await client.patch("/v1/clinic", json={"name": "Riverside"}, headers=world.headers["dana"])
    assert missing.status_code == 428
    stale = await change(client, world, {"name": "Riverside"}, version=7)
    assert (stale.status_code, stale.json()["current_version"]) == (412, 1)


async def test_of_two_changes_of_one_version_one_is_stale(client: AsyncClient, world: World) -> None:
    answers = await asyncio.gather(*(change(client, world, {"name": f"Riverside {n}"}) for n in range(4)))
    assert sorted(each.status_code for each in answers) == [200, 412, 412, 412]
