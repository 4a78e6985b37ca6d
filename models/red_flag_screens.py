"""Red-flag screens: what was asked, what fired, what the patient was told, how a human closed it."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Text, and_, cast, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, Versioned, check, index, of_clinic, within, words


class ScreenTrigger(StrEnum):
    """Why the patient was asked."""

    INTAKE = "intake"
    WEEKLY = "weekly"
    NEW_SYMPTOM = "new_symptom"
    FLARE = "flare"
    UNLOCK = "unlock"


class RedFlagLevel(StrEnum):
    """How urgent; the order is `clinical.red_flags`'."""

    NONE = "none"
    WATCH = "watch"
    REFER = "refer"
    URGENT_SAME_DAY = "urgent_same_day"
    EMERGENCY_NOW = "emergency_now"


class ScreenStatus(StrEnum):
    """open → patient_advised → clinician_contacted → closed."""

    OPEN = "open"
    PATIENT_ADVISED = "patient_advised"
    CLINICIAN_CONTACTED = "clinician_contacted"
    CLOSED = "closed"


class ScreenOutcome(StrEnum):
    """How a human closed it; an algorithm never closes one."""

    SENT_TO_EMERGENCY = "sent_to_emergency"
    SEEN_BY_CLINICIAN = "seen_by_clinician"
    REFERRED = "referred"
    NO_ACTION_NEEDED = "no_action_needed"


class RedFlagScreen(Identified, Versioned, Base):
    """One screen. Answers, facts, rule version, fired rules, level and the advice that was shown are never changed.

    `complete` is false when a required question is unanswered: such a screen never counts as negative. `outcome_note`
    holds what was noted before notes had rows of their own; nobody may change it.
    """

    __tablename__ = "red_flag_screens"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        check(
            "closed", "(status = 'closed') = (closed_at IS NOT NULL AND closed_by IS NOT NULL AND outcome IS NOT NULL)"
        ),
        index("ix_red_flag_screens_patient_id", "patient_id", "screened_at"),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID | None]
    trigger: Mapped[ScreenTrigger] = mapped_column(words("trigger", ScreenTrigger))
    answers: Mapped[Json]
    facts: Mapped[Json]
    rule_version: Mapped[str]
    fired: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    level: Mapped[RedFlagLevel] = mapped_column(words("level", RedFlagLevel))
    complete: Mapped[bool]
    missing: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    advice: Mapped[Json]
    status: Mapped[ScreenStatus] = mapped_column(words("status", ScreenStatus))
    screened_at: Mapped[datetime]
    screened_by: Mapped[UUID]
    outcome: Mapped[ScreenOutcome | None] = mapped_column(words("outcome", ScreenOutcome))
    outcome_note: Mapped[str | None]
    closed_at: Mapped[datetime | None]
    closed_by: Mapped[UUID | None]

    @classmethod
    def urgent(cls) -> ColumnElement[bool]:
        """Found something that must be looked at today or at once."""
        return cls.level.in_([RedFlagLevel.URGENT_SAME_DAY, RedFlagLevel.EMERGENCY_NOW])

    @classmethod
    def asked(cls, questions: Iterable[str]) -> ColumnElement[bool]:
        """Answered all of these: `complete` tells that of the region only under which the screen was sent."""
        return cls.answers.op("?&")(cast(list(questions), ARRAY(Text)))

    @classmethod
    def unresolved(cls) -> ColumnElement[bool]:
        """Urgent, and not yet closed by a human."""
        return and_(cls.urgent(), cls.status != ScreenStatus.CLOSED)

    @classmethod
    def clear(cls) -> ColumnElement[bool]:
        """Every required question answered, and nothing urgent found."""
        return and_(cls.complete, ~cls.urgent())


class RedFlagNote(Identified, Base):
    """What a clinician noted on a screen, on the way or at its end; never changed."""

    __tablename__ = "red_flag_notes"
    __table_args__ = (
        of_clinic(),
        within("screen_id", "red_flag_screens"),
        check("note", "char_length(note) BETWEEN 1 AND 2000"),
        index("ix_red_flag_notes_screen_id", "screen_id", "at"),
    )

    screen_id: Mapped[UUID]
    note: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[UUID]
