"""Suggestions as they cross our border: what should change, from which dose to which, why, and what came of it."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from models.suggestions import SuggestionOutcome, SuggestionStatus
from schemas.base import EffortRating, In, Out, PainRating, Record, Text, UtcDatetime
from schemas.sessions import SkipReason

Change = Literal["sets", "reps", "hold_seconds", "duration_seconds", "load_kg", "exercise"]


class DoseRead(Out):
    """A dose; `code` is of the exercise, `per_week` how many times in seven days."""

    code: str
    sets: int
    reps: int | None
    hold_seconds: int | None
    duration_seconds: int | None
    load_kg: float | None
    per_week: int


class SuggestionRead(Record):
    """A suggestion of the progression rules for one prescribed exercise.

    `change` is what changes, from `from_dose` to `to_dose`; both are empty where the dose is to stay (hold), the exercise is
    to be left out (stop), or the rules know of no step. `inputs` are the sessions that led to it. `written_version_id` is
    the program version that came of it.
    """

    patient_id: UUID
    episode_id: UUID
    program_id: UUID
    version_id: UUID
    item_id: UUID
    exercise_code: str
    outcome: SuggestionOutcome
    change: Change | None
    from_dose: DoseRead
    to_dose: DoseRead | None
    reasons: list[str]
    rule_version: str
    inputs: dict[str, Any]
    explanation: str
    within_bounds: bool
    session_id: UUID | None
    status: SuggestionStatus
    decided_by: UUID | None
    decided_at: UtcDatetime | None
    reason: str
    written_version_id: UUID | None


class SuggestionAcceptance(In):
    """What the therapist adds to the reason of the new version."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "Agreed on the phone"}]})

    note: Annotated[str, Text(300)] | None = None


class SuggestionRejection(In):
    """Why the dose stays as it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "A long journey next week"}]})

    reason: Annotated[str, Text(500)]


class SuggestionBatch(In):
    """Suggestions to accept as they stand, of any patients; those of a program become one version."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"ids": ["0198c0de-7a11-7000-8000-000000000009"]}]})

    ids: Annotated[list[UUID], Field(min_length=1, max_length=100)]
    note: Annotated[str, Text(300)] | None = None


class BatchResult(Out):
    """What became of one of them; `code` is that of the refusal it would have got alone, `not_found` included."""

    id: UUID
    status: Literal["accepted", "refused"]
    code: str | None
    written_version_id: UUID | None


class BatchResults(Out):
    """One result for each id, in the order in which they were given."""

    items: list[BatchResult]


class SupposedSession(In):
    """A session as it might be: pain a day later minus pain before is `rise_24h`; what is left out is not known."""

    on: date
    item_id: UUID
    pain_during: PainRating | None = None
    rise_24h: Annotated[int, Field(ge=-10, le=10)] | None = None
    completed_percent: Annotated[int, Field(ge=0, le=1000)] | None = None
    effort: EffortRating | None = None
    reason: SkipReason | None = None
    new_neurological_symptom: bool = False


class SimulationIn(In):
    """Without `history` what was done is gone through; with it only that, as if each dose held from its first day.

    `follow`: take every step as soon as it is suggested, and go on at the new dose.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {},
                {
                    "follow": True,
                    "history": [
                        {
                            "on": day,
                            "item_id": "0198c0de-7a11-7000-8000-000000000001",
                            "pain_during": 1,
                            "rise_24h": 0,
                            "completed_percent": 100,
                            "effort": 4,
                        }
                        for day in ("2026-03-02", "2026-03-05", "2026-03-09")
                    ],
                },
            ]
        }
    )

    history: Annotated[list[SupposedSession], Field(max_length=1_000)] | None = None
    follow: bool = False


class SimulatedDay(Out):
    """What the rules would say after the sessions of a day, and at which dose; next-day answers as they are known today."""

    on: date
    days_since_change: int
    outcome: Literal["stop", "regress", "hold", "progress", "maintain"]
    reasons: list[str]
    change: Change | None
    from_dose: DoseRead
    to_dose: DoseRead | None
    explanation: str
    within_bounds: bool


class SimulatedItem(Out):
    """A prescribed exercise, and its days."""

    item_id: UUID
    exercise_code: str
    name: str
    days: list[SimulatedDay]


class SimulationRead(Out):
    """A program gone through day by day; nothing was written."""

    program_id: UUID
    version_id: UUID
    rule_version: str
    items: list[SimulatedItem]
