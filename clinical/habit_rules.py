"""The shape of `rules/habits.yaml`: daily measures, lifestyle targets, and small victories."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal

from pydantic import Field, StrictBool, StrictInt

from clinical.forms import Code
from clinical.reading import Strict


class Direction(StrEnum):
    """What became of a measure between two windows."""

    BETTER = "better"
    WORSE = "worse"
    STEADY = "steady"
    UNKNOWN = "unknown"


class DailyMeasure(Strict):
    """How the answers to one question become a value: see `habits.yaml`."""

    code: Code
    title: str
    lower_is_better: StrictBool
    window_days: StrictInt = Field(ge=1, le=28)
    least_answers: StrictInt = Field(ge=1)
    steady: float = Field(gt=0)


class TargetRange(Strict):
    """What a target may be, in the unit of the question."""

    min: StrictInt
    max: StrictInt


class MilestoneLadders(Strict):
    """The counts at which a small victory is told, rising."""

    streak_days: tuple[StrictInt, ...] = Field(min_length=1)
    sessions: tuple[StrictInt, ...] = Field(min_length=1)
    check_ins: tuple[StrictInt, ...] = Field(min_length=1)


class ExpectedTrend(Strict):
    """What an example comes to."""

    direction: Direction
    recent: float | None
    before: float | None


class TrendExample(Strict):
    """Answers as days ago and value, and the trend that they are."""

    name: str
    code: Code
    answers: tuple[tuple[StrictInt, float], ...]
    expect: ExpectedTrend


class Habits(Strict):
    """Daily measures, lifestyle targets, streaks and small victories."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    measures: tuple[DailyMeasure, ...] = Field(min_length=1)
    lifestyle: Mapping[Code, TargetRange]
    milestones: MilestoneLadders
    day_done_from_share: StrictInt = Field(ge=1, le=100)
    streak: str
    trend: str
    examples: tuple[TrendExample, ...]
