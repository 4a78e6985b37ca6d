"""How often somebody may try a secret: ten failures in five minutes, per account and per address, on all servers.

GCRA, as certificate authorities and package indexes use it: one row holds the moment at which a steady caller would
arrive next; whoever is further ahead than the burst is refused. Keys are hashed, so the table names nobody.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from core.crypto import Key
from core.database import as_identity
from core.errors import TooMany

LIMIT = 10
"""Failures within WINDOW, then one more every WINDOW / LIMIT."""
WINDOW = timedelta(minutes=5)

_STEP = WINDOW / LIMIT
_BURST = _STEP * (LIMIT - 1)

# The account is only charged when the address may still try: so nobody locks others out from one place for long.
_COUNT = text("""
WITH address AS (
  INSERT INTO identity.throttles AS kept (key, arrives_at) VALUES (:address, CAST(:next AS timestamptz))
  ON CONFLICT (key) DO UPDATE SET arrives_at = greatest(kept.arrives_at + CAST(:step AS interval), :next)
    WHERE kept.arrives_at <= :latest
  RETURNING 1
), account AS (
  INSERT INTO identity.throttles AS kept (key, arrives_at) SELECT :account, CAST(:next AS timestamptz) FROM address
  ON CONFLICT (key) DO UPDATE SET arrives_at = greatest(kept.arrives_at + CAST(:step AS interval), :next)
    WHERE kept.arrives_at <= :latest
  RETURNING 1
)
SELECT EXISTS (SELECT FROM account)
""")
_AHEAD = text("SELECT max(arrives_at) FROM identity.throttles WHERE key IN (:address, :account)")
_GIVE_BACK = text(
    "UPDATE identity.throttles SET arrives_at = arrives_at - CAST(:step AS interval) WHERE key IN (:address, :account)"
)
_FORGET = text("DELETE FROM identity.throttles WHERE arrives_at < :at")


class TooManyAttempts(TooMany):
    """Too many attempts: wait, then try again."""

    keeps_effects = True


@dataclass(frozen=True)
class Attempt:
    """One try: at which account, from which address."""

    account: bytes
    address: bytes

    @property
    def keys(self) -> dict[str, bytes]:
        """The keys of its two rows."""
        return {"account": self.account, "address": self.address}


async def begin(session: AsyncSession, key: Key, *, account: str, address: str, at: datetime) -> Attempt:
    """Count an attempt before it is made, so that parallel ones cannot slip through together.

    Raises TooManyAttempts. What was counted stays, whatever the answer is: see `Refusal.keeps_effects`.
    """
    attempt = Attempt(key.mac("account", account.encode()), key.mac("address", address.encode()))
    wait: int | None = None
    async with as_identity(session):
        moment = {"next": at + _STEP, "latest": at + _BURST, "step": _STEP}
        if not await session.scalar(_COUNT, attempt.keys | moment):
            ahead = await session.scalar(_AHEAD, attempt.keys)
            wait = max(1, math.ceil((ahead - _BURST - at).total_seconds()))
    if wait is not None:
        raise TooManyAttempts(wait)
    return attempt


async def succeeded(session: AsyncSession, attempt: Attempt) -> None:
    """Give a counted attempt back: only failures count."""
    async with as_identity(session):
        await session.execute(_GIVE_BACK, attempt.keys | {"step": _STEP})


async def forget(session: AsyncSession, *, at: datetime) -> None:
    """Remove the rows that hold nobody back any more."""
    async with as_identity(session):
        await session.execute(_FORGET, {"at": at})
