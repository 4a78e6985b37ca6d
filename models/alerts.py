"""Alerts: what a rule found, whose it is, and how it ended."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, Versioned, check, index, of_clinic, within, words


class AlertLevel(StrEnum):
    """How soon somebody must act."""

    ROUTINE = "routine"
    WATCH = "watch"
    REFER = "refer"
    HIGH = "high"
    URGENT_SAME_DAY = "urgent_same_day"
    EMERGENCY_NOW = "emergency_now"


class AlertStatus(StrEnum):
    """open → acknowledged → assigned → resolved."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    ASSIGNED = "assigned"
    RESOLVED = "resolved"


class AlertOutcome(StrEnum):
    """How an alert ended."""

    PATIENT_CONTACTED = "patient_contacted"
    PROGRAM_CHANGED = "program_changed"
    VISIT_ARRANGED = "visit_arranged"
    REFERRED = "referred"
    SENT_TO_EMERGENCY = "sent_to_emergency"
    NOT_REACHED = "not_reached"
    NO_ACTION_NEEDED = "no_action_needed"


class Alert(Identified, Versioned, Base):
    """One open alert per patient and rule; repeats append events. `inputs` are codes and numbers the rule looked at.

    `respond_by` counts the clinic's staffed hours; `overdue_at` is set once, when nobody had looked by then. From then on
    `escalations` counts the steps taken to find somebody (1 whoever covers, 2 the clinical lead), `escalate_at` is when the
    next one is. `owner_id` is the therapist who took it on.
    """

    __tablename__ = "alerts"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        within("owner_id", "therapists"),
        check("resolved", "(status = 'resolved') = (resolved_at IS NOT NULL AND outcome IS NOT NULL)"),
        index(
            "uq_alerts_unresolved",
            "patient_id",
            "rule_id",
            unique=True,
            postgresql_where=text("status <> 'resolved'"),
        ),
        index("ix_alerts_patient_id", "patient_id", "raised_at", "id"),
        index("ix_alerts_respond_by", "respond_by", "id", postgresql_where=text("status <> 'resolved'")),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID | None]
    rule_id: Mapped[str]
    rule_version: Mapped[str]
    level: Mapped[AlertLevel] = mapped_column(words("level", AlertLevel))
    task: Mapped[str | None]
    status: Mapped[AlertStatus] = mapped_column(words("status", AlertStatus), server_default=AlertStatus.OPEN.value)
    source_type: Mapped[str]
    source_id: Mapped[UUID | None]
    inputs: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    repeats: Mapped[int] = mapped_column(server_default=text("0"))
    raised_at: Mapped[datetime]
    respond_by: Mapped[datetime]
    overdue_at: Mapped[datetime | None]
    escalations: Mapped[int] = mapped_column(server_default=text("0"))
    escalate_at: Mapped[datetime | None]
    owner_id: Mapped[UUID | None]
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[UUID | None]
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[UUID | None]
    outcome: Mapped[AlertOutcome | None] = mapped_column(words("outcome", AlertOutcome))
    note: Mapped[str | None]


class AlertEvent(Identified, Base):
    """Something that happened to an alert; never changed. `note`: how it ended, or why it was opened again, in words."""

    __tablename__ = "alert_events"
    __table_args__ = (
        of_clinic(),
        within("alert_id", "alerts"),
        check(
            "kind",
            "kind IN ('raised', 'repeated', 'acknowledged', 'assigned', 'resolved', 'overdue', 'escalated',"
            " 'handed_back', 'reopened')",
        ),
        check("note", "char_length(note) BETWEEN 1 AND 2000"),
        index("ix_alert_events_alert_id", "alert_id", "at"),
    )

    alert_id: Mapped[UUID]
    kind: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[UUID | None]
    source_type: Mapped[str | None]
    source_id: Mapped[UUID | None]
    inputs: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    note: Mapped[str | None]
