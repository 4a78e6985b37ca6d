"""Goals in the patient's words, tied to a measure where there is one, and milestones on the way."""

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
    """A goal; `measure` is an instrument's code, with `activity_id` for one activity of the PSFS, or a daily measure's.

    How far it is, is nowhere kept: it follows the answers.
    """

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
    baseline: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    target: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    due_on: Mapped[date | None]
    status: Mapped[GoalStatus] = mapped_column(words("status", GoalStatus), server_default=GoalStatus.ACTIVE.value)
    closed_at: Mapped[datetime | None]


class Milestone(Identified, Versioned, Base):
    """A step on the way to a goal.

    With a `target` on the goal's measure it is reached when the answers say so; in words only, when somebody says so: then
    `reached_on` is the patient's local day. One that nobody wants any more is `dropped_at`.
    """

    __tablename__ = "milestones"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("goal_id", "goals"),
        check("statement", "char_length(statement) BETWEEN 1 AND 500"),
        check("reached", "target IS NULL OR reached_on IS NULL"),
        index("ix_milestones_goal_id", "goal_id", "created_at", "id"),
    )

    patient_id: Mapped[UUID]
    goal_id: Mapped[UUID]
    statement: Mapped[str]
    target: Mapped[Decimal | None] = mapped_column(Numeric(8, 2))
    due_on: Mapped[date | None]
    reached_on: Mapped[date | None]
    dropped_at: Mapped[datetime | None]
    set_by: Mapped[UUID]
