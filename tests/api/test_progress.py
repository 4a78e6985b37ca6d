"""Progress over HTTP."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from core.database import Sessions
from services import documents
from tests.api.conftest import Statements
from tests.services.caring import Care, care
from tests.services.histories import check_in, exercised, outcome, roland


@pytest.fixture
async def world(sessions: Sessions) -> AsyncIterator[Care]:
    made = await care(sessions, now=datetime.now(UTC))
    yield made
    await documents.close()


@pytest.fixture
def path(world: Care) -> str:
    return f"/v1/patients/{world.world.alice.id}/progress"


async def ask(
    client: httpx.AsyncClient, world: Care, path: str, who: str = "bob", accept: str | None = None
) -> httpx.Response:
    headers = dict(world.world.headers[who])
    if accept is not None:
        headers["Accept"] = accept
    return await client.get(path, headers=headers)


async def test_progress_is_one_call(client: httpx.AsyncClient, world: Care, path: str) -> None:
    today = datetime.now(UTC).date()
    await check_in(world, today - timedelta(days=2), pain_now=6, flare=False)
    answer = await ask(client, world, f"{path}?from={today - timedelta(days=6)}&to={today}")
    assert answer.status_code == 200
    body = answer.json()
    assert [point["value"] for point in body["pain"]["now"]["points"]] == [None, None, None, None, 6.0, None, None]
    assert body["episode_id"] == str(world.episode_id)
    assert body["adherence"]["session_percent"] is None
    assert (await ask(client, world, path, "alice")).status_code == 200


@pytest.mark.parametrize(("who", "status"), [("carol", 404), ("dana", 403)])
async def test_who_may_not_look_gets_nothing(
    client: httpx.AsyncClient, world: Care, path: str, who: str, status: int
) -> None:
    for each in (path, f"{path}/charts/pain"):
        answer = await ask(client, world, each, who)
        assert answer.status_code == status
        assert answer.headers["content-type"] == "application/problem+json"
    assert "progress.read" not in await world.actions()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("from=2026-02-02&to=2026-02-01", "period_refused"),
        ("from=2024-01-01&to=2026-02-01", "period_refused"),
        ("from=0001-01-01", "period_refused"),
        ("from=yesterday", None),
        ("since=2026-01-01", None),
    ],
)
async def test_periods_that_make_no_sense_are_422(
    client: httpx.AsyncClient, world: Care, path: str, query: str, code: str | None
) -> None:
    answer = await ask(client, world, f"{path}?{query}")
    assert answer.status_code == 422
    assert code is None or answer.json()["code"] == code
    assert answer.json()["errors"]


@pytest.mark.parametrize("name", ["pain", "function", "adherence"])
@pytest.mark.parametrize(
    ("accept", "media_type", "begins"),
    [
        (None, "application/vnd.vegalite.v5+json", b"{"),
        ("application/json", "application/json", b"{"),
        ("image/svg+xml", "image/svg+xml", b"<svg"),
        ("image/png, image/svg+xml;q=0.4", "image/png", b"\x89PNG"),
    ],
)
async def test_a_chart_comes_in_the_form_that_is_accepted(
    client: httpx.AsyncClient, world: Care, path: str, name: str, accept: str | None, media_type: str, begins: bytes
) -> None:
    answer = await ask(client, world, f"{path}/charts/{name}", "alice", accept)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    assert answer.headers["vary"] == "Accept"
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert answer.content.startswith(begins)


async def test_an_outcome_chart_is_of_the_instrument_that_is_named(
    client: httpx.AsyncClient, world: Care, path: str
) -> None:
    today = datetime.now(UTC).date()
    await outcome(world, today, "rmdq24", roland(14))
    answer = await ask(client, world, f"{path}/charts/outcomes?instrument=rmdq24")
    assert answer.json()["title"] == "Roland-Morris Disability Questionnaire (24 items)"
    assert (await ask(client, world, f"{path}/charts/outcomes?instrument=nprs")).status_code == 404


async def test_what_cannot_be_accepted_is_406_and_an_unknown_chart_422(
    client: httpx.AsyncClient, world: Care, path: str
) -> None:
    refused = await ask(client, world, f"{path}/charts/pain", accept="text/html")
    assert (refused.status_code, refused.json()["code"]) == (406, "not_acceptable")
    assert (await ask(client, world, f"{path}/charts/mood")).status_code == 422


async def test_a_chart_that_cannot_be_drawn_now_is_503(
    client: httpx.AsyncClient, world: Care, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.documents.drawing.COMMAND", ("false",))
    answer = await ask(client, world, f"{path}/charts/pain", accept="image/png")
    assert (answer.status_code, answer.json()["retryable"]) == (503, True)
    assert answer.headers["retry-after"] == "2"


async def test_the_number_of_statements_does_not_depend_on_the_days(
    client: httpx.AsyncClient,
    world: Care,
    path: str,
    count_statements: Callable[[], AbstractContextManager[Statements]],
) -> None:
    now = datetime.now(UTC)
    program = await world.running(at=now)
    today = now.date()
    for number in range(30):
        await check_in(world, today - timedelta(days=number), pain_now=number % 10)
    await exercised(world, program, today)
    await outcome(world, today, "rmdq24", roland(14))
    counts: list[int] = []
    bodies: list[Any] = []
    for days in (7, 200):
        with count_statements() as statements:
            answer = await ask(client, world, f"{path}?from={today - timedelta(days=days - 1)}&to={today}")
        bodies.append(answer.json())
        counts.append(len(statements))
    assert [len(body["pain"]["now"]["points"]) for body in bodies] == [7, 200]
    assert counts[0] == counts[1] <= 11
