"""Filters over HTTP, and the views a therapist keeps: his alone, few, named once, changed only as he has read them."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient

from core.database import Sessions
from services.worklist_views import MOST
from tests.services.caring import Care, care

VIEWS = "/v1/worklist/views"
CALL = {"name": "Call today", "filters": {"level": ["high"], "overdue_only": True}}


@pytest.fixture
async def here(sessions: Sessions) -> Care:
    return await care(sessions, now=datetime.now(UTC))


def by(here: Care, name: str = "bob", version: int | None = None) -> dict[str, str]:
    return here.world.headers[name] | ({} if version is None else {"If-Match": f'"{version}"'})


async def keep(client: AsyncClient, here: Care, who: str = "bob", **changes: Any) -> dict[str, Any]:
    answer = await client.post(VIEWS, headers=by(here, who), json=CALL | changes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def test_filters_are_parameters_that_may_be_repeated(client: AsyncClient, here: Care) -> None:
    async def found(query: str) -> Any:
        answer = await client.get(f"/v1/worklist?{query}", headers=by(here))
        return len(answer.json()["items"]) if answer.is_success else (answer.status_code, answer.json()["errors"])

    assert (
        await found("search=ali&episode_status=active&episode_status=on_hold&body_region=low_back&lead_only=true") == 1
    )
    assert await found("search=zoe") == 0
    assert await found("reason=alert&level=high&overdue_only=true") == 0
    status, (error,) = await found("reason=mood")
    assert (status, error["pointer"]) == (422, "#/query/reason/0")
    status, (error,) = await found("body_region=low_back&body_region=lowback")
    assert (status, error["pointer"], error["code"]) == (422, "#/query/body_region", "region_unknown")
    status, (error,) = await found("level=high&urgent=true")
    assert (status, error["code"]) == (422, "query_unknown")


async def test_a_cursor_belongs_to_its_filters(client: AsyncClient, here: Care) -> None:
    filters = {"lead_only": "true", "limit": "1"}
    await client.post("/v1/patients", headers=by(here), json=NEW)
    first = (await client.get("/v1/worklist", headers=by(here), params=filters)).json()
    again = await client.get("/v1/worklist", headers=by(here), params=filters | {"cursor": first["next_cursor"]})
    assert len(again.json()["items"]) == 1
    other = await client.get("/v1/worklist", headers=by(here), params={"cursor": first["next_cursor"], "limit": 1})
    assert (other.status_code, other.json()["code"]) == (422, "unknown_cursor")


NEW = {
    "given_name": "Emil",
    "family_name": "Novak",
    "birth_date": "1990-01-01",
    "zone": "Europe/Berlin",
    "record_number": "N-1",
}


async def test_a_view_is_kept_read_changed_and_removed(client: AsyncClient, here: Care) -> None:
    made = await keep(client, here)
    assert made["filters"] == {
        "reason": [],
        "level": ["high"],
        "episode_status": [],
        "body_region": [],
        "lead_only": False,
        "overdue_only": True,
    }
    assert (await client.get(VIEWS, headers=by(here))).json()["items"] == [made]
    path = f"{VIEWS}/{made['id']}"
    changed = await client.patch(path, headers=by(here, version=1), json={"filters": {"body_region": ["knee"]}})
    assert changed.status_code == 200, changed.text
    assert changed.headers["ETag"] == '"2"'
    assert (changed.json()["name"], changed.json()["filters"]["level"]) == ("Call today", [])
    gone = await client.delete(path, headers=by(here, version=2))
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await client.get(VIEWS, headers=by(here))).json()["items"] == []
    assert (await client.delete(path, headers=by(here, version=2))).status_code == 404
    kept = [action for action in await here.actions() if action.startswith("worklist_view")]
    assert kept == ["worklist_view.create", "worklist_view.update", "worklist_view.remove"]


async def test_a_view_is_changed_and_removed_only_as_it_was_read(client: AsyncClient, here: Care) -> None:
    path = f"{VIEWS}/{(await keep(client, here))['id']}"
    for verb, body in (("PATCH", {"name": "Other"}), ("DELETE", None)):
        blind = await client.request(verb, path, headers=by(here), json=body)
        stale = await client.request(verb, path, headers=by(here, version=3), json=body)
        assert (blind.status_code, stale.status_code, stale.json()["current_version"]) == (428, 412, 1)


async def test_a_view_is_its_owners_alone(client: AsyncClient, here: Care) -> None:
    path = f"{VIEWS}/{(await keep(client, here))['id']}"
    assert (await client.get(VIEWS, headers=by(here, "carol"))).json()["items"] == []
    for verb, body in (("PATCH", {"name": "Other"}), ("DELETE", None)):
        assert (await client.request(verb, path, headers=by(here, "carol", 1), json=body)).status_code == 404
        absent = f"{VIEWS}/{uuid4()}"
        assert (await client.request(verb, absent, headers=by(here, version=1), json=body)).status_code == 404
        for name in ("alice", "dana"):
            assert (await client.request(verb, path, headers=by(here, name, 1), json=body)).status_code == 403
    await keep(client, here, "carol")  # the same name, of somebody else


async def test_a_name_stands_once_with_a_therapist(client: AsyncClient, here: Care) -> None:
    await keep(client, here)
    other = await keep(client, here, name="Knees")
    twice = await client.post(VIEWS, headers=by(here), json=CALL)
    renamed = await client.patch(f"{VIEWS}/{other['id']}", headers=by(here, version=1), json={"name": "Call today"})
    for answer in (twice, renamed):
        assert (answer.status_code, answer.json()["code"]) == (409, "view_name_taken")


async def test_a_therapist_keeps_so_many_views_and_no_more(client: AsyncClient, here: Care) -> None:
    for number in range(MOST):
        await keep(client, here, name=f"View {number}")
    answer = await client.post(VIEWS, headers=by(here), json=CALL)
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_views")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"name": "", "filters": {}}, "/name"),
        ({"name": "x" * 61, "filters": {}}, "/name"),
        ({"name": "x", "filters": {"search": "Moreau"}}, "/filters/search"),
        ({"name": "x", "filters": {"level": ["loud"]}}, "/filters/level/0"),
        ({"name": "x", "filters": {"body_region": ["Low back"]}}, "/filters/body_region/0"),
        ({"name": "x"}, "/filters"),
        ({"name": "Knees", "filters": {"body_region": ["knees"]}}, "/filters/body_region"),
    ],
)
async def test_a_view_that_breaks_a_rule_is_refused(
    client: AsyncClient, here: Care, body: dict[str, Any], pointer: str
) -> None:
    answer = await client.post(VIEWS, headers=by(here), json=body)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]
