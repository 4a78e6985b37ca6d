"""How the house reaches PostgreSQL: engines, sessions that are bound to one clinic, and the raw driver on hot paths."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast
from uuid import UUID

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction

Sessions = async_sessionmaker[AsyncSession]

CLINIC = "clinic_id"
"""Key of `session.info` under which the bound clinic stands."""

DRIVER = "driver"
"""Key of `session.info` under which the driver's connection stands, beside the transaction for which that is true."""


def make_engine(
    url: str,
    *,
    pool_size: int = 8,
    pool_timeout: float = 1.5,
    statement_cache: int = 100,
    application_name: str = "physio",
) -> AsyncEngine:
    """Make an engine on asyncpg.

    pool_size: connections per process; there is no overflow, a full pool refuses after `pool_timeout` seconds.
    statement_cache: prepared statements kept per connection; 0 for a PgBouncer older than 1.21 (both caches off).
    Parameters never show up in errors or logs.
    """
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=pool_timeout,
        pool_pre_ping=False,
        pool_use_lifo=True,
        hide_parameters=True,
        connect_args={
            "statement_cache_size": statement_cache,
            "prepared_statement_cache_size": statement_cache,
            "timeout": 5,
            "server_settings": {"application_name": application_name, "timezone": "UTC"},
        },
    )


def make_sessions(engine: AsyncEngine) -> Sessions:
    """Make the session factory; sessions keep their objects readable after the commit."""
    return async_sessionmaker(engine, expire_on_commit=False, autoflush=False)


@event.listens_for(Session, "after_begin")
def _bind(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    """Bind every transaction of a bound session to its clinic; an unbound one can read no tenant row."""
    clinic_id = session.info.get(CLINIC)
    if clinic_id is not None:
        connection.exec_driver_sql(_set_clinic(clinic_id))


def _set_clinic(clinic_id: UUID) -> str:
    # SET takes no bind parameters, and set_config() does not reach the shards of a Citus cluster: format a parsed UUID.
    return f"SET LOCAL app.clinic_id = '{UUID(str(clinic_id))}'"


async def bind_clinic(session: AsyncSession, clinic_id: UUID) -> None:
    """Bind the session to one clinic, in the present transaction and in every later one."""
    session.info[CLINIC] = clinic_id
    if session.in_transaction():
        await session.execute(text(_set_clinic(clinic_id)))


@asynccontextmanager
async def as_identity(session: AsyncSession) -> AsyncIterator[None]:
    """Reach accounts and sign-ins, which live outside the clinics, within the session's own transaction.

    The login roles are members of `physio_identity` without inheriting it, so nothing reaches these tables by accident.
    """
    await session.flush()
    await session.execute(text("SET LOCAL ROLE physio_identity"))
    yield  # after an error the transaction is lost, and the role goes with it
    await session.flush()
    await session.execute(text("RESET ROLE"))


async def driver(session: AsyncSession) -> "asyncpg.Connection[Any]":
    """Give the driver's own connection, inside the session's transaction; for hot paths only.

    Here `jsonb` parameters are JSON text; results come back decoded.
    """
    kept = session.info.get(DRIVER)
    if kept is not None and kept[0] is session.sync_session.get_transaction():
        return cast("asyncpg.Connection[Any]", kept[1])
    connection = await session.connection()
    pooled: Any = await connection.get_raw_connection()
    found = pooled.driver_connection
    assert isinstance(found, asyncpg.Connection)
    if not found.is_in_transaction():
        # SQLAlchemy begins with its own first statement only; asking it directly spares a round trip of every request.
        await pooled.dbapi_connection._start_transaction()  # noqa: SLF001
    session.info[DRIVER] = (session.sync_session.get_transaction(), found)
    return found


async def fetch(session: AsyncSession, sql: str, *args: Any) -> list[asyncpg.Record]:
    """Run one statement with `$1` parameters on the driver itself, in the session's transaction."""
    connection = await driver(session)
    return list(await connection.fetch(sql, *args))


async def fetchrow(session: AsyncSession, sql: str, *args: Any) -> asyncpg.Record | None:
    """Run one statement with `$1` parameters on the driver itself; its first row, or None."""
    connection = await driver(session)
    return await connection.fetchrow(sql, *args)
