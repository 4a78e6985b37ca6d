"""The exercise library: what ships with Physio, what a clinic adds, what a therapist keeps."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, Versioned, check, index, of_clinic, within, words


class ExerciseScope(StrEnum):
    """Whose exercise it is: shipped with Physio, the clinic's, or one therapist's own."""

    LIBRARY = "library"
    CLINIC = "clinic"
    OWN = "own"


class Exercise(Identified, Versioned, Base):
    """An exercise. `default_dosage` follows schemas/exercises.py; `contraindications` are {code, text} pairs.

    Every clinic holds its own copy of the shipped library, synchronized by `code`; a program pins what it prescribed,
    so an update never changes a program in force.
    """

    __tablename__ = "exercises"
    __table_args__ = (
        of_clinic(),
        within("owner_id", "therapists"),
        check("owner", "(scope = 'own') = (owner_id IS NOT NULL)"),
        check("name", "char_length(name) BETWEEN 1 AND 200"),
        index("uq_exercises_code", "code", unique=True),
        index("ix_exercises_name", "name", "id"),
        index("ix_exercises_region", "target_region", "phase"),
    )

    scope: Mapped[ExerciseScope] = mapped_column(words("scope", ExerciseScope))
    owner_id: Mapped[UUID | None]
    code: Mapped[str]
    name: Mapped[str]
    target_region: Mapped[str]
    body_regions: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    type: Mapped[str]
    phase: Mapped[str]
    position: Mapped[str] = mapped_column(server_default="")
    equipment: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    default_dosage: Mapped[Json]
    instructions: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    cues: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    contraindications: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    precautions: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    progression_of: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    retired_at: Mapped[datetime | None]
