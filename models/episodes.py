"""Episodes of care."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Versioned, check, index, of_clinic, within, words


class EpisodeStatus(StrEnum):
    """referred → intake → active ⇄ on_hold → maintenance → discharged → (reopened) active."""

    REFERRED = "referred"
    INTAKE = "intake"
    ACTIVE = "active"
    ON_HOLD = "on_hold"
    MAINTENANCE = "maintenance"
    DISCHARGED = "discharged"


class Episode(Identified, Versioned, Base):
    """One problem of one patient from referral to discharge; `icd10_codes` are ICD-10-CM."""

    __tablename__ = "episodes"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        check("title", "char_length(title) BETWEEN 1 AND 200"),
        check("closed", "(status = 'discharged') = (discharged_at IS NOT NULL)"),
        index("ix_episodes_patient_id", "patient_id", "created_at"),
    )

    patient_id: Mapped[UUID]
    title: Mapped[str]
    body_region: Mapped[str]
    icd10_codes: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    status: Mapped[EpisodeStatus] = mapped_column(
        words("status", EpisodeStatus), server_default=EpisodeStatus.INTAKE.value
    )
    onset_on: Mapped[date | None]
    started_on: Mapped[date] = mapped_column(server_default=func.current_date())
    status_reason: Mapped[str] = mapped_column(server_default="")
    discharged_at: Mapped[datetime | None]
