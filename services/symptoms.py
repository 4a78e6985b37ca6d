"""When a patient last told of something that the questions about warning signs must follow."""

from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from core.database import fetch

# $1 the clinic, $2 the patient, $3 the moment, $4 days to look back, $6 pain that stops an exercise. What a session told
# counts from when it was received, as only then anybody could ask; a correction counts instead of what it corrects.
TOLD_AT = """
greatest(
  (SELECT max(a.answered_at) FROM check_in_answers a WHERE a.clinic_id = $1 AND a.patient_id = $2
     AND a.answered_at > $3::timestamptz - make_interval(days => $4) AND a.answers @> '{"new_symptoms": true}'),
  (SELECT max(s.received_at) FROM exercise_sessions s WHERE s.clinic_id = $1 AND s.patient_id = $2
     AND s.performed_at > $3::timestamptz - make_interval(days => $4)
     AND (s.new_neurological_symptom OR EXISTS (
       SELECT FROM session_items i WHERE i.clinic_id = $1 AND i.session_id = s.id AND i.pain_during >= $6))
     AND NOT EXISTS (SELECT FROM exercise_sessions n WHERE n.clinic_id = $1 AND n.supersedes_id = s.id)))
"""
"""When new symptoms were last answered, or a session told of one or of pain that stops an exercise; null for never."""


async def told_at(session: AsyncSession, clinic_id: UUID, patient_id: UUID, *, at: datetime) -> datetime | None:
    """Return when the patient last told of such a thing, within the time for which a screen counts."""
    query = f"SELECT {TOLD_AT} AS told_at".replace("$6", "$5")
    limits = load().screening.weekly_days, load().progression.thresholds.stop_pain
    return (await fetch(session, query, clinic_id, patient_id, at, *limits))[0]["told_at"]  # type: ignore[no-any-return]
