"""Exercises as the library, a clinic and a therapist hold them."""

from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from models.exercises import ExerciseScope
from schemas.base import EffortRating, In, Line, Out, Record, Text, UtcDatetime, unchanged
from schemas.patients import Language

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
Difficulty = Annotated[int, Field(ge=1, le=5, description="1 easiest, 5 hardest; judgment of whoever wrote it")]
Equipment = Annotated[str, Line(60)]
Instructions = Annotated[list[Annotated[str, Text(500)]], Field(min_length=1, max_length=20)]
Cues = Annotated[list[Annotated[str, Line(200)]], Field(max_length=20)]
Precautions = Annotated[list[Annotated[str, Line(300)]], Field(max_length=20)]


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        plain = parts.scheme == "https" and "." in (parts.hostname or "") and "@" not in parts.netloc
        plain = plain and (parts.port is None or parts.port > 0)
    except ValueError:
        plain = False
    if not plain or not url.isascii() or any(each.isspace() or each in '\\"<>^`{|}' for each in url):
        raise PydanticCustomError("address_form", "This is not an https address without a name or password in it")
    return url


Address = Annotated[
    str,
    StringConstraints(max_length=500),
    AfterValidator(_address),
    Field(description="https only; the server never fetches it", examples=["https://media.example/wall-slide.mp4"]),
]


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


class TranslationIn(In):
    """The exercise in another language."""

    name: Annotated[str, Line(200)]
    instructions: Instructions
    cues: Cues = []
    precautions: Precautions = []


class MediaIn(In):
    """A picture or film of the exercise: where it is, and on what terms it may be shown."""

    kind: Literal["image", "animation", "video", "audio", "captions"]
    url: Address
    language: Language | None = None
    alt: Annotated[str, Line(300)] | None = Field(default=None, description="What is to be seen or heard")
    license: Annotated[str, Line(100)] = Field(description="SPDX name or words", examples=["CC-BY-4.0"])
    attribution: Annotated[str, Line(300)] = Field(description="Whom to name beside it")
    sha256: Annotated[
        str, Field(pattern=r"^[0-9a-f]{64}$", description="Of the file, so that a player can check it")
    ] | (None) = None


LANGUAGES = 20
"""Most languages of one exercise beside its own."""

Translations = Annotated[dict[Language, TranslationIn], Field(max_length=LANGUAGES)]
Media = Annotated[list[MediaIn], Field(max_length=20)]

EXAMPLE: dict[str, Any] = {
    "code": "clinic_wall_slide",
    "name": "Wall slide with a towel",
    "target_region": "shoulder",
    "type": "mobility",
    "phase": "mobility",
    "difficulty": 2,
    "position": "standing",
    "equipment": ["towel"],
    "default_dosage": {"sets": 2, "reps": 10},
    "instructions": ["Stand facing a wall and slide the towel up as far as is comfortable."],
    "progression_of": "sh_table_slide",
    "translations": {
        "de": {
            "name": "Handtuch an der Wand hochschieben",
            "instructions": [
                "Stellen Sie sich vor eine Wand und schieben Sie das Handtuch so hoch, wie es angenehm ist."
            ],
        }
    },
    "media": [
        {
            "kind": "video",
            "url": "https://media.example/wall-slide.mp4",
            "license": "CC-BY-4.0",
            "attribution": "Riverside Physiotherapy",
        }
    ],
}


class ExerciseContent(In):
    """What an exercise says."""

    code: Code
    language: Annotated[Language, Field(description="What the texts are written in")] = "en"
    name: Annotated[str, Line(200)]
    target_region: Code
    body_regions: Annotated[list[Code], Field(max_length=12)] = []
    type: ExerciseType
    phase: Phase
    difficulty: Difficulty | None = None
    position: Annotated[str, Line(100)] | None = None
    equipment: Annotated[list[Equipment], Field(max_length=12)] = []
    default_dosage: DefaultDosageIn
    instructions: Instructions
    cues: Cues = []
    contraindications: Annotated[list[ContraindicationIn], Field(max_length=20)] = []
    precautions: Precautions = []
    progression_of: Annotated[Code | None, Field(description="The code of the easier exercise")] = None
    tags: Annotated[list[Code], Field(max_length=20)] = []
    translations: Translations = {}
    media: Media = []


class ExerciseCreate(ExerciseContent):
    """A new exercise of the clinic, or a therapist's own (`scope`)."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    scope: Literal["clinic", "own"] = "own"


class ExerciseUpdate(In):
    """What changes; a program in force keeps what it prescribed.

    `translations` changes the languages that it names, null takes one away; whatever other field is sent replaces what
    was there. Of a shipped exercise an admin changes `translations` and `media`, nobody anything else.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"cues": ["Ribs down", "Breathe out on the way up"], "offered": True}]}
    )

    name: Annotated[str, Line(200)] = unchanged()
    target_region: Code = unchanged()
    body_regions: Annotated[list[Code], Field(max_length=12)] = unchanged()
    type: ExerciseType = unchanged()
    phase: Phase = unchanged()
    difficulty: Difficulty | None = None
    position: Annotated[str, Line(100)] = unchanged()
    equipment: Annotated[list[Equipment], Field(max_length=12)] = unchanged()
    default_dosage: DefaultDosageIn = unchanged()
    instructions: Instructions = unchanged()
    cues: Cues = unchanged()
    contraindications: Annotated[list[ContraindicationIn], Field(max_length=20)] = unchanged()
    precautions: Precautions = unchanged()
    progression_of: Annotated[Code | None, Field(description="The code of the easier exercise")] = None
    tags: Annotated[list[Code], Field(max_length=20)] = unchanged()
    translations: Annotated[dict[Language, TranslationIn | None], Field(max_length=LANGUAGES)] = unchanged()
    media: Media = unchanged()
    offered: Annotated[bool, Field(description="Whether the admin may make your own exercise the clinic's")] = (
        unchanged()
    )
    retired: Annotated[bool, Field(description="Not for new use; false also undoes a merge")] = unchanged()


class ExerciseMerge(In):
    """Which exercise takes the place of a duplicate."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"replaced_by": "sh_wall_slide"}]})

    replaced_by: Code


class Contraindication(Out):
    """A reason not to give the exercise."""

    code: str
    text: str


class Translation(Out):
    """The exercise in another language; `outdated`: the text was changed since, so patients are shown the original."""

    name: str
    instructions: list[str]
    cues: list[str]
    precautions: list[str]
    outdated: bool


class MediaSlot(Out):
    """A picture or film of the exercise, with the terms on which it may be shown."""

    kind: str
    url: str
    language: str | None
    alt: str | None
    license: str
    attribution: str
    sha256: str | None


class ExerciseRead(Record):
    """An exercise; `default_dosage` is a usual start that a therapist confirms, `retired_at` says: not for new use.

    Name, instructions, cues and precautions are in `shown_in`, the rest as it was written. `progression_of` is the code
    of the easier exercise, `regression_of` lists the harder ones; `replaced_by` is what to use instead.
    """

    scope: ExerciseScope
    owner_id: UUID | None
    code: str
    language: str
    shown_in: str
    name: str
    target_region: str
    body_regions: list[str]
    type: str
    phase: str
    difficulty: int | None
    position: str
    equipment: list[str]
    default_dosage: dict[str, Any]
    instructions: list[str]
    cues: list[str]
    contraindications: list[Contraindication]
    precautions: list[str]
    progression_of: str | None
    regression_of: list[str]
    tags: list[str]
    translations: dict[str, Translation]
    media: list[MediaSlot]
    offered_at: UtcDatetime | None
    retired_at: UtcDatetime | None
    replaced_by: str | None


class ExerciseFilter(In):
    """Which exercises: every filter given must fit; `search` looks for words in the names, also misspelled ones."""

    scope: ExerciseScope | None = None
    region: Code | None = None
    type: ExerciseType | None = None
    phase: Phase | None = None
    difficulty: Difficulty | None = None
    position: Annotated[str, Line(100)] | None = None
    equipment: Equipment | None = None
    search: Annotated[str, Line(80)] | None = None
    languages: tuple[Language, ...] = ()
    offered: bool = False
    retired: bool = False


def retired_at(retired: bool | None, before: datetime | None, at: datetime) -> datetime | None:  # noqa: FBT001
    """Give the moment of retirement that follows from a wish."""
    if retired is None:
        return before
    return (before or at) if retired else None
