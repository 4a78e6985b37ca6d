"""Programs to begin from: a clinic's, or a therapist's own."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, Versioned, check, index, of_clinic, within, words


class TemplateScope(StrEnum):
    """Whose template it is: the clinic's, or one therapist's own."""

    CLINIC = "clinic"
    OWN = "own"


class ProgramTemplate(Identified, Versioned, Base):
    """A program without a patient. `content` holds `pain_ceiling` and `phases` as schemas/programs.py takes them.

    It is nobody's prescription: a therapist makes a draft from it, which is then written like any other.
    """

    __tablename__ = "program_templates"
    __table_args__ = (
        of_clinic(),
        within("owner_id", "therapists"),
        check("owner", "(scope = 'own') = (owner_id IS NOT NULL)"),
        check("name", "char_length(name) BETWEEN 1 AND 200"),
        check("content", "jsonb_typeof(content) = 'object'"),
        index("ix_program_templates_name", "name", "id"),
    )

    scope: Mapped[TemplateScope] = mapped_column(words("scope", TemplateScope))
    owner_id: Mapped[UUID | None]
    name: Mapped[str]
    about: Mapped[str] = mapped_column(server_default="")
    content: Mapped[Json]
    retired_at: Mapped[datetime | None]
