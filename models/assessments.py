"""Assessments: structured clinical notes that are signed once."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, Versioned, check, index, of_clinic, within, words


class AssessmentKind(StrEnum):
    """When in the episode it is written."""

    INITIAL = "initial"
    REASSESSMENT = "reassessment"
    DISCHARGE = "discharge"


class DocumentStatus(StrEnum):
    """draft → signed → amended; a signed document is never changed."""

    DRAFT = "draft"
    SIGNED = "signed"
    AMENDED = "amended"


class Assessment(Identified, Versioned, Base):
    """A structured assessment; `content` follows schemas/assessments.py, `content_sha256` seals it when signed."""

    __tablename__ = "assessments"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        within("author_id", "therapists"),
        check("signed", "(status = 'draft') = (signed_at IS NULL AND content_sha256 IS NULL)"),
        index("ix_assessments_episode_id", "episode_id", "created_at"),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID]
    author_id: Mapped[UUID]
    kind: Mapped[AssessmentKind] = mapped_column(words("kind", AssessmentKind))
    assessed_on: Mapped[date]
    content: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    status: Mapped[DocumentStatus] = mapped_column(
        words("status", DocumentStatus), server_default=DocumentStatus.DRAFT.value
    )
    signed_at: Mapped[datetime | None]
    signed_as: Mapped[Json | None]
    content_sha256: Mapped[str | None]
