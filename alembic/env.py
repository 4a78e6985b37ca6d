"""How revisions are run: as the owner, one transaction each, one runner at a time, never waiting long for a lock."""

import asyncio
import os
from typing import Any

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from core.database import asyncpg_url
from models import Base
from models.base import IDENTITY
from services import time_zones

MIGRATIONS = 7_450_731
"""Key of the advisory lock that lets one runner in at a time."""


def include_name(name: str | None, type_: str, _parent: Any) -> bool:
    """Leave the queue's tables to their library."""
    return type_ != "schema" or name in {None, "public", IDENTITY}


def know_zones(connection: Connection) -> None:
    """Give the database the program's time zone rules: with the revision that makes the table, and whenever newer."""
    if connection.scalar(text("SELECT to_regclass('public.time_zones') IS NOT NULL")):
        time_zones.sync(connection)


def run(connection: Connection) -> None:
    """Run the revisions that are missing."""
    connection.execute(text("SET lock_timeout = '4s'"))
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATIONS})
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        include_schemas=True,
        include_name=include_name,
        transaction_per_migration=True,
        compare_server_default=False,
        on_version_apply=lambda **_: know_zones(connection),
    )
    with context.begin_transaction():
        context.run_migrations()
    know_zones(connection)
    connection.commit()
    connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATIONS})
    connection.commit()


async def online(url: str) -> None:
    """Connect as the owner, never through a pooler."""
    engine = create_async_engine(asyncpg_url(url), poolclass=pool.NullPool, hide_parameters=True)
    async with engine.connect() as connection:
        await connection.run_sync(run)
    await engine.dispose()


given = context.config.attributes.get("connection")
if context.is_offline_mode():
    context.configure(
        dialect_name="postgresql",
        target_metadata=Base.metadata,
        literal_binds=True,
        transaction_per_migration=True,
        include_schemas=True,
    )
    with context.begin_transaction():
        context.run_migrations()
elif given is not None:
    run(given)
else:
    asyncio.run(online(context.config.attributes.get("url") or os.environ["PHYSIO_OWNER_DATABASE_URL"]))
