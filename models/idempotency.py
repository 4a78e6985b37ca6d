"""Answers kept so that a repeated POST has its effect once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary, func
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Json, OfClinic, check, index, of_clinic


class IdempotencyKey(OfClinic, Base):
    """The answer to one POST of one caller, written in the transaction of its effect and kept for 30 days."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (
        of_clinic(),
        check("key", "char_length(key) BETWEEN 1 AND 255"),
        index("ix_idempotency_keys_created_at", "created_at"),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    body_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int | None]
    headers: Mapped[Json | None]
    body: Mapped[bytes | None] = mapped_column(LargeBinary)
    subject_patient_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
