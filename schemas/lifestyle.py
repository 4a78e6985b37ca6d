"""Targets for habits, with trends; and small victories."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from clinical.habit_rules import Direction
from models.lifestyle import LifestyleKind
from schemas.base import In, Out, Record, UtcDatetime, unchanged

Amount = Annotated[float, Field(ge=0, le=200_000, description="In the unit of the kind")]


class LifestyleTargetCreate(In):
    """A target for a habit: at least so many hours of sleep, steps or active minutes (walking counts), or stress at most so.

    Ranges: `sleep_hours` 4 to 12, `stress` 0 to 9, `steps` 500 to 40000, `activity_minutes` 5 to 600.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"kind": "steps", "target": 6000}, {"kind": "sleep_hours", "target": 7.5}]}
    )

    kind: LifestyleKind
    target: Amount


class LifestyleTargetChange(In):
    """What to change in a target that is not ended; `ended` true ends it for good."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"target": 7000}, {"ended": True}]})

    target: Amount = unchanged()
    ended: Literal[True] = unchanged()


class HabitPoint(Out):
    """What was answered on a local day. `source`: the patient's own estimate or a device, null where nobody was asked."""

    on: date
    value: float
    source: Literal["self", "device"] | None


class HabitTrend(Out):
    """The last window of days against the one before, each by its median; null with too few answers.

    `slope_per_week` is the robust slope over both windows, in the unit of the kind.
    """

    direction: Direction
    recent: float | None
    before: float | None
    recent_answers: int
    before_answers: int
    slope_per_week: float | None


class HabitProgress(Out):
    """How it goes: of the last `window_days` days those answered and those on which the target was reached; and the trend.

    `reached`: whether the median of the window is as good as the target; null with too few answers.
    """

    window_days: int
    days_answered: int
    days_reached: int
    reached: bool | None
    trend: HabitTrend
    points: list[HabitPoint]


class LifestyleTargetRead(Record):
    """A target, and how it goes; of one that is ended, up to the day on which it ended."""

    patient_id: UUID
    episode_id: UUID
    kind: LifestyleKind
    unit: str
    lower_is_better: bool
    target: float
    starts_on: date
    ended_on: date | None
    ended_at: UtcDatetime | None
    progress: HabitProgress


class Streak(Out):
    """Scheduled days of exercise done in a row, up to now (`days`, since `since`), and the longest run so far.

    A day is done with at least half of its sessions. Days without a session, excused days and days of a flare-up neither
    add nor break; today breaks nothing before it is over.
    """

    days: int
    since: date | None
    longest: int


class Victory(Out):
    """Something to be glad about, and its day.

    `kind`: `streak_days`, `sessions` or `check_ins` (with the `count`), `goal` or `milestone` (with the `goal_id`, or the
    `milestone_id`, whose target was reached), `important_change` (with the `instrument`, better than at first by an amount
    that people call important).
    """

    kind: Literal["streak_days", "sessions", "check_ins", "goal", "milestone", "important_change"]
    on: date
    count: int | None
    goal_id: UUID | None
    milestone_id: UUID | None
    instrument: str | None


class Achievements(Out):
    """What a patient has achieved in one episode, the newest first; computed from what is on record."""

    patient_id: UUID
    episode_id: UUID
    computed_at: UtcDatetime
    streak: Streak
    sessions: int
    check_ins: int
    victories: list[Victory]
