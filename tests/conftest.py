"""A real PostgreSQL for the tests: one server per run, one database per worker, cloned from a migrated template."""

import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from cli import migrations
from core.database import Sessions, make_engine, make_sessions
from core.settings import Settings
from dev.cluster import Cluster
from dev.postgres import EmbeddedPostgres

TEMPLATE = "template_physio"
SERVER = "PHYSIO_TEST_SERVER"
"""Tells the workers of pytest-xdist how to reach the run's server."""

_running = pytest.StashKey[EmbeddedPostgres]()


@dataclass(frozen=True)
class Database:
    """One database, and its address for each role."""

    name: str
    cluster: Cluster

    def url(self, role: str) -> str:
        return self.cluster.url(role, self.name)

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
    def owner(self) -> str:
        return self.url("physio_owner")

    @property
    def superuser(self) -> str:
        return self.url("postgres")


def pytest_configure(config: pytest.Config) -> None:
    """Start the server once for all workers; without workers it starts when the first test asks for it."""
    if not hasattr(config, "workerinput") and config.getoption("numprocesses", None):
        running = config.stash[_running] = _start()
        os.environ[SERVER] = json.dumps(running.cluster.to_plain())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server that the workers shared."""
    running = config.stash.get(_running, None)
    if running is not None:
        _stop(running)


def _start() -> EmbeddedPostgres:
    folder = Path(tempfile.mkdtemp(prefix="physio-test-"))
    folder.chmod(0o711)  # as root, PostgreSQL runs as another account, which must pass through
    server = EmbeddedPostgres(folder, durable=False)
    server.start()
    server.create_database(TEMPLATE)
    migrations.upgrade(server.url("physio_owner", TEMPLATE))
    return server


def _stop(server: EmbeddedPostgres) -> None:
    server.stop()
    shutil.rmtree(server.folder)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Give the server of this run."""
    if SERVER in os.environ:
        yield Cluster.from_plain(json.loads(os.environ[SERVER]))
        return
    own = _start()
    yield own.cluster
    _stop(own)


def clone(cluster: Cluster) -> Database:
    """Make a database from the migrated template."""
    name = f"physio_{uuid4().hex[:12]}"
    cluster.create_database(name, TEMPLATE)
    return Database(name, cluster)


@pytest.fixture(scope="session")
def database(cluster: Cluster) -> Database:
    """Give this worker's database."""
    return clone(cluster)


@pytest.fixture
def fresh_database(cluster: Cluster) -> Iterator[Database]:
    """Give a database of the test's own, dropped when it ends."""
    made = clone(cluster)
    yield made
    cluster.drop_database(made.name)


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
