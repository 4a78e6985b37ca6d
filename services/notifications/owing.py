"""Owing a message: rows in the transaction that causes it, delivered later, outside of any transaction.

A message holds no health data: its parameters are ids, codes and seeds, and `clinical` words never stand in a template.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import fetch
from models.notifications import Notification, NotificationCategory, NotificationChannel, NotificationStatus
from services.notifications.policy import CATEGORIES, FIRST


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
    category: NotificationCategory | None = None,
) -> bool:
    """Owe one message to an account or an address, once per `dedupe_key`; tell whether it is new.

    channel: where to begin; the policy of the category says where to go on. parameters: ids, codes and seeds only,
    nothing that opens a door by itself. category: the template's own, where it is not said. Call it in the transaction
    of what causes the message.
    """
    statement = insert(Notification).values(
        clinic_id=clinic_id,
        template=template,
        channel=NotificationChannel(channel),
        category=category or CATEGORIES[template],
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

    rows: clinic_id, template, channel, dedupe_key, due_at, account_id or address, patient_id, parameters; category
    where it is not the template's own.
    """
    if not rows:
        return 0
    new = await fetch(
        session,
        """
        INSERT INTO notifications
          (clinic_id, template, channel, dedupe_key, due_at, account_id, address, patient_id, parameters,
           category)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::uuid[], $7::text[],
                             $8::uuid[], $9::text[]::jsonb[], $10::text[])
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
        [str(row.get("category") or CATEGORIES[row["template"]]) for row in rows],
    )
    return len(new)


async def clinics_owing(
    session: AsyncSession, *, at: datetime, clinic_id: UUID | None = None, urgent: bool = False
) -> list[UUID]:
    """Clinics that have something to send at `at`, the one that waits longest first. Runs as the sweeper, too.

    clinic_id: look at this one only. urgent: only what goes before everything else.
    """
    late = and_(Notification.status == NotificationStatus.SENT, Notification.confirm_by <= at)
    query = select(Notification.clinic_id).where(or_(due(at), late)).group_by(Notification.clinic_id)
    if clinic_id is not None:
        query = query.where(Notification.clinic_id == clinic_id)
    if urgent:
        query = query.where(Notification.category.in_(FIRST))
    return list(await session.scalars(query.order_by(func.min(Notification.due_at))))


async def owed(session: AsyncSession, *, at: datetime, clinic_id: UUID | None = None) -> int:
    """How many messages are due at `at`, of one clinic or all."""
    query = select(func.count()).select_from(Notification).where(due(at))
    if clinic_id is not None:
        query = query.where(Notification.clinic_id == clinic_id)
    return await session.scalar(query) or 0


def due(at: datetime) -> ColumnElement[bool]:
    """Condition: it could be sent at `at`."""
    waiting = Notification.status.in_([NotificationStatus.OWED, NotificationStatus.FAILED])
    return and_(waiting, Notification.due_at <= at)
