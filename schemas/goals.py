"""Goals of an episode."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from models.goals import GoalStatus
from schemas.base import In, Record, Text, UtcDatetime

Score = Annotated[float, Field(ge=-1000, le=1000, description="A score of the measure; PSFS: a rating of 0 to 10")]
ActivityId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$", description="The activity's id in PSFS answers")]


class GoalCreate(In):
    """A goal in the patient's words, with a measure or without.

    A measure needs a target; PSFS also an activity that the patient has named in his answers in this episode.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "statement": "Climb two flights of stairs without stopping",
                    "measure": "psfs",
                    "activity_id": "stairs",
                    "baseline": 3,
                    "target": 7,
                    "due_on": "2026-12-31",
                },
                {"statement": "Sleep through the night"},
            ]
        }
    )

    statement: Annotated[str, Text(500)]
    measure: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Code of an instrument")] | None = None
    activity_id: ActivityId | None = None
    baseline: Score | None = None
    target: Score | None = None
    due_on: date | None = None


class GoalChange(In):
    """What to change in an active goal. Closing it sets `status`; a closed one can only be made active again.

    The measure stays: another measure is another goal.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"status": "achieved"}, {"target": 8}]})

    statement: Annotated[str, Text(500)] | None = None
    baseline: Score | None = None
    target: Score | None = None
    due_on: date | None = None
    status: GoalStatus | None = None


class GoalRead(Record):
    """A goal."""

    patient_id: UUID
    episode_id: UUID
    statement: str
    measure: str | None
    activity_id: str | None
    baseline: float | None
    target: float | None
    due_on: date | None
    status: GoalStatus
    closed_at: UtcDatetime | None
