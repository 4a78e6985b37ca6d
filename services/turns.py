"""Sweeps that start at once on several workers take turns.

Nothing would be doubled without that; but two sweeps over the same rows could meet in opposite order.
"""

from sqlalchemy.ext.asyncio import AsyncSession

from core.database import driver, fetch

_ROOM = "SET LOCAL work_mem = '64MB'; SET LOCAL lock_timeout = '30s'"
"""The rows of a sweep stay in memory between its two halves, and a sweep may wait for another one."""


async def take_turns(session: AsyncSession, sweep: int) -> None:
    """Wait for the same sweep of another worker to end, and give this transaction room. sweep: key of an advisory lock."""
    await (await driver(session)).execute(_ROOM)
    await fetch(session, "SELECT pg_advisory_xact_lock($1)", sweep)
