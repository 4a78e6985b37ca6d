"""The therapist's caseload, ranked, with the reasons."""

from datetime import date
from enum import StrEnum
from uuid import UUID

from schemas.base import Out, UtcDatetime


class Reason(StrEnum):
    """Why a patient stands where he stands."""

    ALERT = "alert"
    SUSPENDED = "suspended_red_flag"
    OUTCOME_WORSE = "outcome_worse"
    FLARE = "flare"
    MISSED_CHECK_INS = "missed_check_ins"
    FALLING_ADHERENCE = "falling_adherence"
    CONSENT_MISSING = "consent_missing"
    REVIEW_DUE = "review_due"


class WorklistReason(Out):
    """One reason; `alert_id`, `level` and `respond_by` belong to alerts, `since` is when it began, as far as known."""

    code: Reason
    level: str | None
    alert_id: UUID | None
    rule_id: str | None
    since: UtcDatetime | None
    respond_by: UtcDatetime | None
    overdue: bool


class WorklistEntry(Out):
    """One patient of the caseload. `urgency` is the sum of the reasons' weights; 0 means that nothing waits."""

    patient_id: UUID
    given_name: str
    family_name: str
    record_number: str
    episode_id: UUID | None
    urgency: int
    reasons: list[WorklistReason]
    last_check_in_on: date | None
    last_pain: int | None
    sessions_7_days: int
