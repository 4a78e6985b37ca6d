"""Who treats whom, and when."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint, Range
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Versioned, check, index, of_clinic, within, words


class CareRole(StrEnum):
    """What the therapist is to the patient."""

    LEAD = "lead"
    MEMBER = "member"
    COVERING = "covering"


class CareLink(Identified, Versioned, Base):
    """A therapist's link to a patient for a period; access to the record hangs on it.

    Two links of the same pair never overlap, and a patient has one lead at a time.
    """

    __tablename__ = "care_links"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("therapist_id", "therapists"),
        check("during", "NOT isempty(during) AND lower(during) IS NOT NULL"),
        ExcludeConstraint(
            ("clinic_id", "="),
            ("patient_id", "="),
            ("therapist_id", "="),
            ("during", "&&"),
            using="gist",
            name="ex_care_links_one_per_pair",
        ),
        ExcludeConstraint(
            ("clinic_id", "="),
            ("patient_id", "="),
            ("during", "&&"),
            using="gist",
            where=text("role = 'lead'"),
            name="ex_care_links_one_lead",
        ),
        index("ix_care_links_therapist_id", "therapist_id", "patient_id"),
    )

    patient_id: Mapped[UUID]
    therapist_id: Mapped[UUID]
    role: Mapped[CareRole] = mapped_column(words("role", CareRole))
    during: Mapped[Range[datetime]] = mapped_column(TSTZRANGE)
    ended_reason: Mapped[str | None]
