"""Outcome instruments, and patients' answers to them."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from schemas.advice import Advice
from schemas.base import In, Instant, Line, Out, UtcDatetime

Answer = int | bool | None | list[dict[str, Any]]

RMDQ_EXAMPLE: dict[str, Any] = {
    "instrument": "rmdq24",
    "answers": {"q2": True, "q3": True, "q9": True, "q11": True, "q13": True, "q18": True, "q21": True, "q23": True},
}
NPRS_EXAMPLE: dict[str, Any] = {"instrument": "nprs", "answers": {"now": 6, "worst_24h": 8, "least_24h": 3}}
PSFS_EXAMPLE: dict[str, Any] = {
    "instrument": "psfs",
    "answers": {"activities": [{"id": "stairs", "name": "Climb two flights of stairs", "rating": 3}]},
}


class OutcomeCreate(In):
    """The answers to one instrument; every score is derived from them, none can be sent.

    `answers` maps the instrument's item ids to whole numbers or true/false; the PSFS takes `activities`, a list of
    {id, name, rating}. `supersedes_id` names an earlier response that this one corrects.

    `instrument_version` is the `version` of the instrument that the patient has read: of another one nothing is kept.
    Where the clinic filled in the text itself (`text` is `filled`) it must be said.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [PSFS_EXAMPLE, RMDQ_EXAMPLE, NPRS_EXAMPLE]})

    instrument: Annotated[str, Line(40)]
    instrument_version: Annotated[str, Line(40)] | None = None
    answers: Annotated[dict[Annotated[str, Line(40)], Answer], Field(max_length=60)]
    administered_at: Instant | None = None
    supersedes_id: UUID | None = None


class FiredSafetyRule(Out):
    """A safety rule of the instrument that matched."""

    id: str
    action: str
    level: str


class ChangeRead(Out):
    """Change against the first response of the episode; both yardsticks are kept because they often disagree."""

    baseline_id: UUID
    points: float | None
    percent: float | None
    improved_points: bool
    improved_percent: bool
    worsened_points: bool
    worsened_percent: bool
    rule: str | None
    exceeds_mdc90: bool | None
    activities_compared: int


class OutcomeRead(Out):
    """A scored response. `score` is the score that stands for the instrument (`score_id`)."""

    id: UUID
    patient_id: UUID
    episode_id: UUID
    instrument: str = Field(validation_alias="instrument_code", serialization_alias="instrument")
    instrument_version: str
    answers: dict[str, Any]
    scores: dict[str, float | None]
    score_id: str | None
    score: float | None
    band: str | None
    prorated: bool
    safety_unknown: bool
    fired: list[FiredSafetyRule]
    change: ChangeRead | None
    administered_at: UtcDatetime
    administered_on: date
    supersedes_id: UUID | None
    created_at: UtcDatetime


class OutcomeScored(OutcomeRead):
    """A response as it was just scored; `advice` is for the patient, now, before anything else is shown."""

    advice: Advice | None


class InstrumentSummary(Out):
    """An instrument in a list.

    `text` says where its words are from: `shipped`, `filled` in by the clinic, or `empty` while the clinic has no license;
    then it cannot be answered, and `license_contact` says whom to ask.
    """

    code: str
    version: str
    title: str
    measures: str
    body_regions: list[str]
    est_minutes: int
    attribution: str
    lower_is_better: bool
    text: Literal["shipped", "filled", "empty"]
    license_contact: str | None


class InstrumentRead(InstrumentSummary):
    """An instrument with its items, as the app shows them."""

    recall: str
    stem: str
    anchors: dict[str, str]
    answer_type: str
    options: list[dict[str, Any]]
    items: list[dict[str, Any]]
    unscored_items: list[dict[str, Any]]
    scores: list[dict[str, Any]]
    bands: list[dict[str, Any]] | None
    change: dict[str, Any] | None
    frequency: dict[str, Any]
    loinc: dict[str, Any]
    license_status: str


class InstrumentList(Out):
    """All instruments."""

    items: list[InstrumentSummary]
    next_cursor: None
