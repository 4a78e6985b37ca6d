"""Progress reports and discharge summaries: what is asked for, what is frozen, what is answered."""

from datetime import date
from typing import Annotated, Self
from uuid import UUID

from pydantic import ConfigDict, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from models.alerts import AlertLevel
from models.assessments import DocumentStatus
from models.goals import GoalStatus
from models.reports import ReportKind
from schemas.base import In, Out, Record, Text, UtcDatetime
from schemas.progress import ChangeRule, Progress

NARRATIVE_LIMIT = 5_000
"""Longest part of a narrative, in characters."""

PERIOD_LIMIT_DAYS = 366
"""Longest period that one report covers."""

Prose = Annotated[str, Text(NARRATIVE_LIMIT)]


class ReportCreate(In):
    """Ask for a report over local days, both included; its contents are frozen at once."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "progress", "period_from": "2026-02-02", "period_to": "2026-03-01"}]}
    )

    kind: ReportKind
    period_from: date
    period_to: date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.period_to < self.period_from:
            raise PydanticCustomError("period_order", "The period must not end before it begins")
        if (self.period_to - self.period_from).days >= PERIOD_LIMIT_DAYS:
            raise PydanticCustomError("period_length", "A report covers at most 366 days")
        return self


class NarrativeUpdate(In):
    """What the therapist writes, while the report is a draft. What is left out stays; null empties it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "assessment_of_progress": "Sits for an hour again; disability fell by seven points.",
                    "justification_for_skilled_care": "Load is progressed against symptoms.",
                    "plan": "Four more weeks of the strength phase, then maintenance.",
                }
            ]
        }
    )

    assessment_of_progress: Prose | None = None
    justification_for_skilled_care: Prose | None = None
    plan: Prose | None = None
    updated_goals: Prose | None = None


class Narrative(Out):
    """The therapist's own words. The server never writes or changes them."""

    assessment_of_progress: str | None
    justification_for_skilled_care: str | None
    plan: str | None
    updated_goals: str | None


class Letterhead(Out):
    """The clinic as it stood on its paper when the report was made; `address` may have several lines."""

    name: str
    address: str
    phone: str
    email: str


class PatientBlock(Out):
    """Who the report is about: enough to tell two people apart, on every page."""

    name: str
    birth_date: date
    record_number: str


class EpisodeBlock(Out):
    """The episode of care."""

    title: str
    body_region: str
    icd10: list[str]
    started_on: date


class ReportCounts(Out):
    """What happened in the period. `red_flag_screens` counts complete screens only: unanswered is never negative."""

    visits: int
    red_flag_screens: int
    check_ins_due: int
    check_ins_answered: int
    sessions_completed: int


class ReportGoal(Out):
    """A goal from baseline over current to target. Values are null where nobody measured them."""

    statement: str
    measure: str | None
    unit: str | None
    baseline: float | None
    current: float | None
    current_on: date | None
    target: float | None
    due_on: date | None
    status: GoalStatus
    target_reached: bool | None
    mic_reached: bool | None
    mic_rule: ChangeRule | None


class ReportRedFlag(Out):
    """A red-flag screen that found something, or could not be completed, and how a person closed it."""

    screened_at: UtcDatetime
    level: str
    findings: list[str]
    complete: bool
    outcome: str | None
    closed_at: UtcDatetime | None


class ReportAlert(Out):
    """An alert of the period and how it ended; `outcome` is null while it is open."""

    raised_at: UtcDatetime
    rule: str
    title: str
    level: AlertLevel
    outcome: str | None
    resolved_at: UtcDatetime | None


class ReportProgramChange(Out):
    """A program version that began in the period, and why."""

    version: int
    changed_at: UtcDatetime
    author: str
    reason: str


class Signature(Out):
    """Who signed, under which license, and the SHA-256 of exactly what was signed."""

    name: str
    credentials: str
    license_jurisdiction: str
    license_number: str
    signed_at: UtcDatetime
    content_sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class ReportSnapshot(Out):
    """A report's frozen contents: it says tomorrow what it said today, whatever the record becomes.

    `program_changes` and `alerts` are of the period only. `signature` is null while `status` is draft.
    """

    report_id: UUID
    kind: ReportKind
    status: DocumentStatus
    created_at: UtcDatetime
    author: str
    clinic: Letterhead
    patient: PatientBlock
    episode: EpisodeBlock
    counts: ReportCounts
    goals: list[ReportGoal]
    progress: Progress
    red_flags: list[ReportRedFlag]
    alerts: list[ReportAlert]
    program_changes: list[ReportProgramChange]
    narrative: Narrative
    signature: Signature | None


class ReportSummary(Record):
    """A report in a list: no clinical text."""

    patient_id: UUID
    episode_id: UUID
    author_id: UUID
    kind: ReportKind
    period_from: date
    period_to: date
    status: DocumentStatus
    signed_at: UtcDatetime | None


class ReportRead(ReportSummary):
    """A report with its frozen contents."""

    content_sha256: str | None
    snapshot: ReportSnapshot
