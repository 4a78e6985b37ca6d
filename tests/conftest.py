"""A real PostgreSQL for the tests: one server per run, one database per worker, cloned from a migrated template.

Nothing here runs unasked: a test that needs no database starts none. Under xdist the controller starts the server and
hands its address to the workers; the first worker that asks migrates the template.
"""

import asyncio
import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pytest
import structlog
import uvloop
from alembic import command
from alembic.config import Config
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from core.database import Sessions, make_engine, make_sessions
from core.settings import Settings
from dev.cluster import SUPERUSER, Cluster, run_statements
from dev.postgres import EmbeddedPostgres
from tests import nursery

ROOT = Path(__file__).parents[1]
TEMPLATE = "physio_template"
for _name in [name for name in os.environ if name.startswith("PHYSIO_")]:
    del os.environ[_name]  # what is set for a developer's own server is not meant for the tests

# A test that provokes an accident writes its stack of frames as Python does: painted by Rich it would cost seconds.
structlog.configure(
    processors=[
        structlog.stdlib.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)

SERVER = pytest.StashKey[EmbeddedPostgres]()
NURSERY = pytest.StashKey[nursery.Nursery]()


@dataclass(frozen=True)
class Database:
    """One migrated database and how each role reaches it (`postgresql+asyncpg://` addresses)."""

    cluster: Cluster
    name: str

    def url(self, role: str) -> str:
        return self.cluster.url(role, self.name)

    @property
    def owner(self) -> str:
        return self.url("physio_owner")

    @property
    def api(self) -> str:
        return self.url("physio_api")

    @property
    def worker(self) -> str:
        return self.url("physio_worker")

    @property
    def sweeper(self) -> str:
        return self.url("physio_sweeper")

    @property
    def superuser(self) -> str:
        return self.url(SUPERUSER)


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Run the tests on the loop that the API runs on; it is also the quicker one."""
    return {"uvloop": uvloop.new_event_loop}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Know `--thorough`."""
    parser.addoption("--thorough", action="store_true", help="attack the API for minutes, not seconds (tests/contract)")


# ------------------------------------------------------------------ the server


def start_server(config: pytest.Config) -> Cluster:
    """Start the run's throw-away server, once; `pytest_unconfigure` stops it."""
    if SERVER not in config.stash:
        folder = Path(tempfile.gettempdir()) / f"physio-test-{secrets.token_hex(4)}"
        server = EmbeddedPostgres(folder, durable=False)
        server.start()
        config.stash[SERVER] = server
    return config.stash[SERVER].cluster


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker, before it starts, where the server is, and the nursery."""
    node.workerinput["cluster"] = start_server(node.config).to_plain()
    if NURSERY not in node.config.stash:
        node.config.stash[NURSERY] = nursery.start()
    node.workerinput["nursery"] = node.config.stash[NURSERY].address


def pytest_configure(config: pytest.Config) -> None:
    """Use, in an xdist worker, the nursery of the run."""
    given = getattr(config, "workerinput", {}).get("nursery")
    if given is not None:
        nursery.share(given)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server and remove its data."""
    shared = config.stash.get(NURSERY, None)
    if shared is not None:
        shared.close()
    server = config.stash.get(SERVER, None)
    if server is not None:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)
        shutil.rmtree(server.sockets, ignore_errors=True)


def migrate(url: str) -> None:
    """Run all revisions, in a thread: Alembic brings an event loop of its own."""
    config = Config(toml_file=ROOT / "pyproject.toml")
    config.attributes["url"] = url
    with ThreadPoolExecutor(1) as thread:
        thread.submit(command.upgrade, config, "head").result()


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Cluster:
    """The run's server, with a migrated template database on it."""
    given = cast("dict[str, Any]", getattr(request.config, "workerinput", {})).get("cluster")
    cluster = Cluster.from_plain(given) if given else start_server(request.config)
    # /tmp is shared by the workers of the run; the lock goes when the file is closed.
    with Path(tempfile.gettempdir(), f"{Path(cluster.socket_folder).parent.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cluster.has_database(TEMPLATE):
            fresh = f"{TEMPLATE}_new"
            cluster.drop_database(fresh)
            cluster.create_database(fresh)
            migrate(cluster.url("physio_owner", fresh))
            run_statements(cluster.admin_url(), [f"ALTER DATABASE {fresh} RENAME TO {TEMPLATE}"])
    Path(lock.name).unlink(missing_ok=True)
    return cluster


def clone(cluster: Cluster) -> Database:
    """Copy the template."""
    name = f"physio_{secrets.token_hex(6)}"
    cluster.create_database(name, TEMPLATE)
    return Database(cluster, name)


@pytest.fixture(scope="session")
def database(server: Cluster) -> Database:
    """This worker's database: migrated, shared by the worker's tests, which commit into clinics of their own."""
    return clone(server)


@pytest.fixture
def fresh_database(server: Cluster) -> Iterator[Database]:
    """A migrated database for one test that must be alone (sweeps, counts, migrations); dropped afterwards."""
    made = clone(server)
    yield made
    server.drop_database(made.name)


# ------------------------------------------------------------------ sessions


@pytest.fixture(scope="session")
async def engine(database: Database) -> AsyncIterator[AsyncEngine]:
    """Connect as the API does."""
    engine = make_engine(database.api)
    yield engine
    await engine.dispose()


@pytest.fixture
def sessions(engine: AsyncEngine) -> Sessions:
    """Open committing sessions as the API does."""
    return make_sessions(engine)


@pytest.fixture
async def session(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """Give one session as the API, rolled back at the end."""
    async with sessions() as session:
        yield session
        await session.rollback()


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Settings of the tests: no limit of pace, the key of `tests.factories.TOKENS`."""
    return Settings(environment="test", rate_per_second=0, _env_file=None)
