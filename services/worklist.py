"""The caseload ranked, with reasons: one statement, keyset pages.

The weights are product defaults (no guideline gives them): what can hurt somebody today stands above what can wait.
"""

from datetime import datetime, timedelta
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import fetch
from schemas.pages import Page, Paged
from schemas.worklist import Reason, WorklistEntry, WorklistReason
from services import audit
from services.access import Action, Actor, require

REVIEW_AFTER = timedelta(days=28)
"""A signed assessment or report is due again after so long."""

WEIGHTS = {
    Reason.SUSPENDED: 300,
    Reason.OUTCOME_WORSE: 250,
    Reason.MISSED_CHECK_INS: 150,
    Reason.FLARE: 140,
    Reason.FALLING_ADHERENCE: 120,
    Reason.CONSENT_MISSING: 90,
    Reason.REVIEW_DUE: 80,
}

_CASELOAD = """
WITH seen AS (
  SELECT p.id, p.given_name, p.family_name, p.record_number,
         e.id AS episode_id, e.started_at, e.reviewed_at, c.missed, c.missed_since, c.answered_on,
         l.pain_now, l.flare, l.answered_at AS flare_at, s.recent, s.before, o.worse_at, g.suspended, k.consented,
         coalesce(a.alerts, '[]'::jsonb) AS alerts, coalesce(a.weight, 0) AS alert_weight
  FROM care_links m
  JOIN patients p ON p.clinic_id = $1 AND p.id = m.patient_id AND (p.status = 'active' OR EXISTS (
    SELECT FROM alerts u WHERE u.clinic_id = $1 AND u.patient_id = p.id AND u.status <> 'resolved'))
  LEFT JOIN LATERAL (
    SELECT e.id, e.started_on::timestamptz AS started_at, greatest(
      (SELECT max(signed_at) FROM assessments x WHERE x.clinic_id = $1 AND x.episode_id = e.id),
      (SELECT max(signed_at) FROM reports x WHERE x.clinic_id = $1 AND x.episode_id = e.id)) AS reviewed_at
    FROM episodes e WHERE e.clinic_id = $1 AND e.patient_id = p.id AND e.status NOT IN ('discharged', 'on_hold')
    ORDER BY e.created_at DESC LIMIT 1) e ON true
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE status = 'missed') AS missed,
           min(due_at) FILTER (WHERE status = 'missed') AS missed_since,
           max(local_date) FILTER (WHERE answered_at IS NOT NULL) AS answered_on
    FROM check_ins WHERE clinic_id = $1 AND patient_id = p.id
      AND due_at > $3::timestamptz - interval '7 days' AND due_at <= $3::timestamptz) c
  LEFT JOIN LATERAL (
    SELECT pain_now, answered_at,
           answered_at > $3::timestamptz - interval '3 days' AND answers -> 'flare' = 'true'::jsonb AS flare
    FROM check_in_answers WHERE clinic_id = $1 AND patient_id = p.id
    ORDER BY answered_at DESC LIMIT 1) l ON true
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE performed_at > $3::timestamptz - interval '7 days') AS recent,
           count(*) FILTER (WHERE performed_at <= $3::timestamptz - interval '7 days') AS before
    FROM exercise_sessions d WHERE clinic_id = $1 AND patient_id = p.id
      AND performed_at > $3::timestamptz - interval '14 days' AND performed_at <= $3::timestamptz
      AND NOT EXISTS (SELECT FROM exercise_sessions n WHERE n.clinic_id = $1 AND n.supersedes_id = d.id)) s
  CROSS JOIN LATERAL (
    SELECT max(administered_at) FILTER (
      WHERE change -> 'worsened_points' = 'true' OR change -> 'worsened_percent' = 'true') AS worse_at
    FROM outcomes r WHERE clinic_id = $1 AND patient_id = p.id
      AND administered_at > $3::timestamptz - interval '14 days'
      AND NOT EXISTS (SELECT FROM outcomes n WHERE n.clinic_id = $1 AND n.supersedes_id = r.id)) o
  CROSS JOIN LATERAL (
    SELECT coalesce(bool_or(status = 'suspended_red_flag'), false) AS suspended
    FROM programs WHERE clinic_id = $1 AND patient_id = p.id) g
  CROSS JOIN LATERAL (
    SELECT EXISTS (SELECT FROM consents WHERE clinic_id = $1 AND patient_id = p.id AND purpose = 'telehealth'
      AND status = 'given' AND (expires_on IS NULL OR expires_on >= local_day($3, p.zone))) AS consented) k
  LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('id', id, 'rule_id', rule_id, 'level', level, 'raised_at', raised_at,
             'respond_by', respond_by, 'overdue', status = 'open' AND respond_by < $3::timestamptz)
             ORDER BY respond_by) AS alerts,
           max(CASE level WHEN 'emergency_now' THEN 1000 WHEN 'urgent_same_day' THEN 800 WHEN 'high' THEN 500
                 WHEN 'refer' THEN 400 WHEN 'routine' THEN 200 ELSE 100 END)
             + 100 * max((status = 'open' AND respond_by < $3::timestamptz)::int) AS weight
    FROM alerts WHERE clinic_id = $1 AND patient_id = p.id AND status <> 'resolved') a ON true
  WHERE m.clinic_id = $1 AND m.therapist_id = $2 AND m.during @> $3::timestamptz
), ranked AS (
  SELECT *, flare IS TRUE AS flares, missed >= 2 AS misses, before >= 3 AND recent * 2 < before AS falls,
         episode_id IS NOT NULL AND coalesce(reviewed_at, started_at) < $3::timestamptz - $4::interval AS due
  FROM seen
), weighed AS (
  SELECT *, (alert_weight + $5 * suspended::int + $6 * (worse_at IS NOT NULL)::int + $7 * misses::int + $8 * flares::int
             + $9 * falls::int + $10 * (NOT consented)::int + $11 * due::int)::bigint AS urgency
  FROM ranked
)
SELECT * FROM weighed
WHERE $12::bigint IS NULL OR (urgency, id) < ($12, $13::uuid)
ORDER BY urgency DESC, id DESC LIMIT $14
"""


async def browse(session: AsyncSession, actor: Actor, page: Page, *, at: datetime) -> Paged[WorklistEntry]:
    """Patients with an active care link to the caller, the most urgent first; inactive ones only with an alert."""
    require(actor, Action.READ_WORKLIST)
    after: tuple[Any, ...] = page.after or (None, None)
    rows = await fetch(
        session,
        _CASELOAD,
        actor.clinic_id,
        actor.therapist_id,
        at,
        REVIEW_AFTER,
        *(WEIGHTS[each] for each in WEIGHTS),
        *after,
        page.limit + 1,
    )
    await audit.record(session, actor, "worklist.list", subject=("patient", None), at=at)
    paged = page.cut(rows, lambda row: (row["urgency"], row["id"]))
    return Paged([_entry(row) for row in paged.items], paged.next_cursor)


def _entry(row: asyncpg.Record) -> WorklistEntry:
    reasons = [
        _reason(
            Reason.ALERT,
            since=alert["raised_at"],
            alert_id=alert["id"],
            level=alert["level"],
            rule_id=alert["rule_id"],
            respond_by=alert["respond_by"],
            overdue=alert["overdue"],
        )
        for alert in row["alerts"]
    ]
    for code, holds, since in (
        (Reason.SUSPENDED, row["suspended"], None),
        (Reason.OUTCOME_WORSE, row["worse_at"] is not None, row["worse_at"]),
        (Reason.MISSED_CHECK_INS, row["misses"], row["missed_since"]),
        (Reason.FLARE, row["flares"], row["flare_at"]),
        (Reason.FALLING_ADHERENCE, row["falls"], None),
        (Reason.CONSENT_MISSING, not row["consented"], None),
        (Reason.REVIEW_DUE, row["due"], row["reviewed_at"] or row["started_at"]),
    ):
        if holds:
            reasons.append(_reason(code, since=since))
    return WorklistEntry(
        patient_id=row["id"],
        given_name=row["given_name"],
        family_name=row["family_name"],
        record_number=row["record_number"],
        episode_id=row["episode_id"],
        urgency=row["urgency"],
        reasons=reasons,
        last_check_in_on=row["answered_on"],
        last_pain=row["pain_now"],
        sessions_7_days=row["recent"],
    )


def _reason(code: Reason, *, since: Any, **more: Any) -> WorklistReason:
    known = {"level": None, "alert_id": None, "rule_id": None, "respond_by": None, "overdue": False}
    return WorklistReason.model_validate({**known, **more, "code": code, "since": since})
