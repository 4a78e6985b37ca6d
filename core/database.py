"""How the house reaches PostgreSQL: engines, sessions that are bound to one clinic, and the raw driver on hot paths."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, cast
from uuid import UUID

import asyncpg
from sqlalchemy import URL, event, make_url, text
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, DisconnectionError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, SessionTransaction
from sqlalchemy.util import greenlet_spawn

Sessions = async_sessionmaker[AsyncSession]

CLINIC = "clinic_id"
"""Key of `session.info` under which the bound clinic stands."""

DRIVER = "driver"
"""Key of `session.info` under which the driver's connection stands while a transaction lasts."""

LENT = "lent"
"""Key of `session.info` under which the connection stands that `lend` took from the pool, until `give_back`."""


TROUBLE = (OSError, SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What a statement raises when the database, or the way to it, fails; the last: it died while its answer was under way."""


def asyncpg_url(url: str) -> URL:
    """Give a PostgreSQL address as SQLAlchemy on asyncpg wants it: its driver named, `sslmode` called `ssl`."""
    return _spelled(make_url(url), "postgresql+asyncpg", {"sslmode": "ssl"})


def libpq_url(url: str) -> str:
    """Give a PostgreSQL address as libpq (psycopg, psql) wants it: no driver named, `ssl` called `sslmode`."""
    return _spelled(make_url(url), "postgresql", {"ssl": "sslmode"}).render_as_string(hide_password=False)


def _spelled(url: URL, driver: str, names: Mapping[str, str]) -> URL:
    return url.set(drivername=driver, query={names.get(name, name): value for name, value in url.query.items()})


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
    engine = create_async_engine(
        asyncpg_url(url),
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
            "server_settings": {
                "application_name": application_name,
                "timezone": "UTC",
            },
        },
    )
    event.listen(engine.sync_engine, "checkout", _still_there)
    return engine


def _still_there(connection: Any, _record: object, _lent: object) -> None:
    """Let the pool replace a connection that the server closed.

    What fails on the driver itself, outside of a transaction, the pool never hears of: after a restart of a quiet
    server it would lend the dead connections for ever. Asks no server; it costs nothing.
    """
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def make_sessions(engine: AsyncEngine) -> Sessions:
    """Make the session factory; sessions keep their objects readable after the commit."""
    return async_sessionmaker(engine, sync_session_class=_Session, expire_on_commit=False, autoflush=False)


class _Session(Session):
    """A session that works on the connection that was lent to it, if one was."""

    def get_bind(self, *args: Any, **options: Any) -> Engine | Connection:
        lent = self.info.get(LENT)
        return super().get_bind(*args, **options) if lent is None else cast("Connection", lent)

    def commit(self) -> None:
        self._join()
        super().commit()

    def rollback(self) -> None:
        self._join()
        super().rollback()

    def begin_nested(self) -> SessionTransaction:
        self._join()
        nested = super().begin_nested()
        self.connection()  # sets the savepoint now: what runs on the driver alone must come behind it
        return nested

    def _join(self) -> None:
        """Take part in the transaction that the driver is in: a session that was asked nothing yet knows of none."""
        if DRIVER in self.info:
            self.connection()


async def lend(session: AsyncSession) -> None:
    """Take a connection from the pool, for `idle` and `begin_bound`; `give_back` must follow, whatever happens.

    A session begins with the first thing that it is asked. Where only the driver is used it never does, which costs a hot
    request a tenth less. Raises what the pool raises.
    """
    engine = session.sync_session.bind
    assert isinstance(engine, Engine)
    assert LENT not in session.info
    session.info[LENT] = await greenlet_spawn(engine.connect)


async def give_back(session: AsyncSession) -> None:
    """Return what `lend` took; a transaction that was not committed is rolled back, even when the task is cancelled."""
    lent: Connection | None = session.info.pop(LENT, None)
    session.info.pop(DRIVER, None)
    if session.sync_session.in_transaction() or (lent is not None and not _is_idle(lent)):
        await asyncio.shield(_abandon(session, lent))
    elif lent is not None:
        lent.close()  # nothing is left to wait for


@asynccontextmanager
async def lending(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """Open a session that has a connection lent to it for as long as the block lasts."""
    session = sessions()
    await lend(session)
    try:
        yield session
    finally:
        await give_back(session)


async def _abandon(session: AsyncSession, lent: Connection | None) -> None:
    try:
        _write_off(lent)
        with suppress(DBAPIError):  # what cannot be rolled back is gone with its connection, and hides no other error
            await session.close()
    finally:
        if lent is not None:
            _write_off(lent)
            await greenlet_spawn(lent.close)


def _write_off(lent: Connection | None) -> None:
    """Have the pool replace the connection when it is dead: nothing can be rolled back on it."""
    if lent is not None and not lent.invalidated and lent.connection.is_valid:
        driver_connection: Any = lent.connection.driver_connection
        if driver_connection.is_closed():
            lent.invalidate()


def _is_idle(connection: Connection) -> bool:
    """Tell whether the connection may be lent to another as it is."""
    if connection.invalidated or not connection.connection.is_valid:
        return False
    return cast("Any", connection.connection.dbapi_connection)._transaction is None  # noqa: SLF001


@event.listens_for(Session, "after_begin")
def _bind(session: Session, _transaction: SessionTransaction, connection: Connection) -> None:
    """Bind every transaction of a bound session to its clinic; an unbound one can read no tenant row."""
    clinic_id = session.info.get(CLINIC)
    if clinic_id is not None and DRIVER not in session.info:  # else the driver has begun it, bound
        connection.exec_driver_sql(_set_clinic(clinic_id))


@event.listens_for(Session, "after_transaction_end")
def _forget_driver(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(DRIVER, None)


@event.listens_for(Session, "after_rollback")
def _forget_lost(session: Session) -> None:
    """Keep the driver from going on where a flush that failed has ended the transaction."""
    session.info.pop(DRIVER, None)


def _set_clinic(clinic_id: UUID) -> str:
    # SET takes no bind parameters, and set_config() does not reach the shards of a Citus cluster: format a parsed UUID.
    return f"SET LOCAL app.clinic_id = '{UUID(str(clinic_id))}'"


async def bind_clinic(session: AsyncSession, clinic_id: UUID) -> None:
    """Bind the session to one clinic, in the present transaction and in every later one."""
    session.info[CLINIC] = clinic_id
    if session.in_transaction() or DRIVER in session.info:
        await session.execute(text(_set_clinic(clinic_id)))


@asynccontextmanager
async def as_identity(session: AsyncSession) -> AsyncIterator[None]:
    """Reach accounts and sign-ins, which live outside the clinics, within the session's own transaction.

    The login roles are members of `physio_identity` without inheriting it, so nothing reaches these tables by accident.
    """
    connection = await driver(session)
    await session.flush()
    await connection.execute("SET LOCAL ROLE physio_identity")
    try:
        yield
        await session.flush()
    except Exception:
        with suppress(*TROUBLE):  # where the transaction is lost the role goes with it
            await connection.execute("RESET ROLE")
        raise
    await connection.execute("RESET ROLE")


async def driver(session: AsyncSession) -> "asyncpg.Connection[Any]":
    """Give the driver's own connection, inside the session's transaction; for hot paths only.

    Here `jsonb` parameters are JSON text; results come back decoded.
    """
    kept = session.info.get(DRIVER)
    if kept is None:
        connection = (await session.connection()).sync_connection  # bound, whoever took it from the pool
        assert connection is not None
        pooled = cast("Any", connection.connection)
        kept = pooled.driver_connection
        if not kept.is_in_transaction():
            # SQLAlchemy begins with its own first statement only; asking it directly spares a round trip.
            try:
                await pooled.dbapi_connection._start_transaction()  # noqa: SLF001
            except BaseException:
                pooled.invalidate()  # nobody knows whether it has begun
                raise
        session.info[DRIVER] = kept
    return cast("asyncpg.Connection[Any]", kept)


async def idle(session: AsyncSession) -> "asyncpg.Connection[Any]":
    """Give the driver's own connection, as it is: what runs on it before a transaction begins is committed at once."""
    return cast("asyncpg.Connection[Any]", (await _pooled(session)).driver_connection)


async def begin_bound(session: AsyncSession, clinic_id: UUID, *settings: str) -> None:
    """Begin the session's transaction, bound to the clinic and with these `name = value` settings: one round trip.

    Only for a session that has a connection lent to it, and of which nothing but `idle` was used yet.
    """
    session.info[CLINIC] = clinic_id
    pooled = await _pooled(session)
    connection = pooled.driver_connection
    assert pooled.dbapi_connection._transaction is None, "a transaction is bound when it begins"  # noqa: SLF001
    pooled.dbapi_connection._transaction = _Begun(connection)  # noqa: SLF001 - SQLAlchemy ends it as one of its own
    await connection.execute("; ".join(("BEGIN", _set_clinic(clinic_id), *(f"SET LOCAL {each}" for each in settings))))
    session.info[DRIVER] = connection


class _Begun:
    """A transaction begun by hand, as SQLAlchemy's adapter keeps one."""

    def __init__(self, connection: "asyncpg.Connection[Any]") -> None:
        self._connection = connection

    async def commit(self) -> None:
        """End the transaction. Raises where a statement in it has failed: PostgreSQL would take it back without a word."""
        if await self._connection.execute("COMMIT") == "ROLLBACK":
            raise asyncpg.InFailedSQLTransactionError("a statement of this transaction has failed: nothing was kept")

    async def rollback(self) -> None:
        await self._connection.execute("ROLLBACK")


async def commit(session: AsyncSession) -> None:
    """Commit; where only the driver was used there is nothing to flush, and the driver is asked directly."""
    sync = session.sync_session
    kept = session.info.get(DRIVER)
    if kept is None or sync.identity_map or sync.new or sync.deleted:
        await session.commit()
        return
    pooled = await _pooled(session)
    adapter = pooled.dbapi_connection
    transaction, adapter._transaction = adapter._transaction, None  # noqa: SLF001
    try:
        await transaction.commit()
    except asyncpg.PostgresError:
        raise
    except BaseException:
        pooled.invalidate()  # nobody knows what became of it
        raise
    finally:
        if sync.in_transaction():
            sync.close()  # nothing is left to wait for
        session.info.pop(DRIVER, None)


async def _pooled(session: AsyncSession) -> Any:
    lent = session.info.get(LENT)
    if lent is None:
        lent = (await session.connection()).sync_connection
        assert lent is not None
    return lent.connection


async def fetch(session: AsyncSession, sql: str, *args: Any) -> list[asyncpg.Record]:
    """Run one statement with `$1` parameters on the driver itself, in the session's transaction."""
    connection = await driver(session)
    return list(await connection.fetch(sql, *args))


async def fetchrow(session: AsyncSession, sql: str, *args: Any) -> asyncpg.Record | None:
    """Run one statement with `$1` parameters on the driver itself; its first row, or None."""
    connection = await driver(session)
    return await connection.fetchrow(sql, *args)
