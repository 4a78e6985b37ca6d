"""Every look and every change, on record in the same transaction: ids only, never health data."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from models.audit import AuditEvent
from services.access import Actor

SYSTEM = "system"
"""The role on record where nobody asked: time passed, or something else was gone."""

OPERATOR = "operator"
"""The role of whoever sits at the command line: outside the clinic, without an account."""

STAMP = ("account_id", "role", "sign_in_id", "request_id")
"""Columns that say who did it, in the order of `stamp`: for statements that write their own traces."""


def stamp(actor: Actor | None) -> tuple[UUID | None, str, UUID | None, str | None]:
    """Give the values of STAMP; the system (no actor) and the operator have no account."""
    if actor is None or actor.operator:
        return None, SYSTEM if actor is None else OPERATOR, None, None
    return actor.account_id, actor.role.value, actor.sign_in_id, actor.request_id


async def record(
    session: AsyncSession,
    actor: Actor,
    action: str,
    *,
    at: datetime,
    subject: tuple[str, UUID | None],
    patient_id: UUID | None = None,
) -> None:
    """Record that `actor` did `action` (`resource.verb`) to `subject` (type, id; no id for a list) at `at`."""
    resource_type, resource_id = subject
    await session.execute(
        insert(AuditEvent).values(
            clinic_id=actor.clinic_id,
            at=at,
            action=action,
            resource_type=resource_type,
            resource_id=resource_id,
            patient_id=patient_id,
            **dict(zip(STAMP, stamp(actor), strict=True)),
        )
    )


async def record_operator(
    session: AsyncSession, clinic_id: UUID, action: str, *, at: datetime, subject: tuple[str, UUID]
) -> None:
    """Record what was done from the command line; the session is bound to the clinic."""
    resource_type, resource_id = subject
    await session.execute(
        insert(AuditEvent).values(
            clinic_id=clinic_id,
            at=at,
            role=OPERATOR,
            action=action,
            resource_type=resource_type,
            resource_id=resource_id,
        )
    )


async def record_many(
    session: AsyncSession,
    clinic_id: UUID,
    actor: Actor | None,
    action: str,
    resource_type: str,
    subjects: Sequence[tuple[UUID, UUID | None]],
    *,
    at: datetime,
) -> None:
    """Record one action on many rows (id, patient or None); without an actor the system did it."""
    if subjects:
        who = dict(zip(STAMP, stamp(actor), strict=True))
        common = {"clinic_id": clinic_id, "at": at, "action": action, "resource_type": resource_type, **who}
        rows = [{**common, "resource_id": row_id, "patient_id": patient_id} for row_id, patient_id in subjects]
        await session.execute(insert(AuditEvent), rows)
