"""What people are told: owed in the transaction that causes it, delivered later, outside of any transaction.

A message holds no health data: its parameters are ids, codes and seeds, and `clinical` words never stand in a template.
Delivery is lease (commit) → send → record (commit). A process that dies between sending and recording sends again when
the lease runs out, with the same message id; so a message may come twice, and is never lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import as_identity, fetch
from models.clinics import Clinic
from models.identity import Account
from models.notifications import Notification, NotificationChannel, NotificationStatus

LEASE = timedelta(minutes=5)
"""How long one process may take to send one message."""

ATTEMPTS = 8
"""After so many failures a message is dropped, and stays visible as dropped."""

PATIENCE = timedelta(minutes=2)
"""Wait before the second attempt; doubled for each one more."""


@dataclass(frozen=True)
class Leased:
    """A message that this process may send now. `attempts` counts this one; no `address`: nobody to send it to."""

    id: UUID
    clinic_id: UUID
    template: str
    parameters: Mapping[str, Any]
    address: str | None
    clinic_name: str
    attempts: int


async def owe(
    session: AsyncSession,
    *,
    clinic_id: UUID,
    template: str,
    channel: NotificationChannel | str,
    dedupe_key: str,
    due_at: datetime,
    account_id: UUID | None = None,
    patient_id: UUID | None = None,
    address: str | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> bool:
    """Owe one message to an account or an address, once per `dedupe_key`; tell whether it is new.

    parameters: ids, codes and seeds only, nothing that opens a door by itself. Call it in the transaction of what
    causes the message.
    """
    statement = insert(Notification).values(
        clinic_id=clinic_id,
        template=template,
        channel=NotificationChannel(channel),
        dedupe_key=dedupe_key,
        due_at=due_at,
        account_id=account_id,
        patient_id=patient_id,
        address=address,
        parameters=dict(parameters or {}),
    )
    owed = statement.on_conflict_do_nothing(index_elements=["clinic_id", "dedupe_key"]).returning(Notification.id)
    return await session.scalar(owed) is not None


async def owe_many(session: AsyncSession, rows: Sequence[Mapping[str, Any]]) -> int:
    """Owe many messages in one statement, of any clinics; give how many are new.

    rows: clinic_id, template, channel, dedupe_key, due_at, account_id or address, patient_id, parameters.
    """
    if not rows:
        return 0
    new = await fetch(
        session,
        """
        INSERT INTO notifications
          (clinic_id, template, channel, dedupe_key, due_at, account_id, address, patient_id, parameters)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::uuid[], $7::text[],
                             $8::uuid[], $9::text[]::jsonb[])
        ON CONFLICT (clinic_id, dedupe_key) DO NOTHING RETURNING id
        """,
        [row["clinic_id"] for row in rows],
        [row["template"] for row in rows],
        [str(row["channel"]) for row in rows],
        [row["dedupe_key"] for row in rows],
        [row["due_at"] for row in rows],
        [row["account_id"] for row in rows],
        [row.get("address") for row in rows],
        [row["patient_id"] for row in rows],
        [orjson.dumps(row["parameters"]).decode() for row in rows],
    )
    return len(new)


async def clinics_owing(session: AsyncSession, *, at: datetime, clinic_id: UUID | None = None) -> list[UUID]:
    """Clinics that have e-mail to send at `at`, the one that waits longest first. Runs as the sweeper, too.

    clinic_id: look at this one only.
    """
    query = select(Notification.clinic_id).where(*_due(at, clinic_id)).group_by(Notification.clinic_id)
    return list(await session.scalars(query.order_by(func.min(Notification.due_at))))


async def owed(session: AsyncSession, *, at: datetime, clinic_id: UUID | None = None) -> int:
    """How many e-mails are due at `at`, of one clinic or all."""
    return await session.scalar(select(func.count()).select_from(Notification).where(*_due(at, clinic_id))) or 0


def _due(at: datetime, clinic_id: UUID | None) -> tuple[Any, ...]:
    return (
        *(() if clinic_id is None else (Notification.clinic_id == clinic_id,)),
        Notification.status.in_([NotificationStatus.OWED, NotificationStatus.FAILED]),
        Notification.due_at <= at,
        Notification.channel == NotificationChannel.EMAIL,
    )


async def lease(session: AsyncSession, clinic_id: UUID, *, at: datetime) -> Leased | None:
    """Take the e-mail of a clinic that is due longest, if there is one; nobody else gets it for five minutes."""
    waiting = (
        select(Notification.id)
        .where(*_due(at, clinic_id))
        .order_by(Notification.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    taken = (
        update(Notification)
        .where(Notification.clinic_id == clinic_id, Notification.id == waiting.scalar_subquery())
        .values(attempts=Notification.attempts + 1, due_at=at + LEASE)
        .returning(
            Notification.id,
            Notification.account_id,
            Notification.address,
            Notification.template,
            Notification.parameters,
            Notification.attempts,
        )
    )
    row = (await session.execute(taken)).one_or_none()
    if row is None:
        return None
    name = await session.scalar(select(Clinic.name).where(Clinic.id == clinic_id))
    address = row.address
    if address is None and row.account_id is not None:
        async with as_identity(session):
            address = await session.scalar(select(Account.email).where(Account.id == row.account_id))
    return Leased(
        id=row.id,
        clinic_id=clinic_id,
        template=row.template,
        parameters=row.parameters,
        address=address,
        clinic_name=name or "",
        attempts=row.attempts,
    )


async def record(session: AsyncSession, leased: Leased, *, error: str | None, final: bool, at: datetime) -> None:
    """Record how sending went.

    error: a code, None when it was sent. final: whether trying again is pointless (the provider refused it).
    """
    if error is None:
        values: dict[str, Any] = {"status": NotificationStatus.SENT, "sent_at": at, "last_error": None}
    elif final:
        values = {"status": NotificationStatus.REFUSED, "last_error": error}
    elif leased.attempts >= ATTEMPTS:
        values = {"status": NotificationStatus.DROPPED, "last_error": error}
    else:
        due_at = at + PATIENCE * 2 ** (leased.attempts - 1)
        values = {"status": NotificationStatus.FAILED, "last_error": error, "due_at": due_at}
    await session.execute(
        update(Notification)
        .where(
            Notification.clinic_id == leased.clinic_id,
            Notification.id == leased.id,
            Notification.attempts == leased.attempts,  # whoever took it after our lease ran out has the last word
        )
        .values(**values)
    )
