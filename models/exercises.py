"""The exercise library: what ships with Physio, what a clinic adds, what a therapist keeps."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, text
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
    so an update never changes a program in force. `difficulty` is 1 (easiest) to 5. `progression_of` is the code of the
    easier exercise; no chain of them runs in a circle. `translations` are by language, each with the fingerprint of the
    text that was translated; they and `media` are the clinic's, also of a shipped exercise. `offered_at`: the owner
    would give it to the clinic. `replaced_by` is the code of the exercise that took the place of this one.
    """

    __tablename__ = "exercises"
    __table_args__ = (
        of_clinic(),
        within("owner_id", "therapists"),
        ForeignKeyConstraint(["clinic_id", "replaced_by"], ["exercises.clinic_id", "exercises.code"]),
        check("owner", "(scope = 'own') = (owner_id IS NOT NULL)"),
        check("name", "char_length(name) BETWEEN 1 AND 200"),
        check("difficulty", "difficulty BETWEEN 1 AND 5"),
        check("translations", "jsonb_typeof(translations) = 'object'"),
        check("media", "jsonb_typeof(media) = 'array'"),
        check("offered", "offered_at IS NULL OR (scope = 'own' AND retired_at IS NULL)"),
        check(
            "replaced",
            "replaced_by IS NULL OR (retired_at IS NOT NULL AND replaced_by <> code AND scope <> 'library')",
        ),
        index("uq_exercises_code", "code", unique=True),
        index("ix_exercises_name", "name", "id"),
        index("ix_exercises_region", "target_region", "phase"),
    )

    scope: Mapped[ExerciseScope] = mapped_column(words("scope", ExerciseScope))
    owner_id: Mapped[UUID | None]
    code: Mapped[str]
    language: Mapped[str] = mapped_column(server_default="en")
    name: Mapped[str]
    target_region: Mapped[str]
    body_regions: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    type: Mapped[str]
    phase: Mapped[str]
    difficulty: Mapped[int | None]
    position: Mapped[str] = mapped_column(server_default="")
    equipment: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    default_dosage: Mapped[Json]
    instructions: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    cues: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    contraindications: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    precautions: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    progression_of: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    translations: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    media: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    offered_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    replaced_by: Mapped[str | None]
