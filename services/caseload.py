"""One statement: who is in a therapist's caseload, what waits for each of them, and how urgent that is.

Its cost goes by the caseload: the care links lead, and every look into a table is one short way down an index that
begins with clinic and patient. The weights are product defaults (no guideline gives them): what can hurt somebody today
stands above what can wait.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from models.alerts import AlertLevel
from schemas.worklist import Reason

REVIEW_AFTER = timedelta(days=28)
"""A signed assessment or report is due again after so long."""
HELD_AFTER = timedelta(days=28)
"""An episode on hold that nobody touched for so long is asked about."""
OVERDUE_AFTER = 7
"""Days after which an instrument that the patient has not answered is overdue; one that staff ask is on its day."""
EXPIRY_AHEAD = 30
"""Days before its last day at which a license or consent is told of."""

LEVELS: Mapping[AlertLevel, int] = {
    AlertLevel.EMERGENCY_NOW: 10_000,
    AlertLevel.URGENT_SAME_DAY: 3_000,
    AlertLevel.HIGH: 500,
    AlertLevel.REFER: 400,
    AlertLevel.ROUTINE: 200,
    AlertLevel.WATCH: 100,
}
"""Of a patient's alerts the gravest counts. An emergency outweighs all else together, so does the next level below."""
OVERDUE = 100
"""More, when one of them was not acknowledged in time."""


TAIL = 6
"""Bytes at the end of a patient's id that tell him from everybody else of a caseload: random ones, 48 bits."""


@dataclass(frozen=True)
class Sign:
    """When a reason holds, what it weighs, since when it holds and until when something is good, in SQL."""

    weight: int
    holds: str
    since: str | None = None
    until: str | None = None


SIGNS: Mapping[Reason, Sign] = {
    Reason.SUSPENDED: Sign(300, "g.suspended"),
    Reason.FLARE_REASSESSMENT: Sign(260, "f.reassess_at > r.reviewed_at", since="f.reassess_at"),
    Reason.OUTCOME_WORSE: Sign(250, "o.worse_at IS NOT NULL", since="o.worse_at"),
    Reason.ADVERSE_EVENT_WAITING: Sign(180, "h.since IS NOT NULL", since="h.since"),
    Reason.PROGRAM_RESTED: Sign(160, "g.rested"),
    Reason.MISSED_CHECK_INS: Sign(150, "c.missed >= 2", since="c.missed_since"),
    Reason.FLARE: Sign(
        140,
        "f.opened_at IS NOT NULL OR l.flare",
        since="coalesce(f.opened_at, CASE WHEN l.flare THEN l.answered_at END)",
    ),
    Reason.FALLING_ADHERENCE: Sign(120, "s.before >= 3 AND s.recent * 2 < s.before"),
    Reason.CONSENT_MISSING: Sign(
        90, "k.last_day IS NULL OR (isfinite(k.last_day) AND k.last_day < local_day($3, p.zone))"
    ),
    Reason.SUGGESTION_WAITING: Sign(85, "u.since IS NOT NULL", since="u.since"),
    Reason.PHASE_READY: Sign(82, "y.since IS NOT NULL", since="y.since"),
    Reason.REVIEW_DUE: Sign(
        80,
        "e.status NOT IN ('on_hold', 'discharged') AND r.reviewed_at < $3::timestamptz - $4::interval",
        since="r.reviewed_at",
    ),
    Reason.INSTRUMENT_OVERDUE: Sign(70, "q.since IS NOT NULL", since="q.since"),
    Reason.LICENSE_EXPIRING: Sign(60, "w.last_day IS NOT NULL", until="w.last_day"),
    Reason.CONSENT_EXPIRING: Sign(
        50, "isfinite(k.last_day) AND k.last_day - local_day($3, p.zone) BETWEEN 0 AND $6", until="k.last_day"
    ),
    Reason.HELD_LONG: Sign(
        40, "e.status = 'on_hold' AND e.touched_at < $3::timestamptz - $5::interval", since="e.touched_at"
    ),
}
"""In the order in which a patient's reasons are told; alerts stand before them."""

WEIGHTS: Mapping[Reason, int] = {reason: sign.weight for reason, sign in SIGNS.items()}
"""What each reason adds, once."""

_LEVEL = " ".join(f"WHEN '{level}' THEN {weight}" for level, weight in LEVELS.items())
_HOLDS = ", ".join(f'coalesce({sign.holds}, false) AS "{reason}"' for reason, sign in SIGNS.items())
_TIMES = ", ".join(
    f'{column} AS "{reason}_{what}"'
    for reason, sign in SIGNS.items()
    for what, column in (("since", sign.since), ("until", sign.until))
    if column is not None
)
_URGENCY = " + ".join(f'{weight} * "{reason}"::int' for reason, weight in WEIGHTS.items())
_WANTED = " OR ".join(f"(\"{reason}\" AND '{reason}' = ANY ($9::text[]))" for reason in SIGNS)

# OFFSET 0 keeps what is used twice from being looked up twice. A local day is worked out where it can decide.
# $1 clinic, $2 therapist, $3 moment, $4 review after, $5 held after, $6 days ahead of an expiry,
# $7 only as lead, $8 search, $9 reasons, $10 levels, $11 episode's status, $12 body region, $13 only overdue,
# $14 shown before, $15 and $16 behind which urgency and id, $17 so many rows.
CASELOAD = f"""
WITH licensed AS (
  SELECT jurisdiction, max(CASE kind WHEN 'compact_privilege' THEN least(expires_on, home) ELSE expires_on END) AS last_day
  FROM (
    SELECT *, max(expires_on) FILTER (WHERE kind = 'license' AND jurisdiction LIKE 'US-%') OVER () AS home
    FROM licenses WHERE clinic_id = $1 AND therapist_id = $2 AND status IN ('verified', 'expiring')) l
  GROUP BY jurisdiction
), expiring AS MATERIALIZED (
  SELECT x.jurisdiction, x.last_day FROM licensed x, clinics y
  WHERE y.id = $1 AND x.last_day - local_day($3, y.zone) BETWEEN 0 AND $6
), seen AS MATERIALIZED (
  SELECT p.id, p.given_name, p.family_name, p.record_number, m.role = 'lead' AS lead,
         e.id AS episode_id, e.status AS episode_status, e.body_region, c.answered_on, l.pain_now, s.recent,
         coalesce(a.alerts, '[]'::jsonb) AS alerts, coalesce(a.weight, 0) AS alert_weight,
         a.levels, coalesce(a.overdue, false) AS overdue, {_HOLDS}, {_TIMES}
  FROM care_links m
  JOIN patients p ON p.clinic_id = $1 AND p.id = m.patient_id AND (p.status = 'active' OR EXISTS (
    SELECT FROM alerts u WHERE u.clinic_id = $1 AND u.patient_id = p.id AND u.status <> 'resolved'))
  LEFT JOIN LATERAL (
    SELECT id, status, body_region, started_on, updated_at AS touched_at FROM episodes
    WHERE clinic_id = $1 AND patient_id = p.id
    ORDER BY status = 'discharged', status = 'on_hold', created_at DESC LIMIT 1) e ON true
  CROSS JOIN LATERAL (
    SELECT coalesce(greatest(
      (SELECT max(signed_at) FROM assessments WHERE clinic_id = $1 AND episode_id = e.id),
      (SELECT max(signed_at) FROM reports WHERE clinic_id = $1 AND episode_id = e.id)),
      e.started_on::timestamptz) AS reviewed_at OFFSET 0) r
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
  LEFT JOIN flares f ON f.clinic_id = $1 AND f.patient_id = p.id AND f.closed_at IS NULL
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE performed_at > $3::timestamptz - interval '7 days') AS recent,
           count(*) FILTER (WHERE performed_at <= $3::timestamptz - interval '7 days') AS before
    FROM exercise_sessions d WHERE clinic_id = $1 AND patient_id = p.id
      AND performed_at > $3::timestamptz - interval '14 days' AND performed_at <= $3::timestamptz
      AND NOT EXISTS (SELECT FROM exercise_sessions n WHERE n.clinic_id = $1 AND n.supersedes_id = d.id)) s
  CROSS JOIN LATERAL (
    SELECT max(administered_at) AS worse_at
    FROM outcomes d WHERE clinic_id = $1 AND patient_id = p.id
      AND administered_at > $3::timestamptz - interval '14 days'
      AND (change -> 'worsened_points' = 'true' OR change -> 'worsened_percent' = 'true')
      AND NOT EXISTS (SELECT FROM outcomes n WHERE n.clinic_id = $1 AND n.supersedes_id = d.id)) o
  CROSS JOIN LATERAL (
    SELECT bool_or(status = 'suspended_red_flag') AS suspended, bool_or(halted_by IS NOT NULL) AS rested
    FROM programs WHERE clinic_id = $1 AND patient_id = p.id) g
  CROSS JOIN LATERAL (
    SELECT min(i.created_at) AS since
    FROM suggestions i JOIN program_versions v ON v.clinic_id = i.clinic_id AND v.id = i.version_id
    WHERE i.clinic_id = $1 AND i.patient_id = p.id AND i.status = 'open'
      AND (i.outcome = 'stop' OR v.progression ->> 'mode' IN ('approve', 'auto'))) u
  CROSS JOIN LATERAL (
    SELECT min(i.since) AS since FROM phase_readiness i
    JOIN programs g ON g.clinic_id = i.clinic_id AND g.id = i.program_id AND g.status = 'active'
    WHERE i.clinic_id = $1 AND i.patient_id = p.id
      AND NOT EXISTS (SELECT FROM flares WHERE clinic_id = $1 AND patient_id = p.id AND episode_id = g.episode_id
                        AND closed_at IS NULL)
      AND NOT EXISTS (  -- by the calendar its phase is over since the night that saw it ready
        SELECT FROM program_versions v JOIN program_phases h ON h.clinic_id = v.clinic_id AND h.version_id = v.id
        WHERE v.clinic_id = $1 AND v.program_id = g.id AND v.in_force @> local_day($3, p.zone) AND h.position <= i.position
        GROUP BY v.id, v.starts_on
        HAVING bool_and(h.weeks IS NOT NULL) AND v.starts_on + 7 * sum(h.weeks)::int <= local_day($3, p.zone))) y
  CROSS JOIN LATERAL (
    SELECT min(reported_at) AS since FROM adverse_events
    WHERE clinic_id = $1 AND patient_id = p.id AND status = 'reported') h
  CROSS JOIN LATERAL (
    SELECT min(i.next_on)::timestamptz AS since
    FROM (
      SELECT episode_id, next_on, next_on + CASE asked_of WHEN 'patient' THEN {OVERDUE_AFTER} ELSE 0 END AS late_on
      FROM instrument_plans WHERE clinic_id = $1 AND patient_id = p.id AND status = 'active') i
    JOIN episodes t ON t.clinic_id = $1 AND t.id = i.episode_id AND t.status NOT IN ('on_hold', 'discharged')
    WHERE i.late_on <= $3::timestamptz::date + 1 AND i.late_on <= local_day($3, p.zone)) q
  LEFT JOIN LATERAL (
    SELECT coalesce(expires_on, 'infinity') AS last_day FROM consents
    WHERE clinic_id = $1 AND patient_id = p.id AND purpose = 'telehealth' AND status = 'given') k ON true
  LEFT JOIN LATERAL (
    SELECT x.last_day FROM (
      SELECT country || CASE WHEN country IN ('US', 'CA') THEN '-' || region ELSE '' END AS jurisdiction
      FROM patient_locations
      WHERE clinic_id = $1 AND patient_id = p.id AND attested_at <= $3 AND EXISTS (SELECT FROM expiring)
      ORDER BY attested_at DESC, id DESC LIMIT 1) place
    JOIN expiring x ON x.jurisdiction = place.jurisdiction) w ON true
  LEFT JOIN LATERAL (
    SELECT jsonb_agg(jsonb_build_object('id', id, 'rule_id', rule_id, 'level', level, 'raised_at', raised_at,
             'respond_by', respond_by, 'overdue', status = 'open' AND respond_by < $3::timestamptz)
             ORDER BY respond_by) AS alerts,
           max(CASE level {_LEVEL} END)
             + {OVERDUE} * max((status = 'open' AND respond_by < $3::timestamptz)::int) AS weight,
           array_agg(level::text) AS levels, bool_or(status = 'open' AND respond_by < $3::timestamptz) AS overdue
    FROM alerts WHERE clinic_id = $1 AND patient_id = p.id AND status <> 'resolved') a ON true
  WHERE m.clinic_id = $1 AND m.therapist_id = $2 AND m.during @> $3::timestamptz
    AND (NOT $7::boolean OR m.role = 'lead')
    AND ($8::text IS NULL OR p.record_number = $8 OR starts_with(lower(p.family_name), lower($8))
         OR starts_with(lower(p.given_name), lower($8)))
    AND substr(uuid_send(p.id), {17 - TAIL}) <> ALL ($14::bytea[])
), weighed AS (
  SELECT *, (alert_weight + {_URGENCY})::bigint AS urgency FROM seen
)
SELECT * FROM weighed
WHERE ($9::text[] = '{{}}' OR (alert_weight > 0 AND 'alert' = ANY ($9)) OR {_WANTED})
  AND ($10::text[] = '{{}}' OR levels && $10)
  AND ($11::text[] = '{{}}' OR episode_status = ANY ($11))
  AND ($12::text[] = '{{}}' OR body_region = ANY ($12))
  AND (NOT $13::boolean OR overdue)
  AND ($15::bigint IS NULL OR (urgency, id) < ($15, $16::uuid))
ORDER BY urgency DESC, id DESC LIMIT $17
"""  # noqa: S608 - built of constants
