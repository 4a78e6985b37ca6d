"""Assessments: what a therapist found and thinks, section by section; signed once, then final."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field

from models.assessments import AssessmentKind, DocumentStatus
from schemas.base import In, Line, Out, PainRating, Record, Text, UtcDatetime

Words = Annotated[str, Text(2000)]
Short = Annotated[str, Line(200)]
Points = Annotated[list[Short], Field(max_length=30)]
Side = Literal["none", "left", "right", "both"]
Part = Annotated[str, Line(80)]
Unit = Literal["seconds", "repetitions", "meters", "centimeters", "degrees", "kilograms", "points", "percent"]


def _plain(value: float) -> float:
    """Keep three decimals, and whole numbers whole: so that every reader writes the sealed number alike."""
    rounded = round(value, 3)
    return int(rounded) if rounded.is_integer() else rounded


Measured = Annotated[float, AfterValidator(_plain)]


class History(In):
    """How the problem came and went so far."""

    onset: Words | None = None
    course: Literal["improving", "stable", "worsening", "fluctuating", "recurrent"] | None = None
    present_complaint: Words | None = None
    previous_episodes: Words | None = None
    previous_treatment: Words | None = None
    medical_history: Words | None = None
    imaging: Words | None = None


class Symptoms(In):
    """What makes it worse, what eases it, and how it behaves over a day. Pain on the 0-10 scale."""

    aggravating: Points = Field(default_factory=list)
    easing: Points = Field(default_factory=list)
    pain_now: PainRating | None = None
    pain_worst: PainRating | None = None
    pattern_24h: Words | None = None


class Medicine(In):
    """A medicine the patient takes."""

    name: Annotated[str, Line(120)]
    dose: Annotated[str, Line(120)] | None = None


class Context(In):
    """How the patient lives and works, and could do before."""

    prior_function: Words | None = None
    living: Words | None = None
    occupation: Words | None = None
    work_demands: Words | None = None
    activity: Words | None = None
    stress_and_sleep: Words | None = None


class SystemFinding(In):
    """One system of the body, screened by questions."""

    system: Literal[
        "cardiovascular",
        "respiratory",
        "neurological",
        "musculoskeletal",
        "integumentary",
        "gastrointestinal",
        "genitourinary",
        "endocrine",
        "psychological",
    ]
    finding: Literal["clear", "concern", "not_assessed"]
    note: Annotated[str, Text(500)] | None = None


class RangeOfMotion(In):
    """One movement of one joint, in degrees; `method` says how it was found at a distance."""

    joint: Part
    movement: Part
    side: Side
    degrees: Annotated[int, Field(ge=-60, le=360)]
    method: Literal["goniometer", "inclinometer", "video_estimate", "app_sensor", "patient_reported"]
    painful: bool | None = None


class Strength(In):
    """One muscle group, graded 0 (no contraction) to 5 (normal)."""

    muscle_group: Part
    side: Side
    grade: Annotated[int, Field(ge=0, le=5)]
    method: Literal["manual", "functional_observation", "patient_reported"] = "functional_observation"
    painful: bool | None = None


class Flexibility(In):
    """One flexibility test."""

    test: Part
    side: Side
    result: Literal["normal", "limited", "markedly_limited"]
    value: Annotated[Measured, Field(ge=-1000, le=1000)] | None = None
    unit: Unit | None = None


class FunctionalTest(In):
    """One functional test with its value, such as stands in 30 seconds."""

    test: Part
    side: Side = "none"
    value: Annotated[Measured, Field(ge=0, le=10_000)]
    unit: Unit
    note: Annotated[str, Text(500)] | None = None


class Observations(In):
    """What was measured and seen."""

    range_of_motion: Annotated[list[RangeOfMotion], Field(max_length=80)] = Field(default_factory=list)
    strength: Annotated[list[Strength], Field(max_length=80)] = Field(default_factory=list)
    flexibility: Annotated[list[Flexibility], Field(max_length=40)] = Field(default_factory=list)
    functional_tests: Annotated[list[FunctionalTest], Field(max_length=40)] = Field(default_factory=list)
    posture: Words | None = None
    movement: Words | None = None
    breathing: Words | None = None
    workstation: Words | None = None


class Prognosis(In):
    """What is to be expected."""

    rating: Literal["excellent", "good", "fair", "guarded", "poor"]
    note: Words | None = None


class Plan(In):
    """How often, for how long, and what will be done."""

    sessions_per_week: Annotated[int, Field(ge=1, le=21)]
    weeks: Annotated[int, Field(ge=1, le=52)]
    interventions: Annotated[list[Short], Field(min_length=1, max_length=30)]
    note: Words | None = None


class Encounter(In):
    """How and where patient and therapist met, and for how long."""

    modality: Literal["video", "phone", "in_person", "asynchronous"]
    patient_country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    patient_region: Annotated[str, Field(pattern=r"^[A-Z0-9]{1,3}$")] | None = None
    minutes: Annotated[int, Field(ge=1, le=480)] | None = None
    identity_confirmed: bool | None = None


class ConsentNoted(In):
    """That the patient agreed to this assessment and plan, as the therapist heard it."""

    confirmed: bool
    note: Annotated[str, Text(500)] | None = None


class AssessmentContent(In):
    """The sections. All may be missing in a draft; `reason`, `hypothesis` and `plan` are needed to sign."""

    reason: Words | None = None
    history: History | None = None
    symptoms: Symptoms | None = None
    precautions: Points | None = None
    medicines: Annotated[list[Medicine], Field(max_length=40)] | None = None
    context: Context | None = None
    systems_screen: Annotated[list[SystemFinding], Field(max_length=20)] | None = None
    observations: Observations | None = None
    impairments: Points | None = None
    hypothesis: Words | None = None
    contributing_factors: Points | None = None
    prognosis: Prognosis | None = None
    plan: Plan | None = None
    encounter: Encounter | None = None
    consent: ConsentNoted | None = None


EXAMPLE: dict[str, Any] = {
    "reason": "Low back pain for six weeks, worse when sitting",
    "symptoms": {"aggravating": ["sitting over 30 minutes"], "easing": ["walking"], "pain_now": 4, "pain_worst": 7},
    "context": {"occupation": "Office work", "prior_function": "Ran 5 km twice a week"},
    "systems_screen": [{"system": "neurological", "finding": "clear"}],
    "observations": {
        "range_of_motion": [
            {"joint": "lumbar spine", "movement": "flexion", "side": "none", "degrees": 40, "method": "video_estimate"}
        ],
        "strength": [{"muscle_group": "hip extensors", "side": "left", "grade": 4}],
        "functional_tests": [{"test": "30-second sit-to-stand", "value": 11, "unit": "repetitions"}],
    },
    "impairments": ["Reduced lumbar flexion", "Reduced trunk endurance"],
    "hypothesis": "Non-specific low back pain with reduced load tolerance",
    "contributing_factors": ["long sitting", "poor sleep"],
    "prognosis": {"rating": "good"},
    "plan": {"sessions_per_week": 3, "weeks": 6, "interventions": ["exercise", "education"]},
    "encounter": {"modality": "video", "patient_country": "DE", "minutes": 45},
    "consent": {"confirmed": True},
}


class AssessmentCreate(In):
    """A draft. `assessed_on` is a day of the patient's calendar, today when left out."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "initial", "content": EXAMPLE}]})

    kind: AssessmentKind
    assessed_on: date | None = None
    content: AssessmentContent = AssessmentContent()


class AssessmentChange(In):
    """What to change in a draft. A section that is sent replaces the one there is; null removes it; others stay."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"content": {"prognosis": {"rating": "fair"}, "consent": None}}]}
    )

    assessed_on: date | None = None
    content: AssessmentContent | None = None


class SignedLicense(Out):
    """The license under which it was signed."""

    jurisdiction: str
    kind: str
    number: str


class SignedAs(Out):
    """Who signed, as the person was that day."""

    therapist_id: UUID
    name: str
    credentials: str
    profession: str
    license: SignedLicense


class AssessmentRead(Record):
    """An assessment; `content` holds the sections as they were sent.

    `content_sha256` seals a signed one: SHA-256, in hex, of the JSON (RFC 8785: keys sorted, no spaces, UTF-8) of
    {id, patient_id, episode_id, kind, assessed_on, content, signed_at, signed_as} as they stand here.
    """

    patient_id: UUID
    episode_id: UUID
    author_id: UUID
    kind: AssessmentKind
    assessed_on: date
    content: dict[str, Any] = Field(description="See AssessmentContent")
    status: DocumentStatus
    signed_at: UtcDatetime | None
    signed_as: SignedAs | None
    content_sha256: str | None
