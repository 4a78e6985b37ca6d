"""What happened without anybody asking: time passed, or a rule found something. Ids only, kept for a few days."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, OfClinic, check


class Event(OfClinic, Base):
    """A sweep's or a rule's part of the feed; what people do stands in the audit trail already.

    The key is the order in which the feed is read: by writing transaction, then as written. No key to other tables:
    sweeps write these by the hundred thousand, and nobody ever changes one.
    """

    __tablename__ = "events"
    __table_args__ = (check("action", "action ~ '^[a-z_]+\\.[a-z_]+$'"),)

    xid: Mapped[int] = mapped_column(
        BigInteger, primary_key=True, autoincrement=False, server_default=text("(pg_current_xact_id()::text)::bigint")
    )
    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.uuidv7())
    action: Mapped[str]
    resource_id: Mapped[UUID]
    patient_id: Mapped[UUID]
    at: Mapped[datetime]
