"""Goals in the patient's words, tied to a measure where there is one."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Numeric
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Versioned, check, index, of_clinic, within, words


class GoalStatus(StrEnum):
    """Where the goal stands."""

    ACTIVE = "active"
    ACHIEVED = "achieved"
    NOT_ACHIEVED = "not_achieved"
    CANCELED = "canceled"


class Goal(Identified, Versioned, Base):
    """A goal; `measure` is an instrument's code, with `activity_id` for one activity of the PSFS."""

    __tablename__ = "goals"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        check("statement", "char_length(statement) BETWEEN 1 AND 500"),
        check("measured", "measure IS NOT NULL OR (baseline IS NULL AND target IS NULL AND activity_id IS NULL)"),
        index("ix_goals_episode_id", "episode_id", "created_at"),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID]
    statement: Mapped[str]
    measure: Mapped[str | None]
    activity_id: Mapped[str | None]
    baseline: Mapped[Decimal | None] = mapped_column(Numeric(7, 2))
    target: Mapped[Decimal | None] = mapped_column(Numeric(7, 2))
    due_on: Mapped[date | None]
    status: Mapped[GoalStatus] = mapped_column(words("status", GoalStatus), server_default=GoalStatus.ACTIVE.value)
    closed_at: Mapped[datetime | None]
