"""Probes, pace and headers of the outermost layer."""

import asyncio
import secrets
import threading
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from pydantic import SecretStr

from api import docs
from api.app import NotWired, create_app
from api.front import Limiter
from api.state import of
from core import crypto, revisions
from core.database import Sessions, make_engine
from core.settings import Settings
from tests import factories
from tests.api.conftest import client_of


async def test_a_living_process_says_so_without_a_database(settings: Settings) -> None:
    async with client_of(create_app(settings)) as client:
        answer = await client.get("/livez")
        assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
        assert (await client.get("/readyz")).json() == {"status": "not_ready", "reason": "database", "jobs": None}


async def test_readiness_means_a_database_at_our_revision(app: FastAPI, client: AsyncClient) -> None:
    state = of(app)
    state.head = revisions.head()
    assert (await client.get("/readyz")).json() == {"status": "ready", "reason": None, "jobs": None}
    state.head = "later"
    assert (await client.get("/readyz")).status_code == 200, "a finding stands for a second"
    state.readiness = (None, float("-inf"))
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["reason"], answer.headers["retry-after"]) == (503, "migrations", "1")


async def test_without_migrations_beside_it_only_the_database_counts(app: FastAPI, client: AsyncClient) -> None:
    assert of(app).head is None
    assert (await client.get("/readyz")).status_code == 200


async def test_a_draining_process_takes_no_work(app: FastAPI, client: AsyncClient) -> None:
    of(app).draining = True
    assert (await client.get("/readyz")).json()["reason"] == "draining"
    assert (await client.get("/livez")).status_code == 200


async def test_a_database_that_is_away_or_slow_or_empty_is_not_ready(settings: Settings, database: Any) -> None:
    for url, reason in (
        ("postgresql+asyncpg://nobody@/x?host=/nowhere", "database"),
        ("postgresql+asyncpg://nobody@127.0.0.1:1/x", "database"),
        (database.url("postgres").replace(database.name, "postgres"), "migrations"),
    ):
        engine = make_engine(url)
        app = create_app(settings, engine=engine)
        of(app).head = "0004"
        async with client_of(app) as client:
            answer = await client.get("/readyz")
            assert (answer.status_code, answer.json()["reason"]) == (503, reason)
        await engine.dispose()


async def test_a_hanging_database_is_not_waited_for(settings: Settings, engine: Any) -> None:
    small = make_engine(engine.url.render_as_string(hide_password=False), pool_size=1, pool_timeout=30)
    app = create_app(settings, engine=small)
    async with client_of(app) as client, small.connect():
        async with asyncio.timeout(2):
            assert (await client.get("/readyz")).status_code == 503
    await small.dispose()


async def test_the_app_makes_and_closes_its_own_engine(settings: Settings, sessions: Sessions, database: Any) -> None:
    own = create_app(settings.model_copy(update={"api_database_url": SecretStr(database.api)}))
    async with own.router.lifespan_context(own):
        assert of(own).engine is not None
        assert of(own).head == revisions.head() is not None
    assert of(own).draining
    nowhere = create_app(settings)
    with pytest.raises(NotWired, match="PHYSIO_API_DATABASE_URL"):
        async with nowhere.router.lifespan_context(nowhere):
            pass
    given = create_app(settings, sessions=sessions)
    async with given.router.lifespan_context(given):
        assert of(given).engine is None


async def test_the_document_and_its_pages_are_public(client: AsyncClient) -> None:
    document = await client.get("/openapi.json")
    assert document.json()["openapi"].startswith("3.1")
    page = await client.get("/docs")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "script-src" not in page.headers["content-security-policy"]


async def test_others_are_answered_while_the_document_is_made() -> None:
    made: list[dict[str, Any]] = []
    begun, go = threading.Event(), threading.Event()

    def make() -> dict[str, Any]:
        begun.set()
        assert go.wait(10)
        made.append({"openapi": "3.1.0"})
        return made[-1]

    app = FastAPI(openapi_url=None)
    docs.install(app, make)
    async with AsyncClient(transport=ASGITransport(app), base_url="http://test") as client:
        first, second = (asyncio.create_task(client.get("/openapi.json")) for _ in range(2))
        assert await asyncio.to_thread(begun.wait, 10)
        assert (await client.get("/nothing")).status_code == 404
        go.set()
        assert [(await each).json() for each in (first, second)] == made * 2
    assert len(made) == 1


# ------------------------------------------------------------------ pace


def test_a_bucket_empties_and_fills() -> None:
    limiter = Limiter(per_second=2, burst=3)
    assert [limiter.take(1, 0.0) for _ in range(4)] == [2, 1, 0, -1]
    assert limiter.take(2, 0.0) == 2
    assert limiter.take(1, 0.25) == -0.5
    assert limiter.take(1, 0.5) == 0
    assert limiter.take(1, 100.0) == 2


def test_the_memory_of_the_limiter_is_bounded() -> None:
    limiter = Limiter(per_second=1, burst=1, callers=2)
    for caller in (1, 2, 3):
        assert limiter.take(caller, 0.0) == 0
    assert limiter.take(3, 0.0) < 0
    assert limiter.take(1, 0.0) == 0, "the oldest was forgotten"


@pytest.fixture
def paced(sessions: Sessions, settings: Settings) -> FastAPI:
    origins = ("https://app.clinic.example",)
    changes = {"rate_per_second": 1.0, "rate_burst": 2, "cors_origins": origins}
    return create_app(settings.model_copy(update=changes), sessions=sessions)


async def test_who_asks_too_often_is_told_when_to_come_back(paced: FastAPI) -> None:
    async with client_of(paced) as client:
        first = await client.get("/livez")
        assert first.headers["ratelimit-policy"] == '"caller";q=2;w=2'
        assert first.headers["ratelimit"].startswith('"caller";r=1;t=')
        await client.get("/livez")
        refused = await client.get("/livez")
        assert (refused.status_code, refused.json()["code"]) == (429, "too_many")
        assert refused.headers["retry-after"] == "1"
        assert refused.json()["request_id"] == refused.headers["x-request-id"]


async def test_made_up_tokens_share_the_pace_of_their_address_and_cost_no_database_work(
    sessions: Sessions, settings: Settings, count_statements: Any
) -> None:
    world = await factories.make_world(sessions)
    slow = {"rate_per_second": 0.01, "rate_burst": 4}
    async with client_of(create_app(settings.model_copy(update=slow), sessions=sessions)) as client:

        async def status(headers: dict[str, str]) -> int:
            return (await client.get("/v1/me", headers=headers)).status_code

        def made_up() -> dict[str, str]:
            return factories.bearer(crypto.write_token("physio_at_", secrets.token_bytes(48)))

        assert await status(world.headers["bob"]) == 200, "an address may show a token for the first time"
        assert [await status(made_up()) for _ in range(3)] == [401, 401, 401]
        with count_statements() as statements:
            assert [await status(made_up()) for _ in range(5)] == [429] * 5
        assert len(statements) == 0
        assert [await status(world.headers["bob"]) for _ in range(5)] == [200, 200, 200, 200, 429], "a pace of his own"
        assert await status(world.headers["dana"]) == 429, "not known yet: one of the address's for now"


async def test_a_token_that_reads_like_an_address_uses_up_nothing_of_that_address(paced: FastAPI) -> None:
    elsewhere = ASGITransport(paced, client=("192.0.2.7", 1))
    async with client_of(paced) as client:
        assert (await client.get("/livez")).status_code == 200
        async with AsyncClient(transport=elsewhere, base_url="http://physio.test") as stranger:
            pretending = {"Authorization": "127.0.0.1"}
            assert [(await stranger.get("/livez", headers=pretending)).status_code for _ in range(3)] == [200, 200, 429]
        assert (await client.get("/livez")).status_code == 200


def test_a_token_that_is_known_has_a_bucket_of_its_own() -> None:
    limiter = Limiter(per_second=1, burst=2, callers=2)
    limiter.admit(1, 0.0)
    assert limiter.knows(1)
    assert limiter.take(1, 0.0) == 1
    limiter.admit(1, 0.0)
    assert limiter.take(1, 0.0) == 0, "admitting again fills nothing up"
    limiter.admit(2, 0.0)
    limiter.admit(3, 0.0)
    assert not limiter.knows(1), "old ones make room"


async def test_foreign_pages_may_ask_only_where_the_settings_say_so(paced: FastAPI, client: AsyncClient) -> None:
    origin = {"Origin": "https://app.clinic.example"}
    assert "access-control-allow-origin" not in (await client.get("/livez", headers=origin)).headers
    async with client_of(paced) as allowed:
        answer = await allowed.get("/livez", headers=origin)
        assert answer.headers["access-control-allow-origin"] == "https://app.clinic.example"
