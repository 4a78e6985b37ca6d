"""Numbers and mailboxes to which nothing is sent: who said STOP, and where nobody is reached."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import as_identity, fetch
from models.notifications import ClosedAddress, ClosedReason, NotificationChannel

DEAD_FOR = timedelta(days=30)
"""So long nothing is sent where nobody was reached; then it is tried again: mailboxes and numbers come back."""

_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


_CLOSED = """
SELECT channel, address FROM identity.closed_addresses
WHERE (channel, address) IN (SELECT * FROM unnest($1::text[], $2::text[])) AND opened_at IS NULL
  AND (reason <> 'dead' OR closed_at > $3 AND NOT ($4 AND channel = 'email'))
"""


def number(phone: str | None) -> str | None:
    """Give a phone number as providers want it (E.164); None for one that does not say its country."""
    bare = re.sub(r"[ ()./-]", "", phone or "")
    return bare if _E164.fullmatch(bare) else None


async def close(
    session: AsyncSession,
    channel: NotificationChannel,
    address: str,
    reason: ClosedReason,
    *,
    code: str | None,
    at: datetime,
) -> None:
    """Send nothing there any more. Who opted out stays so, whatever else is found."""
    kept = insert(ClosedAddress).values(
        channel=channel, address=address, reason=reason, code=code, closed_at=at, opened_at=None
    )
    fresh = {"reason": kept.excluded.reason, "code": kept.excluded.code, "closed_at": at, "opened_at": None}
    is_open = ClosedAddress.opened_at.is_not(None) | (ClosedAddress.reason == ClosedReason.DEAD)
    stronger = kept.excluded.reason == ClosedReason.OPTED_OUT
    async with as_identity(session):
        await session.execute(
            kept.on_conflict_do_update(index_elements=["channel", "address"], set_=fresh, where=is_open | stronger)
        )


async def reopen(
    session: AsyncSession, channel: NotificationChannel, address: str, reason: ClosedReason, *, at: datetime
) -> None:
    """Let an address count again that was closed for this reason."""
    async with as_identity(session):
        await session.execute(
            update(ClosedAddress)
            .where(
                ClosedAddress.channel == channel,
                ClosedAddress.address == address,
                ClosedAddress.reason == reason,
                ClosedAddress.opened_at.is_(None),
            )
            .values(opened_at=func.greatest(ClosedAddress.closed_at, at))
        )


async def closed(
    session: AsyncSession, pairs: Sequence[tuple[NotificationChannel, str]], *, insist: bool = False, at: datetime
) -> set[tuple[NotificationChannel, str]]:
    """Give those of the addresses that are closed. The session has stepped into the identity's role.

    insist: a mailbox counts that is closed for being dead: what it is about is worth an attempt in vain.
    """
    if not pairs:
        return set()
    channels, found = zip(*pairs, strict=True)
    rows = await fetch(session, _CLOSED, list(channels), list(found), at - DEAD_FOR, insist)
    return {(NotificationChannel(row["channel"]), row["address"]) for row in rows}


async def heed(session: AsyncSession, phone: str, *, stop: bool, at: datetime) -> None:
    """Do as somebody told us by text message: STOP closes the number for text messages in every clinic, START opens it."""
    if stop:
        await close(session, NotificationChannel.SMS, phone, ClosedReason.OPTED_OUT, code="stop", at=at)
    else:
        await reopen(session, NotificationChannel.SMS, phone, ClosedReason.OPTED_OUT, at=at)
