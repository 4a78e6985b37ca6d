"""Every look and every change, on record: ids only."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, check, index


class AuditEvent(Identified, Base):
    """Who did what to whose record, when, from which request; inserted in the same transaction, never changed.

    `xid` is the writing transaction's id (its order is what a later sealing job goes by).
    """

    __tablename__ = "audit_events"
    __table_args__ = (  # no key to the clinic: row-level security lets nobody write another's, and every look costs one
        check("action", "action ~ '^[a-z_]+\\.[a-z_]+$'"),
        index("ix_audit_events_patient_id", "patient_id", "at"),
        index("ix_audit_events_xid", "xid", "id"),
    )

    at: Mapped[datetime]
    account_id: Mapped[UUID | None]
    role: Mapped[str]
    sign_in_id: Mapped[UUID | None]
    action: Mapped[str]
    resource_type: Mapped[str]
    resource_id: Mapped[UUID | None]
    patient_id: Mapped[UUID | None]
    request_id: Mapped[str | None]
    xid: Mapped[int] = mapped_column(BigInteger, server_default=text("(pg_current_xact_id()::text)::bigint"))
