"""Exercise sessions as they cross our border: what was done, next to what was prescribed."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from schemas.advice import Advice
from schemas.base import EffortRating, In, Instant, Out, PainRating, Text, UtcDatetime, ZoneName
from schemas.programs import LoadKg

SkipReason = Literal["pain", "too_hard", "no_time", "forgot", "bored", "not_sure_how", "no_equipment", "ill", "other"]

EXAMPLE: dict[str, Any] = {
    "performed_at": "2026-03-02T07:40:00+01:00",
    "device_zone": "Europe/Berlin",
    "pain_before": 3,
    "pain_after": 3,
    "effort": 4,
    "items": [
        {
            "item_id": "0198c0de-7a11-7000-8000-000000000001",
            "sets": [{"reps": 10}, {"reps": 8}],
            "effort": 4,
            "pain_during": 2,
        }
    ],
}


class SetIn(In):
    """One set as it was done: repetitions, how long each was held, or how long the set took."""

    reps: Annotated[int, Field(ge=0, le=1_000)] | None = None
    hold_seconds: Annotated[int, Field(ge=0, le=3_600)] | None = None
    duration_seconds: Annotated[int, Field(ge=0, le=36_000)] | None = None
    load_kg: LoadKg | None = None


class SessionItemIn(In):
    """A prescribed exercise: its sets, or none and why. A reason beside sets says why they are fewer."""

    item_id: UUID
    sets: Annotated[list[SetIn], Field(max_length=20)] = []
    effort: EffortRating | None = None
    pain_before: PainRating | None = None
    pain_during: PainRating | None = None
    pain_after: PainRating | None = None
    skip_reason: SkipReason | None = None
    note: Annotated[str, Text(500)] | None = None


class SessionLog(In):
    """A session, as the device saw it: `performed_at` by its clock, in its zone; `slot` is the n-th session of the day.

    Items are those of one program version. A correction is a new session that names the one it supersedes.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    performed_at: Instant
    device_zone: ZoneName
    slot: Annotated[int, Field(ge=1, le=6)] = 1
    pain_before: PainRating | None = None
    pain_after: PainRating | None = None
    effort: EffortRating | None = None
    new_neurological_symptom: bool = False
    note: Annotated[str, Text(2_000)] | None = None
    items: Annotated[list[SessionItemIn], Field(min_length=1, max_length=60)]
    supersedes_id: UUID | None = None


class SetRead(Out):
    """One set as it was done."""

    reps: int | None
    hold_seconds: int | None
    duration_seconds: int | None
    load_kg: float | None


class Prescribed(Out):
    """What was prescribed for this exercise."""

    exercise_code: str
    name: str
    sets: int
    reps: int | None
    hold_seconds: int | None
    duration_seconds: int | None
    load_kg: float | None
    load_label: str | None
    side: str
    pain_ceiling: int
    effort_ceiling: int | None


class SessionItemRead(Out):
    """An exercise of the session. Doses are sets x reps, sets x seconds held, or seconds, as it was prescribed."""

    item_id: UUID
    position: int
    done: bool
    sets: list[SetRead]
    effort: int | None
    pain_before: int | None
    pain_during: int | None
    pain_after: int | None
    skip_reason: SkipReason | None
    note: str
    dose_prescribed: int
    dose_done: int
    prescribed: Prescribed


class SessionRead(Out):
    """A logged session. `items_prescribed` counts what was due in that slot of that day.

    `stop` gives reasons to stop exercising and speak to a clinician: severe_pain, new_neurological_symptom (ask the
    red-flag questions now).
    """

    id: UUID
    patient_id: UUID
    program_id: UUID
    version_id: UUID
    local_date: date
    slot: int
    performed_at: UtcDatetime
    device_zone: str
    received_at: UtcDatetime
    pain_before: int | None
    pain_after: int | None
    effort: int | None
    new_neurological_symptom: bool
    note: str
    items_prescribed: int
    items_done: int
    dose_prescribed: int
    dose_done: int
    supersedes_id: UUID | None
    stop: list[str]
    items: list[SessionItemRead]


class SessionLogged(SessionRead):
    """A session that was just logged; `advice` is what the patient must read now, null where nothing asks for it."""

    advice: Advice | None
