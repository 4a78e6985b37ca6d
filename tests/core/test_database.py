import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, PendingRollbackError
from sqlalchemy.ext.asyncio import AsyncSession

from core import revisions
from core.database import (
    TROUBLE,
    Sessions,
    as_identity,
    asyncpg_url,
    begin_bound,
    bind_clinic,
    commit,
    fetch,
    fetchrow,
    give_back,
    idle,
    lend,
    lending,
    libpq_url,
    make_engine,
    make_sessions,
)
from jobs.worker import conninfo
from models.clinics import Clinic
from tests.conftest import Database
from tests.factories import make_clinic

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


# ------------------------------------------------------------------ a connection that is lent

BOUND = "SELECT current_setting('app.clinic_id', true) AS clinic, pg_current_xact_id()::text AS transaction"


@pytest.fixture
async def alone(database: Database) -> AsyncIterator[Sessions]:
    """Sessions that share one connection: what is not given back stops the next one."""
    engine = make_engine(database.api, pool_size=1, pool_timeout=0.2)
    yield make_sessions(engine)
    await engine.dispose()


async def bound(session: AsyncSession) -> UUID | None:
    found = (await session.execute(text(BOUND))).one()
    return UUID(found.clinic) if found.clinic else None


async def test_the_driver_and_the_session_work_in_one_bound_transaction(alone: Sessions) -> None:
    session, clinic = alone(), uuid4()
    await lend(session)
    assert await (await idle(session)).fetchval("SELECT 1") == 1
    await begin_bound(session, clinic)
    first = await fetchrow(session, BOUND)
    assert first is not None
    second = (await session.execute(text(BOUND))).one()
    assert tuple(first) == tuple(second)
    assert UUID(second.clinic) == clinic
    await commit(session)
    await give_back(session)


@pytest.mark.parametrize("driver_first", [True, False])
async def test_a_lent_connection_is_bound_whichever_way_its_transaction_begins(
    alone: Sessions, *, driver_first: bool
) -> None:
    session, clinic = alone(), uuid4()
    await lend(session)
    if driver_first:
        await fetch(session, "SELECT 1")
        assert await bound(session) is None
    await bind_clinic(session, clinic)
    assert [UUID(row["clinic"]) for row in await fetch(session, BOUND)] == [clinic]
    assert await bound(session) == clinic
    await commit(session)
    assert await bound(session) == clinic  # a later transaction too
    await give_back(session)


@pytest.mark.parametrize("by_session", [True, False])
async def test_what_was_not_committed_is_rolled_back_when_the_connection_is_given_back(
    alone: Sessions, *, by_session: bool
) -> None:
    session = alone()
    await lend(session)
    await begin_bound(session, uuid4(), "lock_timeout = '7s'")
    if by_session:
        await session.execute(text("SELECT pg_advisory_xact_lock(20261122)"))
    else:
        await fetch(session, "SELECT pg_advisory_xact_lock(20261122)")
    await give_back(session)
    await give_back(session)  # twice does no harm
    async with alone() as other:
        assert await bound(other) is None
        assert await other.scalar(text("SELECT count(*) FROM pg_locks WHERE objid = 20261122")) == 0
        assert await other.scalar(text("SHOW lock_timeout")) != "7s"


async def test_a_task_that_is_cut_off_gives_its_connection_back(alone: Sessions) -> None:
    async def work() -> None:
        session = alone()
        await lend(session)
        try:
            await begin_bound(session, uuid4())
            await fetch(session, "SELECT pg_sleep(30)")
        finally:
            await give_back(session)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with alone() as other:
        assert await bound(other) is None


async def test_a_lent_connection_that_dies_is_replaced(alone: Sessions, database: Database) -> None:
    session = alone()
    await lend(session)
    await begin_bound(session, uuid4())
    number = await (await idle(session)).fetchval("SELECT pg_backend_pid()")
    owner = await asyncpg.connect(database.superuser.replace("+asyncpg", ""))
    assert await owner.fetchval("SELECT pg_terminate_backend($1, 5000)", number) is True
    await owner.close()
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):
        await fetch(session, "SELECT 1")
    await give_back(session)
    async with alone() as other:
        assert await bound(other) is None


async def test_where_nobody_knows_what_became_of_a_commit_the_connection_is_not_lent_again(alone: Sessions) -> None:
    session = alone()
    await lend(session)
    await begin_bound(session, uuid4())
    (await idle(session)).terminate()
    with pytest.raises(asyncpg.InterfaceError):
        await commit(session)
    await give_back(session)
    async with alone() as other:
        assert await bound(other) is None


@pytest.mark.parametrize("turns", range(1, 7))
async def test_a_task_that_is_cut_off_while_its_transaction_begins_leaves_none_behind(
    alone: Sessions, turns: int
) -> None:
    async def work() -> None:
        session = alone()
        await lend(session)
        try:
            await fetch(session, "SELECT 1")
        finally:
            await give_back(session)

    await work()  # so that the connection is there
    task = asyncio.create_task(work())
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    session = alone()
    await lend(session)
    assert not (await idle(session)).is_in_transaction()
    await begin_bound(session, uuid4())
    await session.execute(text("SELECT 1"))
    await commit(session)
    assert not (await idle(session)).is_in_transaction()
    await give_back(session)


async def written(sessions: Sessions, clinic_id: UUID) -> str | None:
    """Give the clinic's name as others read it."""
    async with sessions() as other:
        await bind_clinic(other, clinic_id)
        found: str | None = await other.scalar(text("SELECT name FROM clinics WHERE id = :id"), {"id": clinic_id})
        return found


RENAME = "UPDATE clinics SET name = $1 WHERE id = $2"


async def test_each_of_two_transactions_keeps_what_the_driver_wrote(alone: Sessions, sessions: Sessions) -> None:
    async with sessions.begin() as before:
        clinic = await make_clinic(before)
    session = alone()
    await lend(session)
    for name in ("First", "Second"):
        await begin_bound(session, clinic.id)
        if name == "First":
            await session.get_one(Clinic, clinic.id)
        await fetch(session, RENAME, name, clinic.id)
        await commit(session)
        assert await written(sessions, clinic.id) == name
    await give_back(session)


async def test_after_a_flush_that_failed_the_driver_writes_nothing(alone: Sessions, sessions: Sessions) -> None:
    async with sessions.begin() as before:
        clinic = await make_clinic(before)
    session = alone()
    await lend(session)
    await begin_bound(session, clinic.id)
    session.add(Clinic(id=clinic.id, name="Twin", country="DE", zone="Europe/Berlin"))
    with pytest.raises(IntegrityError):
        await session.flush()
    with pytest.raises(PendingRollbackError):
        await fetch(session, RENAME, "Outside of any transaction", clinic.id)
    await give_back(session)
    assert await written(sessions, clinic.id) == clinic.name


async def test_a_transaction_in_which_something_failed_is_not_said_to_be_kept(
    alone: Sessions, sessions: Sessions
) -> None:
    async with sessions.begin() as before:
        clinic = await make_clinic(before)
    session = alone()
    await lend(session)
    await begin_bound(session, clinic.id)
    await fetch(session, RENAME, "Lost", clinic.id)
    with pytest.raises(asyncpg.DivisionByZeroError):
        await fetch(session, "SELECT 1 / 0")
    with pytest.raises(asyncpg.InFailedSQLTransactionError):
        await commit(session)
    await give_back(session)
    assert await written(sessions, clinic.id) == clinic.name


# ------------------------------------------------------------------ savepoints, and what fails inside a block


@pytest.mark.parametrize("how", ["begin_bound", "driver", "session"])
@pytest.mark.parametrize("inside", [True, False])
async def test_a_savepoint_takes_back_what_the_driver_did_in_it_and_nothing_else(
    alone: Sessions, sessions: Sessions, how: str, *, inside: bool
) -> None:
    async with sessions.begin() as before:
        clinic = await make_clinic(before)
    async with lending(alone) as session:
        await (begin_bound if how == "begin_bound" else bind_clinic)(session, clinic.id)
        if how == "session":
            await session.execute(text("SELECT 1"))
        await fetch(session, RENAME, "Before", clinic.id)
        with suppress(ValueError):
            async with session.begin_nested():
                if inside:
                    await fetch(session, RENAME, "Inside", clinic.id)
                raise ValueError
        await commit(session)
    assert await written(sessions, clinic.id) == "Before"


async def test_a_savepoint_is_left_after_a_statement_of_the_driver_that_failed(
    alone: Sessions, sessions: Sessions
) -> None:
    async with sessions.begin() as before:
        clinic = await make_clinic(before)
    async with lending(alone) as session:
        await begin_bound(session, clinic.id)
        await fetch(session, RENAME, "Before", clinic.id)
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with session.begin_nested():
                await fetch(session, "SELECT 1 / 0")
        await fetch(session, RENAME, "After", clinic.id)
        await commit(session)
    assert await written(sessions, clinic.id) == "After"


async def test_a_session_that_was_asked_nothing_rolls_back_and_commits_what_the_driver_did(
    alone: Sessions, sessions: Sessions
) -> None:
    async with sessions.begin() as before:
        clinic = await make_clinic(before)
    async with lending(alone) as session:
        await begin_bound(session, clinic.id)
        await fetch(session, RENAME, "Kept", clinic.id)
        await session.commit()
        await fetch(session, RENAME, "Taken back", clinic.id)
        await session.rollback()
        await commit(session)
    assert await written(sessions, clinic.id) == "Kept"


async def test_a_connection_that_dies_hides_no_other_error(alone: Sessions) -> None:
    async def fail() -> None:
        async with lending(alone) as session:
            await begin_bound(session, uuid4())
            await session.execute(text("SELECT 1"))
            (await idle(session)).terminate()
            try:
                await fetch(session, "SELECT 1")
            except TROUBLE as error:
                raise ValueError("with the advice") from error

    with pytest.raises(ValueError, match="with the advice"):
        await fail()
    async with lending(alone) as session:
        assert await (await idle(session)).fetchval("SELECT 1") == 1


async def test_an_identity_is_put_off_when_the_block_fails(alone: Sessions) -> None:
    async with lending(alone) as session:
        with suppress(ValueError):
            async with as_identity(session):
                raise ValueError
        assert await session.scalar(text("SELECT current_user")) == "physio_api"
