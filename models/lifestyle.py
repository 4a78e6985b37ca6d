"""Targets for habits, and what else may add to the problem, as the patient tells it."""

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import LargeBinary, Numeric, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, Versioned, check, index, of_clinic, within, words


class LifestyleKind(StrEnum):
    """The habit, by the question that asks about it; its unit and ranges stand in `clinical/rules/habits.yaml`."""

    SLEEP_HOURS = "sleep_hours"
    STRESS = "stress"
    STEPS = "steps"
    ACTIVITY_MINUTES = "activity_minutes"


class LifestyleTarget(Identified, Versioned, Base):
    """What a therapist and a patient agreed on for a habit, at most one of a kind that is not ended in an episode.

    `target` is in the unit of the question; `starts_on` is the patient's local day.
    """

    __tablename__ = "lifestyle_targets"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        check("target", "target >= 0"),
        check("ended", "(ended_on IS NULL) = (ended_at IS NULL) AND (ended_on IS NULL OR ended_on >= starts_on)"),
        index(
            "uq_lifestyle_targets_kind", "episode_id", "kind", unique=True, postgresql_where=text("ended_at IS NULL")
        ),
        index("ix_lifestyle_targets_episode_id", "episode_id", "created_at", "id"),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID]
    kind: Mapped[LifestyleKind] = mapped_column(words("kind", LifestyleKind))
    target: Mapped[Decimal] = mapped_column(Numeric(8, 2))
    starts_on: Mapped[date]
    ended_on: Mapped[date | None]
    ended_at: Mapped[datetime | None]


class FactorKind(StrEnum):
    """What was told: something done for relief, a look at the workstation, or what work asks of the body."""

    SELF_CARE = "self_care"
    WORKSTATION = "workstation"
    WORK_EXPOSURE = "work_exposure"


class FactorEntry(Identified, Base):
    """One entry about a contributing factor, under the id that the device made; never changed.

    `content` is as its form says, in codes and numbers only; `list_version` is the version of the workstation check.
    `noted_at` is the device's time in `device_zone`, `local_date` the day of it there, or the one that is told of.
    `body_sha256` tells a repeat from another entry. A correction is a new entry that `supersedes_id` names.
    """

    __tablename__ = "factor_entries"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        within("supersedes_id", "factor_entries"),
        check("content", "jsonb_typeof(content) = 'object'"),
        check("list_version", "(list_version IS NOT NULL) = (kind = 'workstation')"),
        index("ix_factor_entries_patient_id", "patient_id", "local_date", "id"),
        index(
            "uq_factor_entries_supersedes_id",
            "supersedes_id",
            unique=True,
            postgresql_where=text("supersedes_id IS NOT NULL"),
        ),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID]
    kind: Mapped[FactorKind] = mapped_column(words("kind", FactorKind))
    local_date: Mapped[date]
    noted_at: Mapped[datetime]
    device_zone: Mapped[str]
    received_at: Mapped[datetime]
    noted_by: Mapped[UUID]
    content: Mapped[Json]
    list_version: Mapped[str | None]
    body_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    supersedes_id: Mapped[UUID | None]
