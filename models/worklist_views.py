"""Filters of the worklist that a therapist keeps under a name."""

from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped

from models.base import Base, Identified, Json, Versioned, check, of_clinic, within

NAME_IS_UNIQUE = "uq_worklist_views_name"
"""The constraint that lets a name stand once with a therapist."""


class WorklistView(Identified, Versioned, Base):
    """One named set of filters, its owner's alone; `filters` holds no name or number of a patient."""

    __tablename__ = "worklist_views"
    __table_args__ = (
        of_clinic(),
        within("therapist_id", "therapists"),
        UniqueConstraint("clinic_id", "therapist_id", "name", name=NAME_IS_UNIQUE),
        check("name", "char_length(name) BETWEEN 1 AND 60"),
        check("filters", "jsonb_typeof(filters) = 'object'"),
    )

    therapist_id: Mapped[UUID]
    name: Mapped[str]
    filters: Mapped[Json]
