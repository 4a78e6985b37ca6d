"""Adverse events as they cross our border."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field

from models.adverse_events import (
    AdverseEventKind,
    AdverseEventOutcome,
    AdverseEventReporter,
    AdverseEventStatus,
    Relatedness,
    ReviewConclusion,
    SeriousCriterion,
)
from schemas.advice import Advice
from schemas.base import In, Out, Record, Text, UtcDatetime, unchanged

GradeNumber = Annotated[
    int,
    Field(
        ge=1, le=5, description="1 mild, 2 moderate, 3 severe, 4 life in danger, 5 death; see docs/adverse-events.md"
    ),
]
Criteria = Annotated[
    list[SeriousCriterion],
    Field(max_length=len(SeriousCriterion), description="What makes it serious; empty says that nothing does"),
]
Description = Annotated[str, Text(2_000)]


class AdverseEventCreate(In):
    """What happened, in plain words, and on which day of the patient's.

    What is not known is left out. `session_id`, `item_id` and `version_id` say with which session, prescribed exercise or
    program version it came; each of the first two tells the version, too. What it had to do with treatment is for staff.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "more_pain",
                    "description": "Sharp pain in the back during the bridge; I could not get up for an hour.",
                    "occurred_on": "2026-11-20",
                    "grade": 2,
                    "seriousness": [],
                }
            ]
        }
    )

    kind: AdverseEventKind
    description: Description
    occurred_on: date
    ended_on: date | None = None
    grade: GradeNumber | None = None
    seriousness: Criteria | None = None
    relatedness: Relatedness | None = None
    outcome: AdverseEventOutcome | None = None
    episode_id: UUID | None = None
    version_id: UUID | None = None
    item_id: UUID | None = None
    session_id: UUID | None = None


class AdverseEventPatch(In):
    """What a therapist knows better, with an optional word on why; null empties what may be empty.

    A reviewed event takes only what makes it worse, and then waits for a review again.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"relatedness": "probable", "outcome": "recovered", "note": "Told on the phone the next day."}]
        }
    )

    kind: AdverseEventKind = unchanged()
    description: Description = unchanged()
    occurred_on: date = unchanged()
    ended_on: date | None = None
    grade: GradeNumber | None = None
    seriousness: Criteria | None = None
    relatedness: Relatedness | None = None
    outcome: AdverseEventOutcome | None = None
    episode_id: UUID | None = None
    version_id: UUID | None = None
    item_id: UUID | None = None
    session_id: UUID | None = None
    note: Annotated[str, Text(500)] | None = None


class AdverseEventReview(In):
    """How the review ended."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"conclusion": "program_changed", "note": "The bridge was taken out; settled within two days."}
            ]
        }
    )

    conclusion: ReviewConclusion
    note: Description


class AdverseEventRead(Record):
    """An adverse event; what nobody has said is null. `rule_version` is that of the grades.

    `review_note` is written by the team for the team: null for the patient, who reads that it was reviewed, and when.
    """

    patient_id: UUID
    episode_id: UUID | None
    version_id: UUID | None
    item_id: UUID | None
    session_id: UUID | None
    kind: AdverseEventKind
    description: str
    occurred_on: date
    ended_on: date | None
    grade: int | None
    seriousness: list[SeriousCriterion] | None
    relatedness: Relatedness | None
    outcome: AdverseEventOutcome | None
    rule_version: str
    reported_via: AdverseEventReporter
    reported_at: UtcDatetime
    reported_by: UUID
    status: AdverseEventStatus
    conclusion: ReviewConclusion | None
    review_note: str | None
    reviewed_at: UtcDatetime | None
    reviewed_by: UUID | None


class AdverseEventReported(AdverseEventRead):
    """An adverse event that was just reported; `advice` is what the patient must read now, null where it asks for none."""

    advice: Advice | None


class AdverseEventChangeRead(Out):
    """What somebody said, with the account: `changes` maps each field to what it was and what it became.

    A `note` of the team is null for the patient.
    """

    kind: str
    at: UtcDatetime
    by: UUID
    changes: dict[str, list[Any]]
    note: str | None


class AdverseEventDetail(AdverseEventRead):
    """An adverse event with all that was said about it, the first first."""

    changes: list[AdverseEventChangeRead]
