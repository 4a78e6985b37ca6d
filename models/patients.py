"""Patients, and the places where they say they are."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Made, Versioned, check, in_zone, index, of_clinic, within, words


class PatientStatus(StrEnum):
    """Whether the clinic is in touch with the person."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class Patient(Identified, Versioned, Base):
    """A person in care.

    `zone` is the IANA time zone of daily life; `conditions` are codes from the exercise library's contraindications.
    """

    __tablename__ = "patients"
    __table_args__ = (
        of_clinic(),
        in_zone(),
        UniqueConstraint("clinic_id", "record_number"),
        check("given_name", "char_length(given_name) BETWEEN 1 AND 100"),
        check("family_name", "char_length(family_name) BETWEEN 1 AND 100"),
        check("birth_date", "birth_date BETWEEN DATE '1900-01-01' AND DATE '2100-01-01'"),
        index("ix_patients_family_name", "family_name", "given_name", "id"),
        index("ix_patients_account_id", "account_id"),
    )

    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("identity.accounts.id"))
    record_number: Mapped[str]
    given_name: Mapped[str]
    family_name: Mapped[str]
    birth_date: Mapped[date]
    gender: Mapped[str | None]
    email: Mapped[str | None]
    phone: Mapped[str | None]
    language: Mapped[str] = mapped_column(server_default="en")
    zone: Mapped[str]
    emergency_contact: Mapped[str | None]
    conditions: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    status: Mapped[PatientStatus] = mapped_column(
        words("status", PatientStatus), server_default=PatientStatus.ACTIVE.value
    )


class PatientLocation(Identified, Made, Base):
    """Where the patient said he is, at a moment; the newest one counts for the license gate. Never changed."""

    __tablename__ = "patient_locations"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        check("country", "country ~ '^[A-Z]{2}$'"),
        check("region", "region ~ '^[A-Z0-9]{1,3}$'"),
        index("ix_patient_locations_patient_id", "patient_id", "attested_at"),
    )

    patient_id: Mapped[UUID]
    country: Mapped[str]
    region: Mapped[str | None]
    attested_at: Mapped[datetime]
    attested_by: Mapped[UUID]
