"""Every look and every change, on record in the same transaction: ids only, never health data."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from models.audit import AuditEvent
from services.access import Actor


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
            account_id=actor.account_id,
            role=actor.role.value,
            sign_in_id=actor.sign_in_id,
            action=action,
            resource_type=resource_type,
            resource_id=resource_id,
            patient_id=patient_id,
            request_id=actor.request_id,
        )
    )
