"""The exercise library over HTTP."""

from typing import Any

import pytest
from httpx import AsyncClient

from core.database import Sessions, bind_clinic
from schemas.exercises import EXAMPLE
from services import library
from tests.factories import World, make_world


@pytest.fixture
async def world(sessions: Sessions) -> World:
    world = await make_world(sessions)
    async with sessions.begin() as session:
        await bind_clinic(session, world.clinic.id)
        await library.sync(session, world.clinic.id)
    return world


async def test_an_exercise_is_added_read_changed_and_retired(client: AsyncClient, world: World) -> None:
    bob = world.headers["bob"]
    made = await client.post("/v1/exercises", json=EXAMPLE, headers=bob)
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    where = made.headers["location"]
    read = await client.get(where, headers=bob)
    assert read.json() == made.json()
    tag = read.headers["etag"]
    assert (await client.get(where, headers=bob | {"If-None-Match": tag})).status_code == 304
    german = await client.get(where, params={"language": "de-AT"}, headers=bob | {"If-None-Match": tag})
    assert (german.status_code, german.json()["shown_in"]) == (200, "de")
    spoken = bob | {"Accept-Language": "pt;q=0, en;q=0.5, de-AT, *;q=0.1"}
    heard = await client.get(where, headers=spoken)
    assert (heard.json(), heard.headers["etag"]) == (german.json(), german.headers["etag"])
    assert (heard.headers["content-language"], heard.headers["vary"]) == ("de", "Accept-Language")
    same = await client.get(where, headers=spoken | {"If-None-Match": heard.headers["etag"]})
    assert (same.status_code, same.headers["vary"]) == (304, "Accept-Language")
    asked = await client.get(where, params={"language": "en"}, headers=spoken)
    assert (asked.json()["shown_in"], asked.headers["content-language"]) == ("en", "en")
    listed = await client.get("/v1/exercises", params={"scope": "own"}, headers=spoken)
    assert ([one["shown_in"] for one in listed.json()["items"]], listed.headers["content-language"]) == (["de"], "de")
    changed = await client.patch(where, json={"retired": True}, headers=bob | {"If-Match": tag})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert changed.json()["retired_at"] is not None
    stale = await client.patch(where, json={"retired": False}, headers=bob | {"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)


async def test_part_of_a_dose_is_a_whole_dose_with_the_usual_rest(client: AsyncClient, world: World) -> None:
    bob = world.headers["bob"]
    where = (await client.post("/v1/exercises", json=EXAMPLE, headers=bob)).headers["location"]
    change = {"default_dosage": {"hold_seconds": 20}}
    changed = await client.patch(where, json=change, headers=bob | {"If-Match": '"1"'})
    assert changed.json()["default_dosage"] == {
        "sets": 1,
        "reps": None,
        "hold_seconds": 20,
        "duration_seconds": None,
        "per_side": False,
        "sessions_per_day": 1,
        "days_per_week": 7,
        "rest_seconds": None,
        "tempo": None,
        "max_effort": 5,
        "load": None,
    }


async def test_the_library_is_browsed_by_filters_page_by_page(client: AsyncClient, world: World) -> None:
    seen, cursor = list[str](), None
    while True:
        params: dict[str, Any] = {"phase": "mobility", "limit": 10} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/exercises", params=params, headers=world.headers["alice"])).json()
        seen += [each["code"] for each in page["items"]]
        assert all(each["phase"] == "mobility" for each in page["items"])
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) > 10


@pytest.mark.parametrize(
    "wanted", [{"search": "  "}, {"search": "a\x01"}, {"position": "x" * 101}, {"phase": "magic"}, {"retired": "maybe"}]
)
async def test_a_filter_that_cannot_be_is_refused(client: AsyncClient, world: World, wanted: dict[str, str]) -> None:
    answer = await client.get("/v1/exercises", params=wanted, headers=world.headers["bob"])
    assert answer.status_code == 422


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({**EXAMPLE, "code": "Not A Code"}, "/code"),
        ({**EXAMPLE, "instructions": []}, "/instructions"),
        ({**EXAMPLE, "owner_id": "0198c0de-7a11-7000-8000-000000000001"}, "/owner_id"),
        ({**EXAMPLE, "default_dosage": {"sets": 0, "reps": 5}}, "/default_dosage/sets"),
        ({**EXAMPLE, "default_dosage": {"sets": 2}}, "/default_dosage"),
        ({**EXAMPLE, "phase": "magic"}, "/phase"),
    ],
)
async def test_what_is_no_exercise_is_refused_at_its_place(
    client: AsyncClient, world: World, body: dict[str, Any], pointer: str
) -> None:
    answer = await client.post("/v1/exercises", json=body, headers=world.headers["bob"])
    assert answer.status_code == 422
    assert pointer in {each["pointer"] for each in answer.json()["errors"]}


async def test_nothing_is_emptied_by_null(client: AsyncClient, world: World) -> None:
    bob = world.headers["bob"]
    where = (await client.post("/v1/exercises", json=EXAMPLE, headers=bob)).headers["location"]
    for field in ("name", "position", "equipment", "default_dosage", "retired"):
        answer = await client.patch(where, json={field: None}, headers=bob | {"If-Match": '"1"'})
        assert answer.status_code == 422, field


async def test_a_shipped_exercise_and_a_taken_code_are_conflicts(client: AsyncClient, world: World) -> None:
    bob = world.headers["bob"]
    found = await client.get("/v1/exercises", params={"search": "bridge", "limit": 1}, headers=bob)
    shipped = found.json()["items"][0]
    change = await client.patch(
        f"/v1/exercises/{shipped['id']}", json={"name": "Mine"}, headers=bob | {"If-Match": f'"{shipped["version"]}"'}
    )
    assert (change.status_code, change.json()["code"]) == (409, "shipped_exercise")
    taken = await client.post("/v1/exercises", json={**EXAMPLE, "code": shipped["code"]}, headers=bob)
    assert (taken.status_code, taken.json()["code"]) == (409, "code_taken")


@pytest.mark.parametrize(
    ("slot", "pointer"),
    [
        ({"license": None}, "/media/0/license"),
        ({"license": " "}, "/media/0/license"),
        ({"attribution": ""}, "/media/0/attribution"),
        ({"url": "http://media.example/a.mp4"}, "/media/0/url"),
        ({"url": "https://bob:secret@media.example/a.mp4"}, "/media/0/url"),
        ({"url": "https://[::1/a.mp4"}, "/media/0/url"),
        ({"url": "https://media.example/a b.mp4"}, "/media/0/url"),
        ({"kind": "program"}, "/media/0/kind"),
        ({"sha256": "0"}, "/media/0/sha256"),
    ],
)
async def test_media_without_terms_or_a_plain_address_are_refused(
    client: AsyncClient, world: World, slot: dict[str, Any], pointer: str
) -> None:
    body = {**EXAMPLE, "media": [{**EXAMPLE["media"][0], **slot}]}
    answer = await client.post("/v1/exercises", json=body, headers=world.headers["bob"])
    assert (answer.status_code, [each["pointer"] for each in answer.json()["errors"]]) == (422, [pointer])
    assert "secret" not in answer.text


async def test_a_search_forgives_typing_and_its_pages_go_on_with_the_best_match_first(
    client: AsyncClient, world: World
) -> None:
    async def found(words: str, **more: Any) -> list[str]:
        page = await client.get("/v1/exercises", params={"search": words, **more}, headers=world.headers["alice"])
        assert page.status_code == 200, page.text
        return [each["code"] for each in page.json()["items"]]

    for typed in ("single bridge", "brigde", "singel leg brigde"):
        assert "hp_bridge_single" in await found(typed), typed
    assert (await found("bridge"))[0] == "hp_bridge"
    assert await found("zzzzz") == []
    assert await found("bridge", region="neck") == []
    whole, cursor, seen = await found("birds dogs", limit=200), None, list[str]()
    while True:
        params: dict[str, Any] = {"search": "birds dogs", "limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await client.get("/v1/exercises", params=params, headers=world.headers["alice"])).json()
        seen += [each["code"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == whole
    assert {"co_bird_dog", "co_bird_dog_leg"} <= {*seen[:2]}


async def test_a_file_goes_out_and_in_over_http(client: AsyncClient, world: World) -> None:
    bob = world.headers["bob"]
    for kind, media_type in (("yaml", "application/yaml"), ("csv", "text/csv; charset=utf-8")):
        out = await client.get("/v1/exercise-files", params={"format": kind}, headers=bob)
        assert (out.status_code, out.headers["content-type"]) == (200, media_type)
        assert out.headers["content-disposition"] == f'attachment; filename="exercises.{kind}"'
        headers = bob | {"Content-Type": media_type, "Idempotency-Key": f"again-{kind}"}
        for _ in range(2):
            back = await client.post("/v1/exercise-files", content=out.content, headers=headers)
            assert (back.status_code, back.json()["unchanged"], back.json()["updated"]) == (200, 60, 0)
        assert back.headers["idempotent-replay"] == "true"
    text = {"Content-Type": "text/csv"}
    wrong = await client.post("/v1/exercise-files", content=b"code,reps\nhp_bridge,x\n", headers=bob | text)
    assert (wrong.status_code, wrong.json()["code"]) == (422, "import_refused")
    assert [each["line"] for each in wrong.json()["problems"]] == [2] * len(wrong.json()["problems"])
    for content, headers, status in (
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"code\n", {"Content-Type": "text/csv", "Content-Encoding": "gzip"}, 415),
        (b"\xff", text, 400),
        (b"x" * (2 * 1024 * 1024 + 1), text, 413),
        (b"code\n", text | {"Idempotency-Key": "again-csv"}, 422),
    ):
        answer = await client.post("/v1/exercise-files", content=content, headers=bob | headers)
        assert answer.status_code == status, content[:10]
