"""Goals of an episode, how far they are, and milestones on the way."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from models.goals import GoalStatus
from schemas.base import In, Out, Record, Text, UtcDatetime, unchanged

Score = Annotated[
    float, Field(ge=-1000, le=200_000, description="In the unit of the measure; PSFS: a rating of 0 to 10")
]
Percent = Annotated[float, Field(ge=0, le=100, description="0 to 100, one decimal")]
ActivityId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$", description="The activity's id in PSFS answers")]


class GoalCreate(In):
    """A goal in the patient's words, with a measure or without.

    The measure is an instrument, or a daily measure: `pain_now`, `pain_worst_24h`, `function_limit`, `sleep_hours`,
    `sleep_quality`, `activity_minutes`, `steps`, `stress` or `confidence`. It needs a target; PSFS also an activity that the
    patient has named in his answers in this episode.
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
                {"statement": "Sleep through the night", "measure": "sleep_hours", "target": 7.5},
                {"statement": "Play with my grandchildren on the floor"},
            ]
        }
    )

    statement: Annotated[str, Text(500)]
    measure: (
        Annotated[
            str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$", description="Code of an instrument or of a daily measure")
        ]
        | None
    ) = None
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


class GoalAchievement(Out):
    """How far a goal is, computed from the answers that stand; a corrected answer corrects it.

    `current` is the newest score, or of a daily measure the median of its last days. `percent` is the way gone from
    `baseline` to the target; null where nothing was measured, or where the baseline is as good as the target already.
    `reached_on` is the first day on which the target was reached, `holds` whether it still is. `overdue`: the day has
    passed, and the target was not reached by then.
    """

    baseline: float | None
    current: float | None
    current_on: date | None
    percent: Percent | None
    reached_on: date | None
    holds: bool | None
    overdue: bool | None


class GoalRead(Record):
    """A goal. `baseline` is what was said when it was set.

    Without it, `achievement` takes the first score of the episode, or of a daily measure its value when the goal was set.
    """

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
    achievement: GoalAchievement


class MilestoneCreate(In):
    """A step on the way to a goal, in words, or with a target on the goal's measure (a therapist's)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"statement": "One flight of stairs without stopping", "target": 5, "due_on": "2026-11-30"},
                {"statement": "Walk to the bakery and back"},
            ]
        }
    )

    statement: Annotated[str, Text(500)]
    target: Score | None = None
    due_on: date | None = None


class MilestoneChange(In):
    """What to change in a milestone. `reached_on` is for one in words: the day, or null when it was a mistake.

    `dropped` takes it off the list without removing it, or puts it back.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"statement": "Two flights, one rest"}, {"dropped": True}]}
    )

    statement: Annotated[str, Text(500)] = unchanged()
    target: Score = unchanged()
    due_on: date | None = None
    reached_on: Annotated[date, Field(ge=date(2000, 1, 1))] | None = None
    dropped: bool = unchanged()


class MilestoneRead(Record):
    """A milestone. With a target `reached_on` follows the answers, and `percent` is the way gone from the baseline."""

    patient_id: UUID
    goal_id: UUID
    statement: str
    target: float | None
    due_on: date | None
    reached_on: date | None
    percent: Percent | None
    dropped_at: UtcDatetime | None
