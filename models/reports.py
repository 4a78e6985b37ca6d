"""Progress reports: frozen snapshots that a therapist signs."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from models.assessments import DocumentStatus
from models.base import Base, Identified, Json, Versioned, check, index, of_clinic, within, words


class ReportKind(StrEnum):
    """What the report is for."""

    PROGRESS = "progress"
    DISCHARGE = "discharge"


class Report(Identified, Versioned, Base):
    """A report over `period_from`..`period_to` (local days, both included).

    `snapshot` follows schemas/reports.py and is frozen when the report is made; only `narrative` changes while draft.
    """

    __tablename__ = "reports"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        within("author_id", "therapists"),
        check("period", "period_to >= period_from"),
        check("signed", "(status = 'draft') = (signed_at IS NULL AND content_sha256 IS NULL)"),
        index("ix_reports_episode_id", "episode_id", "created_at"),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID]
    author_id: Mapped[UUID]
    kind: Mapped[ReportKind] = mapped_column(words("kind", ReportKind))
    period_from: Mapped[date]
    period_to: Mapped[date]
    snapshot: Mapped[Json]
    narrative: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    status: Mapped[DocumentStatus] = mapped_column(
        words("status", DocumentStatus), server_default=DocumentStatus.DRAFT.value
    )
    signed_at: Mapped[datetime | None]
    signed_as: Mapped[Json | None]
    content_sha256: Mapped[str | None]
