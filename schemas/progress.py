"""How a patient is doing over a period: series, outcomes against meaningful change, adherence, and what is missing.

A day without an answer is a point whose value is null. It is never left out, and never a zero.
"""

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from schemas.base import Out, UtcDatetime

Percent = Annotated[float, Field(ge=0, le=100, description="0 to 100, one decimal")]
AdherenceBand = Literal["high", "partial", "low", "insufficient_data"]
"""At least 80 %, 50 to 79.9 %, below 50 %, or fewer than 4 scheduled sessions."""


class ChartName(StrEnum):
    """The charts that progress can be drawn as."""

    PAIN = "pain"
    FUNCTION = "function"
    ADHERENCE = "adherence"
    OUTCOMES = "outcomes"


class ChangeRule(StrEnum):
    """Which rule says that a change is a meaningful improvement; the two often disagree, so both are kept."""

    POINTS = "points"
    PERCENT = "percent"
    BOTH = "both"
    NEITHER = "neither"


class Point(Out):
    """What was answered on a local day; null when nothing was."""

    on: date
    value: float | None


class Series(Out):
    """One quantity over the days of a period, in order, with the ends of its scale where it has some."""

    name: str
    unit: str
    higher_is_better: bool
    minimum: float | None
    maximum: float | None
    points: list[Point]


class PainSeries(Out):
    """Pain on the 0-10 numeric rating scale, from check-ins."""

    now: Series
    worst_24h: Series


class SleepSeries(Out):
    """Sleep from check-ins: hours, and quality from 0 (very bad) to 10 (very good)."""

    hours: Series
    quality: Series


class SessionWeek(Out):
    """Exercise sessions of seven local days, or fewer at the end of a period; no percentage with nothing scheduled."""

    week_from: date
    week_to: date
    scheduled: int
    completed: int
    excused: int
    session_percent: Percent | None


class OutcomeChange(Out):
    """The current score against the baseline.

    `points` is current minus baseline in the instrument's own units and `percent` that difference as a share of the
    baseline (null for a baseline of 0). Positive means a higher score, which is better only if `higher_is_better`.
    The flags are null where the instrument has no such threshold, or where it cannot be computed.
    """

    baseline_on: date
    baseline: float
    current_on: date
    current: float
    points: float
    percent: float | None
    improved_points: bool | None
    improved_percent: bool | None
    worsened: bool | None
    rule: ChangeRule | None


class OutcomeSeries(Out):
    """The primary score of one instrument, each time it was answered.

    `mic_points` and `mic_percent` are the smallest change that people call important: guides for one person's change
    over time, not for severity. `source` names where they come from.
    """

    instrument: str
    instrument_version: str
    score: str
    name: str
    unit: str
    higher_is_better: bool
    minimum: float | None
    maximum: float | None
    points: list[Point]
    band: str | None
    change: OutcomeChange | None
    mic_points: float | None
    mic_percent: float | None
    source: str | None


class CheckInCompletion(Out):
    """Check-ins whose day came within the period. Late answers count for the record, not for the percentage."""

    due: int
    submitted: int
    late: int
    missed: int
    excused: int
    submitted_percent: Percent | None


class Adherence(Out):
    """How much of what was prescribed was done, three ways, over sessions that were scheduled and not excused.

    Sessions: completed of scheduled. Exercises: items done of items prescribed. Dose: what was done, capped at what was
    prescribed, of what was prescribed. Null where nothing was scheduled. There is no gold standard; read them together.
    """

    session_percent: Percent | None
    exercise_percent: Percent | None
    dose_percent: Percent | None
    band: AdherenceBand
    scheduled: int
    completed: int
    excused: int
    streak_sessions: int
    check_ins: CheckInCompletion


class Flare(Out):
    """A flare-up; `ended_on` is null while it lasts, `trigger` what came before it as far as known."""

    started_on: date
    ended_on: date | None
    trigger: str | None


class Completeness(Out):
    """How much of the period is known. What was not answered stays missing and is not estimated."""

    days: int
    days_with_check_in: int
    days_with_session: int
    days_with_any_data: int
    pain_answers: int
    check_in_days_percent: Percent | None


class Progress(Out):
    """Everything known about one episode from `period_from` to `period_to`, both included, in the patient's days."""

    patient_id: UUID
    episode_id: UUID
    period_from: date
    period_to: date
    zone: str
    computed_at: UtcDatetime
    pain: PainSeries
    function: Series
    sleep: SleepSeries
    sessions: list[SessionWeek]
    outcomes: list[OutcomeSeries]
    adherence: Adherence
    flares: list[Flare]
    completeness: Completeness
