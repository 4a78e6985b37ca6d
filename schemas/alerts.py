"""Alerts: what a rule found, by when somebody must look, and how it ended."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict

from models.alerts import AlertLevel, AlertOutcome, AlertStatus
from schemas.base import In, Record, Text, UtcDatetime


class AlertOut(Record):
    """An alert. `inputs` are the codes and numbers that the rule looked at; `repeats` counts what came on top.

    When nobody acknowledged it by `respond_by` it is escalated: `escalations` is 1 once whoever covers was told, 2 once the
    clinical lead was; `escalate_at` is when the next step is taken. `owner_id` is the therapist who took it on.
    """

    patient_id: UUID
    episode_id: UUID | None
    rule_id: str
    rule_version: str
    level: AlertLevel
    task: str | None
    status: AlertStatus
    source_type: str
    source_id: UUID | None
    inputs: dict[str, Any]
    repeats: int
    raised_at: UtcDatetime
    respond_by: UtcDatetime
    overdue_at: UtcDatetime | None
    escalations: int
    escalate_at: UtcDatetime | None
    owner_id: UUID | None
    acknowledged_at: UtcDatetime | None
    resolved_at: UtcDatetime | None
    outcome: AlertOutcome | None
    note: str | None


class Assignment(In):
    """Who takes care of it."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"therapist_id": "0198c0de-7a11-7000-8000-000000000002"}]}
    )

    therapist_id: UUID


class Reopening(In):
    """Why it is opened again."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "The call was to another patient."}]})

    reason: Annotated[str, Text(2000)]


class Resolution(In):
    """How it ended."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"outcome": "program_changed", "note": "Fewer repetitions for a week, then again as before."}]
        }
    )

    outcome: AlertOutcome
    note: Annotated[str, Text(2000)] | None = None
