"""The therapist's caseload, ranked, with the reasons."""

from datetime import date
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from models.alerts import AlertLevel
from models.episodes import EpisodeStatus
from schemas.base import In, Out, UtcDatetime

BodyRegion = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,39}$", description="As in the episode: `low_back`")]


class Reason(StrEnum):
    """Why a patient stands where he stands."""

    ALERT = "alert"
    SUSPENDED = "suspended_red_flag"
    FLARE_REASSESSMENT = "flare_reassessment"
    OUTCOME_WORSE = "outcome_worse"
    ADVERSE_EVENT_WAITING = "adverse_event_waiting"
    PROGRAM_RESTED = "program_rested"
    MISSED_CHECK_INS = "missed_check_ins"
    FLARE = "flare"
    FALLING_ADHERENCE = "falling_adherence"
    CONSENT_MISSING = "consent_missing"
    SUGGESTION_WAITING = "suggestion_waiting"
    PHASE_READY = "phase_ready"
    REVIEW_DUE = "review_due"
    INSTRUMENT_OVERDUE = "instrument_overdue"
    LICENSE_EXPIRING = "license_expiring"
    CONSENT_EXPIRING = "consent_expiring"
    HELD_LONG = "held_long"


class WorklistFilters(In):
    """Which patients are wanted: of each list one is enough, of all that is given everything must hold."""

    reason: Annotated[list[Reason], Field(max_length=len(Reason))] = []
    level: Annotated[list[AlertLevel], Field(max_length=len(AlertLevel))] = []
    episode_status: Annotated[list[EpisodeStatus], Field(max_length=len(EpisodeStatus))] = []
    body_region: Annotated[list[BodyRegion], Field(max_length=40)] = []
    lead_only: bool = False
    overdue_only: bool = False


class WorklistReason(Out):
    """One reason; `alert_id`, `level` and `respond_by` belong to alerts.

    `since` is when it began, as far as known; `until` the last day of a license or consent that runs out.
    """

    code: Reason
    level: str | None
    alert_id: UUID | None
    rule_id: str | None
    since: UtcDatetime | None
    until: date | None
    respond_by: UtcDatetime | None
    overdue: bool


class WorklistEntry(Out):
    """One patient of the caseload. `urgency` is the sum of the reasons' weights; 0 means that nothing waits.

    The episode is the newest that is not discharged, one on hold only where there is no other.
    """

    patient_id: UUID
    given_name: str
    family_name: str
    record_number: str
    lead: bool
    episode_id: UUID | None
    episode_status: EpisodeStatus | None
    body_region: str | None
    urgency: int
    reasons: list[WorklistReason]
    last_check_in_on: date | None
    last_pain: int | None
    sessions_7_days: int
