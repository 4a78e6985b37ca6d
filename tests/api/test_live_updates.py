"""Live updates of a real server process: many writers, lost connections, lost access, a lost database."""

import asyncio
import random
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import pytest
from sqlalchemy import text, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import DBAPIError

from core.database import Sessions, as_identity, bind_clinic, make_engine, make_sessions
from dev.postgres import EmbeddedPostgres
from models.care_team import CareLink, CareRole
from models.identity import Role, SignIn
from services import audit
from tests import factories
from tests.conftest import Database, migrate
from tests.factories import World, bearer, make_world
from tests.live import Live, serving
from tests.stream import Listener, listening


@dataclass(frozen=True)
class Stage:
    """A live server, and a clinic on its database."""

    live: Live
    database: Database
    sessions: Sessions
    world: World
    client: httpx.AsyncClient

    def listen(self, who: str = "bob", *, last_id: str | None = None) -> AbstractAsyncContextManager[Listener]:
        return listening(self.client, self.world.headers[who], last_id=last_id)

    async def write(self, action: str = "goal.update", *, held: float = 0, count: int = 1) -> list[str]:
        """Leave traces about alice in one transaction that stays open for a while; give the ids, in order."""
        things = [uuid4() for _ in range(count)]
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.world.clinic.id)
            for thing in things:
                await audit.record(
                    session,
                    self.world.actors["bob"],
                    action,
                    at=datetime.now(UTC),
                    subject=(action.partition(".")[0], thing),
                    patient_id=self.world.alice.id,
                )
                await session.execute(text("SELECT pg_sleep(:seconds)"), {"seconds": held / count})
        return [str(thing) for thing in things]


@asynccontextmanager
async def on(database: Database, folder: Path) -> AsyncIterator[Stage]:
    engine = make_engine(database.api, pool_size=8, pool_timeout=30)
    sessions = make_sessions(engine)
    world = await make_world(sessions)
    limits = httpx.Limits(max_connections=None)
    with serving(database, folder) as live:
        async with httpx.AsyncClient(base_url=live.url, timeout=30, limits=limits) as client:
            yield Stage(live, database, sessions, world, client)
    await engine.dispose()
    assert live.process.returncode == 0, live.said
    assert "Traceback" not in live.said


@pytest.fixture
async def stage(fresh_database: Database, tmp_path: Path) -> AsyncIterator[Stage]:
    async with on(fresh_database, tmp_path) as made:
        yield made


async def test_what_many_writers_commit_out_of_order_arrives_once_over_connections_that_break(stage: Stage) -> None:
    chance = random.Random(20260302)
    lengths = [(chance.random() / 4, chance.randint(1, 3)) for _ in range(60)]
    line = asyncio.Semaphore(8)

    async def writer(held: float, count: int) -> list[str]:
        async with line:
            return await stage.write(held=held, count=count)

    async with stage.listen() as first:
        assert await first.control() == "ready"
        last_id = first.reader.last_id
    writing = asyncio.gather(*(writer(*each) for each in lengths))
    got: list[str] = []
    total = sum(count for _, count in lengths)
    while len(got) < total:
        async with stage.listen(last_id=last_id) as listener:  # a connection that breaks after a few events
            for _ in range(min(chance.randint(1, 12), total - len(got))):
                got.append((await listener.event())["resource_id"])
                last_id = listener.reader.last_id
    written = await writing
    assert len(got) == len(set(got)), "none twice"
    assert set(got) == {thing for each in written for thing in each}, "none lost"
    for each in written:
        places = [got.index(thing) for thing in each]
        assert places == sorted(places), "in the order in which they were written"
    after = await stage.write()
    async with stage.listen(last_id=last_id) as listener:
        assert (await listener.event())["resource_id"] == after[0]


async def test_a_listener_who_is_up_to_date_is_told_of_a_thousand_at_once(stage: Stage) -> None:
    async with stage.listen() as bob:
        assert await bob.control() == "ready"
        async with stage.sessions.begin() as session:
            await bind_clinic(session, stage.world.clinic.id)
            things = [uuid4() for _ in range(1_500)]
            at = datetime.now(UTC)
            alice, actor = stage.world.alice.id, stage.world.actors["bob"]
            for thing in things:
                await audit.record(session, actor, "goal.update", at=at, subject=("goal", thing), patient_id=alice)
        async with asyncio.timeout(10):  # a page of 100 with each look, once a second, would take 15
            got = [(await bob.event())["resource_id"] for _ in things]
    assert got == [str(thing) for thing in things]


async def test_who_loses_his_patient_is_told_nothing_more_and_who_has_one_is(stage: Stage) -> None:
    async with stage.listen("bob") as bob, stage.listen("alice") as alice, stage.listen("carol") as carol:
        for each in (bob, alice, carol):
            assert await each.control() == "ready"
        before = await stage.write()
        assert (await bob.event())["resource_id"] == before[0]
        async with stage.sessions.begin() as session:
            await bind_clinic(session, stage.world.clinic.id)
            now = datetime.now(UTC)
            await session.execute(update(CareLink).values(during=Range(now - timedelta(days=365), now, bounds="[)")))
        after = await stage.write()
        assert [(await alice.event())["resource_id"] for _ in range(2)] == before + after
        await stage.write("clinic.update")
        assert (await bob.event())["type"] == "clinic.updated"
        assert (await carol.event())["type"] == "clinic.updated"


async def test_a_sign_in_that_is_revoked_ends_its_stream_and_the_others_go_on(stage: Stage) -> None:
    async with stage.listen("bob") as bob, stage.listen("alice") as alice:
        assert {await bob.control(), await alice.control()} == {"ready"}
        async with stage.sessions.begin() as session, as_identity(session):
            account = stage.world.actors["bob"].account_id
            revoked = update(SignIn).where(SignIn.account_id == account)
            await session.execute(revoked.values(revoked_at=datetime.now(UTC), revoked_reason="lost_device"))
        written = await stage.write()
        assert await bob.end(seconds=15) == []
        assert (await alice.event())["resource_id"] == written[0]
    refused = await stage.client.get("/v1/events", headers=stage.world.headers["bob"])
    assert refused.status_code == 401


async def test_two_hundred_clients_cost_the_server_no_connections(stage: Stage) -> None:
    headers = [stage.world.headers["bob"]]
    async with stage.sessions.begin() as session:
        for number in range(19):
            name = f"Therapist{number} Keller"
            other = await factories.make_therapist(session, stage.world.clinic.id, name, licensed=None)
            await factories.link(session, stage.world.alice, other, CareRole.MEMBER)
            actor = await factories.make_actor(session, stage.world.clinic.id, Role.THERAPIST, other)
            headers.append(bearer(await factories.sign_in(session, actor)))
    superuser = await asyncpg.connect(stage.database.superuser.replace("+asyncpg", ""))
    ready, written = asyncio.Event(), asyncio.Event()
    waiting = set(range(200))
    got: list[str] = []

    line = asyncio.Semaphore(8)

    async def client(number: int) -> None:
        async with AsyncExitStack() as stack:
            async with line:  # the server asks to come back later when all come at once
                listener = await stack.enter_async_context(listening(stage.client, headers[number % len(headers)]))
            assert await listener.control() == "ready"
            waiting.discard(number)
            if not waiting:
                ready.set()
            got.append((await listener.event())["resource_id"])
            if len(got) == 200:
                written.set()
            await written.wait()

    async with asyncio.timeout(60), asyncio.TaskGroup() as clients:
        for number in range(200):
            clients.create_task(client(number))
        await ready.wait()
        rows = await superuser.fetch(
            "SELECT state, xact_start < now() - interval '2 s' AS long FROM pg_stat_activity"
            " WHERE application_name = 'physio-api' AND datname = current_database()"
        )
        assert 0 < len(rows) <= 8
        assert not any(row["long"] for row in rows), "nobody waits within a transaction"
        assert (await stage.client.get("/v1/me", headers=headers[0])).status_code == 200
        (thing,) = await stage.write()
    assert got == [thing] * 200
    await superuser.close()


async def test_a_server_that_is_told_to_stop_ends_its_streams_at_once(fresh_database: Database, tmp_path: Path) -> None:
    engine = make_engine(fresh_database.api)
    world = await make_world(make_sessions(engine))
    await engine.dispose()
    async with httpx.AsyncClient(timeout=30) as client:
        with serving(fresh_database, tmp_path) as live:
            client.base_url = httpx.URL(live.url)
            listener = listening(client, world.headers["bob"])
            bob = await listener.__aenter__()
            assert await bob.control() == "ready"
            began = time.monotonic()
        assert time.monotonic() - began < 8, "it would wait 20 seconds for an answer that does not end"
        assert await bob.end() == []
        await listener.__aexit__(None, None, None)
    assert live.process.returncode == 0, live.said
    assert "Traceback" not in live.said


@pytest.fixture
def own_server() -> Iterator[EmbeddedPostgres]:
    """A database server that may be restarted."""
    folder = Path(tempfile.mkdtemp(prefix="physio-restart-"))
    folder.chmod(0o755)
    server = EmbeddedPostgres(folder / "data", durable=False)
    server.start()
    migrate(server.url("physio_owner"))
    yield server
    server.stop()
    shutil.rmtree(folder)


async def test_a_restart_of_the_database_is_waited_for_and_nothing_is_lost_or_doubled(
    own_server: EmbeddedPostgres, tmp_path: Path
) -> None:
    async with on(Database(own_server.cluster, "physio"), tmp_path) as stage, stage.listen() as bob:
        assert await bob.control() == "ready"
        things = await stage.write()
        assert [(await bob.event())["resource_id"]] == things
        await asyncio.to_thread(own_server.stop)
        await asyncio.to_thread(own_server.start)
        things += await patiently(stage)
        things += await patiently(stage)
        assert [(await bob.event())["resource_id"] for _ in range(2)] == things[1:]


async def patiently(stage: Stage) -> list[str]:
    """Write, once the connections of before are given up."""
    for _ in range(20):
        try:
            return await stage.write()
        except (OSError, DBAPIError, asyncpg.PostgresError, asyncpg.InterfaceError):
            continue
    return await stage.write()
