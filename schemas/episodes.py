"""Episodes of care."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from models.assessments import AssessmentKind, DocumentStatus
from models.episodes import EpisodeStatus
from schemas.base import In, Line, Out, Record, Text, UtcDatetime

BodyRegion = Annotated[
    str,
    Field(pattern=r"^[a-z][a-z_]{0,39}$", description="Region of the exercise library or of the red-flag screen"),
]
Icd10Code = Annotated[
    str,
    Field(pattern=r"^[A-Z][0-9][0-9A-Z](\.[0-9A-Z]{1,4})?$", description="ICD-10-CM", examples=["M54.50"]),
]
Icd10Codes = Annotated[list[Icd10Code], Field(max_length=12)]


class EpisodeCreate(In):
    """One problem of the patient. Days are of the patient's calendar; `started_on` is today when left out.

    `status`: at intake, or `referred` as long as nobody has seen the patient for it.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "Low back pain",
                    "body_region": "low_back",
                    "icd10_codes": ["M54.50"],
                    "onset_on": "2026-01-12",
                }
            ]
        }
    )

    title: Annotated[str, Line(200)]
    body_region: BodyRegion
    icd10_codes: Icd10Codes = Field(default_factory=list)
    onset_on: date | None = None
    started_on: date | None = None
    status: Literal["referred", "intake"] = "intake"


class EpisodeChange(In):
    """What to change. `status` moves on only: intake, active, maintenance, and from maintenance back to active."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"icd10_codes": ["M54.50", "M54.16"]}]})

    title: Annotated[str, Line(200)] | None = None
    body_region: BodyRegion | None = None
    icd10_codes: Icd10Codes | None = None
    onset_on: date | None = None
    status: Literal["intake", "active", "maintenance"] | None = None


class EpisodeReason(In):
    """Why the episode is held, discharged or reopened."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Goals met, home plan agreed"}]})

    reason: Annotated[str, Text(500)]


class EpisodeRead(Record):
    """An episode of care."""

    patient_id: UUID
    title: str
    body_region: str
    icd10_codes: list[str]
    status: EpisodeStatus
    status_reason: str
    onset_on: date | None
    started_on: date
    discharged_at: UtcDatetime | None


class AssessmentBrief(Out):
    """An assessment of the episode; patients see signed ones only."""

    id: UUID
    kind: AssessmentKind
    status: DocumentStatus
    assessed_on: date
    signed_at: UtcDatetime | None


class EpisodeDetail(EpisodeRead):
    """An episode with its assessments, oldest first (the newest 50)."""

    assessments: list[AssessmentBrief]
