"""The clock of a sandbox: how far it runs ahead. A database that was not made as a sandbox has no row here."""

from datetime import datetime

from sqlalchemy import func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, check


class SandboxClock(Base):
    """The one row of a sandbox, of no clinic: all clinics of a sandbox live by the same clock.

    Only the owner of the schema can make it, when the database is made. `ahead_seconds` never becomes less.
    """

    __tablename__ = "sandbox_clock"
    __table_args__ = (
        check("one", "one"),
        check("ahead", "ahead_seconds >= 0"),
    )

    one: Mapped[bool] = mapped_column(primary_key=True, server_default=text("true"))
    ahead_seconds: Mapped[float] = mapped_column(server_default=text("0"))
    made_at: Mapped[datetime] = mapped_column(server_default=func.now())
    moved_at: Mapped[datetime | None]
