"""Exercises as the library, a clinic and a therapist hold them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from models.exercises import ExerciseScope
from schemas.base import EffortRating, In, Line, Out, Record, Text, UtcDatetime, unchanged

Phase = Literal["mobility", "stability", "strength", "endurance", "functional"]
ExerciseType = Literal[
    "aerobic",
    "breathing",
    "endurance",
    "functional",
    "mobility",
    "motor_control",
    "neural",
    "relaxation",
    "strength",
    "stretch",
]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,59}$")]


class DefaultDosageIn(In):
    """A usual starting dose: reps (perhaps held), or a hold, or a duration. Times in seconds."""

    sets: Annotated[int, Field(ge=1, le=10)] = 1
    reps: Annotated[int, Field(ge=1, le=100)] | None = None
    hold_seconds: Annotated[int, Field(ge=1, le=600)] | None = None
    duration_seconds: Annotated[int, Field(ge=1, le=7200)] | None = None
    per_side: bool = False
    sessions_per_day: Annotated[int, Field(ge=1, le=6)] = 1
    days_per_week: Annotated[int, Field(ge=1, le=7)] = 7
    rest_seconds: Annotated[int, Field(ge=0, le=600)] | None = None
    tempo: Annotated[str, Field(pattern=r"^[0-9]{1,2}-[0-9]{1,2}-[0-9]{1,2}(-[0-9]{1,2})?$")] | None = None
    max_effort: EffortRating = 5
    load: Annotated[str, Line(60)] | None = None


class ContraindicationIn(In):
    """A reason not to give the exercise: a code of the vocabulary, and words."""

    code: Code
    text: Annotated[str, Line(200)]


EXAMPLE: dict[str, Any] = {
    "code": "clinic_wall_slide",
    "name": "Wall slide with a towel",
    "target_region": "shoulder",
    "type": "mobility",
    "phase": "mobility",
    "position": "standing",
    "equipment": ["towel"],
    "default_dosage": {"sets": 2, "reps": 10},
    "instructions": ["Stand facing a wall and slide the towel up as far as is comfortable."],
}


class ExerciseCreate(In):
    """A new exercise of the clinic, or a therapist's own (`scope`)."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    scope: Literal["clinic", "own"] = "own"
    code: Code
    name: Annotated[str, Line(200)]
    target_region: Code
    body_regions: Annotated[list[Code], Field(max_length=12)] = []
    type: ExerciseType
    phase: Phase
    position: Annotated[str, Line(100)] | None = None
    equipment: Annotated[list[Code], Field(max_length=12)] = []
    default_dosage: DefaultDosageIn
    instructions: Annotated[list[Annotated[str, Text(500)]], Field(min_length=1, max_length=20)]
    cues: Annotated[list[Annotated[str, Line(200)]], Field(max_length=20)] = []
    contraindications: Annotated[list[ContraindicationIn], Field(max_length=20)] = []
    precautions: Annotated[list[Annotated[str, Line(300)]], Field(max_length=20)] = []
    progression_of: Code | None = None
    tags: Annotated[list[Code], Field(max_length=20)] = []


class ExerciseUpdate(In):
    """What changes; a program in force keeps what it prescribed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"cues": ["Ribs down", "Breathe out on the way up"]}]})

    name: Annotated[str, Line(200)] = unchanged()
    position: Annotated[str, Line(100)] = unchanged()
    equipment: Annotated[list[Code], Field(max_length=12)] = unchanged()
    default_dosage: DefaultDosageIn = unchanged()
    instructions: Annotated[list[Annotated[str, Text(500)]], Field(min_length=1, max_length=20)] = unchanged()
    cues: Annotated[list[Annotated[str, Line(200)]], Field(max_length=20)] = unchanged()
    contraindications: Annotated[list[ContraindicationIn], Field(max_length=20)] = unchanged()
    precautions: Annotated[list[Annotated[str, Line(300)]], Field(max_length=20)] = unchanged()
    tags: Annotated[list[Code], Field(max_length=20)] = unchanged()
    retired: bool = unchanged()


class Contraindication(Out):
    """A reason not to give the exercise."""

    code: str
    text: str


class ExerciseRead(Record):
    """An exercise; `default_dosage` is a usual start that a therapist confirms, `retired_at` says: not for new use."""

    scope: ExerciseScope
    owner_id: UUID | None
    code: str
    name: str
    target_region: str
    body_regions: list[str]
    type: str
    phase: str
    position: str
    equipment: list[str]
    default_dosage: dict[str, Any]
    instructions: list[str]
    cues: list[str]
    contraindications: list[Contraindication]
    precautions: list[str]
    progression_of: str | None
    tags: list[str]
    retired_at: UtcDatetime | None


class ExerciseFilter(In):
    """Which exercises: every filter given must fit; `search` looks for words in the name."""

    scope: ExerciseScope | None = None
    region: Code | None = None
    type: ExerciseType | None = None
    phase: Phase | None = None
    position: Annotated[str, Line(100)] | None = None
    equipment: Code | None = None
    search: Annotated[str, Line(80)] | None = None
    retired: bool = False


def retired_at(retired: bool | None, before: datetime | None, at: datetime) -> datetime | None:  # noqa: FBT001
    """Give the moment of retirement that follows from a wish."""
    if retired is None:
        return before
    return (before or at) if retired else None
