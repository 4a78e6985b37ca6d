from contextlib import suppress
from pathlib import Path

import asyncpg
import pytest

from core import revisions
from core.database import asyncpg_url, idle, libpq_url, make_engine, make_sessions
from jobs.worker import conninfo
from tests.conftest import Database

SPELLINGS = [
    "postgresql://role:se%2Fcret@db.example:5433/physio?sslmode=verify-full",
    "postgresql+asyncpg://role:se%2Fcret@db.example:5433/physio?ssl=verify-full",
]


@pytest.mark.parametrize("url", SPELLINGS)
def test_an_address_may_be_written_for_either_driver(url: str) -> None:
    assert libpq_url(url) == SPELLINGS[0]
    assert asyncpg_url(url).render_as_string(hide_password=False) == SPELLINGS[1]


def test_the_queue_connects_with_the_same_tls_as_everybody() -> None:
    told = conninfo(SPELLINGS[1])
    assert "sslmode=verify-full" in told
    assert "search_path=procrastinate" in told


def test_the_newest_revision_is_found_and_there_is_one(tmp_path: Path) -> None:
    assert revisions.head(tmp_path) is None
    (tmp_path / "a.py").write_text('revision = "a"\ndown_revision = None\n')
    (tmp_path / "b.py").write_text('revision = "b"\ndown_revision = "a"\n')
    assert revisions.head(tmp_path) == "b"
    (tmp_path / "c.py").write_text('revision = "c"\ndown_revision = "a"\n')
    with pytest.raises(ValueError, match="2 heads"):
        revisions.head(tmp_path)


async def test_a_connection_that_died_while_nobody_used_it_is_replaced(database: Database) -> None:
    engine = make_engine(database.api, pool_size=1, application_name="quiet")
    sessions = make_sessions(engine)
    async with sessions() as session:
        assert await (await idle(session)).fetchval("SELECT 1") == 1
    owner = await asyncpg.connect(database.superuser.replace("+asyncpg", ""))
    ended = "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'quiet'"
    assert await owner.fetchval(ended) is True
    await owner.close()
    with suppress(asyncpg.PostgresError, asyncpg.InterfaceError):  # whether its end has been heard of yet is luck
        async with sessions() as session:
            await (await idle(session)).fetchval("SELECT 1")
    async with sessions() as session:
        assert await (await idle(session)).fetchval("SELECT 2") == 2
    await engine.dispose()
