"""What patients agreed to."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Versioned, check, index, of_clinic, within, words


class ConsentPurpose(StrEnum):
    """What the patient agrees to; each purpose has its own consent."""

    TELEHEALTH = "telehealth"
    REMOTE_MONITORING = "remote_monitoring"
    REMINDERS = "reminders"
    RECORDING = "recording"
    SHARING = "sharing"
    RESEARCH = "research"
    PHOTOS = "photos"


class ConsentStatus(StrEnum):
    """offered → given → withdrawn | expired | superseded."""

    OFFERED = "offered"
    GIVEN = "given"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class ConsentMethod(StrEnum):
    """How agreement was expressed."""

    ELECTRONIC = "electronic"
    VERBAL = "verbal"
    WRITTEN = "written"


class Consent(Identified, Versioned, Base):
    """A patient's agreement to one purpose, with the version of the text; withdrawing stops future use only."""

    __tablename__ = "consents"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        check("given", "(status = 'offered') = (given_at IS NULL)"),
        check("withdrawn", "(status = 'withdrawn') = (withdrawn_at IS NOT NULL)"),
        index("uq_consents_given", "patient_id", "purpose", unique=True, postgresql_where=text("status = 'given'")),
        index(
            "ix_consents_expires_on",
            "expires_on",
            postgresql_where=text("status IN ('given', 'offered') AND expires_on IS NOT NULL"),
        ),
        index("ix_consents_patient_id", "patient_id", "created_at"),
    )

    patient_id: Mapped[UUID]
    purpose: Mapped[ConsentPurpose] = mapped_column(words("purpose", ConsentPurpose))
    status: Mapped[ConsentStatus] = mapped_column(words("status", ConsentStatus))
    text_version: Mapped[str]
    language: Mapped[str] = mapped_column(server_default="en")
    method: Mapped[ConsentMethod] = mapped_column(words("method", ConsentMethod))
    explained_by: Mapped[str] = mapped_column(server_default="")
    given_at: Mapped[datetime | None]
    given_by: Mapped[UUID | None]
    expires_on: Mapped[date | None]
    withdrawn_at: Mapped[datetime | None]
