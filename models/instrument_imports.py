"""Licensed instruments that a clinic has filled in, with who accepted which terms."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, check, of_clinic


class InstrumentImport(Identified, Base):
    """What a clinic did with an empty slot; never changed: the row with the highest `number` of a code holds.

    `content` are the licensed texts: language, stem, recall, options and items, without anything that scores. Without a
    content the clinic has given the instrument up. `terms_version` of the owner's terms, accepted by account `by` at `at`;
    `valid_until` is the last day of the license, by the clinic's calendar.
    """

    __tablename__ = "instrument_imports"
    __table_args__ = (
        of_clinic(),
        UniqueConstraint("clinic_id", "code", "number"),
        check("number", "number >= 1"),
        check("filled", "(content IS NULL) = (terms_version IS NULL)"),
        check("terms_version", "char_length(terms_version) BETWEEN 1 AND 80"),
        check("note", "char_length(note) <= 500"),
    )

    code: Mapped[str]
    number: Mapped[int]
    content: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    terms_version: Mapped[str | None]
    valid_until: Mapped[date | None]
    note: Mapped[str] = mapped_column(server_default="")
    at: Mapped[datetime]
    by: Mapped[UUID]
