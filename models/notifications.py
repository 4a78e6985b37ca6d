"""What somebody must be told: owed rows, written in the transaction that causes them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, Made, check, index, of_clinic, within, words


class NotificationStatus(StrEnum):
    """owed → sent | failed (will be tried again until `attempts` runs out) | refused (never again) | dropped."""

    OWED = "owed"
    SENT = "sent"
    FAILED = "failed"
    REFUSED = "refused"
    DROPPED = "dropped"


class NotificationChannel(StrEnum):
    """How it reaches the person."""

    EMAIL = "email"
    IN_APP = "in_app"


class Notification(Identified, Made, Base):
    """One message owed to one account or address; the template's parameters are ids, codes and seeds, never health data.

    `dedupe_key` makes a repeat of the causing event owe it once.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        UniqueConstraint("clinic_id", "dedupe_key"),
        check("attempts", "attempts BETWEEN 0 AND 20"),
        index("ix_notifications_due", "due_at", postgresql_where=text("status IN ('owed', 'failed')")),
    )

    account_id: Mapped[UUID | None]
    patient_id: Mapped[UUID | None]
    address: Mapped[str | None]
    channel: Mapped[NotificationChannel] = mapped_column(words("channel", NotificationChannel))
    template: Mapped[str]
    parameters: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    dedupe_key: Mapped[str]
    status: Mapped[NotificationStatus] = mapped_column(
        words("status", NotificationStatus), server_default=NotificationStatus.OWED.value
    )
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    last_error: Mapped[str | None]
    sent_at: Mapped[datetime | None]
