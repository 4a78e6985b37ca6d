"""Therapists, their licenses, and every look at a license's register."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Computed, Date, ForeignKey, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import DATERANGE, Range
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, Made, Versioned, check, index, of_clinic, within, words


class Profession(StrEnum):
    """Physical therapist, or physical therapist assistant (who may not evaluate, set or change a plan)."""

    PT = "PT"
    PTA = "PTA"


class TherapistStatus(StrEnum):
    """Whether the person works at the clinic now."""

    ACTIVE = "active"
    INACTIVE = "inactive"


class Therapist(Identified, Versioned, Base):
    """A therapist or assistant of the clinic; `npi` is the US National Provider Identifier (10 digits)."""

    __tablename__ = "therapists"
    __table_args__ = (
        of_clinic(),
        UniqueConstraint("clinic_id", "email"),
        UniqueConstraint("clinic_id", "npi"),
        check("given_name", "char_length(given_name) BETWEEN 1 AND 100"),
        check("family_name", "char_length(family_name) BETWEEN 1 AND 100"),
        check("npi", "npi ~ '^[12][0-9]{9}$'"),
    )

    account_id: Mapped[UUID | None] = mapped_column(ForeignKey("identity.accounts.id"))
    given_name: Mapped[str]
    family_name: Mapped[str]
    email: Mapped[str]
    phone: Mapped[str] = mapped_column(server_default="")
    credentials: Mapped[str] = mapped_column(server_default="")
    profession: Mapped[Profession] = mapped_column(words("profession", Profession))
    npi: Mapped[str | None]
    status: Mapped[TherapistStatus] = mapped_column(
        words("status", TherapistStatus), server_default=TherapistStatus.ACTIVE.value
    )


class LicenseKind(StrEnum):
    """What gives the right to practice at a place."""

    LICENSE = "license"
    COMPACT_PRIVILEGE = "compact_privilege"
    REGISTER = "register"
    TELEHEALTH_REGISTRATION = "telehealth_registration"


class LicenseStatus(StrEnum):
    """unverified → verified → expiring → expired | restricted | revoked."""

    UNVERIFIED = "unverified"
    VERIFIED = "verified"
    EXPIRING = "expiring"
    EXPIRED = "expired"
    RESTRICTED = "restricted"
    REVOKED = "revoked"


class License(Identified, Versioned, Base):
    """An authority to practice in one jurisdiction (`US-CA`, `GB`, `AU`), for a period that includes its last day."""

    __tablename__ = "licenses"
    __table_args__ = (
        of_clinic(),
        within("therapist_id", "therapists"),
        UniqueConstraint("clinic_id", "jurisdiction", "kind", "number"),
        check("dates", "expires_on > issued_on"),
        check("jurisdiction", "jurisdiction ~ '^[A-Z]{2}(-[A-Z0-9]{1,3})?$'"),
        check("number", "char_length(number) BETWEEN 1 AND 40"),
        index("ix_licenses_therapist_id", "therapist_id", "jurisdiction"),
    )

    therapist_id: Mapped[UUID]
    profession: Mapped[Profession] = mapped_column(words("profession", Profession))
    jurisdiction: Mapped[str]
    kind: Mapped[LicenseKind] = mapped_column(words("kind", LicenseKind))
    number: Mapped[str]
    status: Mapped[LicenseStatus] = mapped_column(
        words("status", LicenseStatus), server_default=LicenseStatus.UNVERIFIED.value
    )
    issued_on: Mapped[date]
    expires_on: Mapped[date]
    in_force: Mapped[Range[date]] = mapped_column(
        DATERANGE, Computed("daterange(issued_on, expires_on, '[]')", persisted=True)
    )
    conditions: Mapped[str] = mapped_column(server_default="")
    verified_at: Mapped[datetime | None]
    next_check_on: Mapped[date | None] = mapped_column(Date)


class VerificationResult(StrEnum):
    """What the register said."""

    VERIFIED = "verified"
    NOT_FOUND = "not_found"
    EXPIRED = "expired"
    RESTRICTED = "restricted"
    REVOKED = "revoked"


class VerificationMethod(StrEnum):
    """How the register was asked."""

    PRIMARY_SOURCE_SITE = "primary_source_site"
    PRIMARY_SOURCE_API = "primary_source_api"
    FSBPT = "fsbpt"
    DOCUMENT = "document"


class LicenseVerification(Identified, Made, Base):
    """One look at the register; never changed, never removed."""

    __tablename__ = "license_verifications"
    __table_args__ = (
        of_clinic(),
        within("license_id", "licenses"),
        index("ix_license_verifications_license_id", "license_id", "verified_at"),
    )

    license_id: Mapped[UUID]
    result: Mapped[VerificationResult] = mapped_column(words("result", VerificationResult))
    method: Mapped[VerificationMethod] = mapped_column(words("method", VerificationMethod))
    source: Mapped[str]
    evidence: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    verified_by: Mapped[UUID]
    verified_at: Mapped[datetime]
