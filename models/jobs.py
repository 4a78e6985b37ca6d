"""What the clock did: one row per run of a job, of no clinic."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Json, check


class JobRun(Base):
    """One run of a job; `counts` are numbers only. `clinic_id` is empty when the run swept all clinics."""

    __tablename__ = "job_runs"
    __table_args__ = (
        check("status", "status IN ('running', 'succeeded', 'failed')"),
        Index("ix_job_runs_job", "job", "started_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.uuidv7())
    job: Mapped[str]
    clinic_id: Mapped[UUID | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(server_default="running")
    counts: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    error: Mapped[str | None]
