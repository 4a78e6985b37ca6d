"""What clocks show in each time zone: rows written from the tzdata package when the database is migrated."""

from datetime import datetime

from sqlalchemy import DateTime
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class TimeZone(Base):
    """One IANA zone by the rules of one `release`; see `clinical.zones.ZoneRules`.

    The same for every clinic, and read by the SQL functions `local_instant` and `local_day`; rows are never removed.
    """

    __tablename__ = "time_zones"

    name: Mapped[str] = mapped_column(primary_key=True)
    release: Mapped[str]
    changes: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=True)))
    walls: Mapped[list[datetime]] = mapped_column(ARRAY(DateTime(timezone=False)))
    offsets: Mapped[list[int]]
