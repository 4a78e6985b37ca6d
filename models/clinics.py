"""The clinic itself: one tenant."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Json, Versioned, check, in_zone


class Clinic(Versioned, Base):
    """One clinic, one tenant.

    `staffed_hours` maps ISO weekdays "1".."7" to lists of ["HH:MM", "HH:MM"] in the clinic's zone: alerts' response
    clocks run only then. `settings` holds thresholds that the clinic may set (see schemas/clinics.py).
    """

    __tablename__ = "clinics"
    __table_args__ = (
        in_zone(),
        check("name", "char_length(name) BETWEEN 1 AND 200"),
        check("country", "country ~ '^[A-Z]{2}$'"),
        check("paper", "paper IN ('a4', 'us-letter')"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.uuidv7())
    name: Mapped[str]
    country: Mapped[str]
    zone: Mapped[str]
    address: Mapped[str] = mapped_column(server_default="")
    phone: Mapped[str] = mapped_column(server_default="")
    email: Mapped[str] = mapped_column(server_default="")
    paper: Mapped[str] = mapped_column(server_default="a4")
    staffed_hours: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    holidays: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    settings: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
