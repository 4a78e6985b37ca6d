"""When nobody looks: whoever covers is told, then the clinical lead; each once, each after the level's time again.

A step that finds nobody is left out at once. The clinical lead, who treats the patient as little as anybody who is called
in, is linked to him for a week, or he could not open what he is told of; where a clinic has named none, its admins are
told that somebody must look, and nothing else. An alert whose owner does not treat the patient any more goes back to
everybody, with a new clock.

Each step is one statement for all clinics (as the sweeper) or the bound one; safe to repeat, and on several workers. An
alert that somebody is just handling is left out, and looked at again in the next minute: a sweep that waited for it could
meet a transaction that raises several alerts of a patient head-on.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import fetch
from models.alerts import AlertLevel
from services import audit, notifications
from services.alerts import raising
from services.turns import take_turns

ESCALATING = 7_450_803
"""Key of an advisory lock: workers that start at once take turns, and the second finds nothing left to do."""

CALLED_IN = timedelta(days=7)
"""For so long the clinical lead is linked to a patient whose alert reached him."""

AT_ONCE = 20_000
"""So many alerts take a step in one transaction, which must end well within the role's time."""

_LATE = """
WITH waiting AS MATERIALIZED (
  SELECT clinic_id, id FROM alerts
  WHERE status = 'open' AND overdue_at IS NULL AND respond_by <= $1
  ORDER BY respond_by LIMIT $2 FOR UPDATE SKIP LOCKED
), late AS (
  UPDATE alerts a SET overdue_at = $1, updated_at = $1, version = a.version + 1
  FROM waiting w WHERE a.clinic_id = w.clinic_id AND a.id = w.id AND a.status = 'open' AND a.overdue_at IS NULL
  RETURNING a.clinic_id, a.patient_id, a.id, a.rule_id, a.level::text AS level, a.version
), events AS (
  INSERT INTO alert_events (clinic_id, alert_id, kind, at) SELECT clinic_id, id, 'overdue', $1 FROM late
), told AS (
  INSERT INTO events (clinic_id, action, resource_id, patient_id, at)
  SELECT clinic_id, 'alert.overdue', id, patient_id, $1 FROM late
)
SELECT * FROM late
"""

_PENDING = """
SELECT DISTINCT clinic_id, level::text AS level FROM alerts
WHERE status = 'open' AND escalations = 0 AND respond_by <= $1
   OR status IN ('acknowledged', 'assigned') AND owner_id IS NOT NULL
"""

_NEXT = "unnest($2::uuid[], $3::text[], $4::timestamptz[]) AS n(clinic_id, level, at)"

_HAND_BACK = f"""
WITH left_alone AS MATERIALIZED (
  SELECT a.clinic_id, a.id, a.owner_id, n.at FROM alerts a JOIN {_NEXT} ON n.clinic_id = a.clinic_id AND n.level = a.level
  WHERE a.status IN ('acknowledged', 'assigned') AND a.owner_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM care_links k
    JOIN therapists t ON t.clinic_id = k.clinic_id AND t.id = k.therapist_id AND t.status = 'active'
    WHERE k.clinic_id = a.clinic_id AND k.patient_id = a.patient_id AND k.therapist_id = a.owner_id
      AND k.during @> $1::timestamptz)
  ORDER BY a.respond_by LIMIT $5 FOR UPDATE OF a SKIP LOCKED
)
UPDATE alerts a SET status = 'open', owner_id = NULL, acknowledged_at = NULL, acknowledged_by = NULL, respond_by = l.at,
  overdue_at = NULL, escalations = 0, escalate_at = NULL, updated_at = $1, version = a.version + 1
FROM left_alone l
WHERE a.clinic_id = l.clinic_id AND a.id = l.id AND a.status IN ('acknowledged', 'assigned') AND a.owner_id = l.owner_id
RETURNING a.clinic_id, a.patient_id, a.id, a.rule_id, a.level::text AS level, a.version, l.owner_id
"""  # noqa: S608 - built of constants

# Licensed: some license in force today, as for a patient who has not said where he is. Whether it is the right one is
# asked at every act of care; here somebody is wanted who looks.
_COVERING = f"""
WITH late AS MATERIALIZED (
  SELECT clinic_id, id, patient_id, level FROM alerts
  WHERE status = 'open' AND escalations = 0 AND respond_by <= $1 ORDER BY respond_by LIMIT $5 FOR UPDATE SKIP LOCKED
), due AS (
  SELECT a.clinic_id, a.id, n.at, array_agg(k.therapist_id ORDER BY k.therapist_id) FILTER (WHERE k.able) AS therapists,
         array_agg(k.account_id ORDER BY k.therapist_id) FILTER (WHERE k.able) AS accounts
  FROM late a JOIN {_NEXT} ON n.clinic_id = a.clinic_id AND n.level = a.level
  LEFT JOIN (
    SELECT k.clinic_id, k.patient_id, k.therapist_id, t.account_id, EXISTS (
        SELECT FROM licenses l
        WHERE l.clinic_id = k.clinic_id AND l.therapist_id = k.therapist_id AND l.status IN ('verified', 'expiring')
          AND l.in_force @> ($1::timestamptz AT TIME ZONE 'UTC')::date) AS able
    FROM care_links k
    JOIN therapists t ON t.clinic_id = k.clinic_id AND t.id = k.therapist_id AND t.status = 'active'
      AND t.profession = 'PT' AND t.account_id IS NOT NULL
    WHERE k.role = 'covering' AND k.during @> $1::timestamptz
  ) k ON k.clinic_id = a.clinic_id AND k.patient_id = a.patient_id
  GROUP BY a.clinic_id, a.id, n.at
)
UPDATE alerts a SET escalations = 1, escalate_at = CASE WHEN d.therapists IS NULL THEN $1 ELSE d.at END,
  updated_at = $1, version = a.version + 1
FROM due d WHERE a.clinic_id = d.clinic_id AND a.id = d.id AND a.status = 'open' AND a.escalations = 0
RETURNING a.clinic_id, a.id, a.rule_id, a.level::text AS level, a.version, d.therapists, d.accounts
"""  # noqa: S608 - built of constants

_LEAD = """
WITH late AS MATERIALIZED (
  SELECT clinic_id, id FROM alerts
  WHERE status = 'open' AND escalations = 1 AND escalate_at <= $1 ORDER BY escalate_at LIMIT $4 FOR UPDATE SKIP LOCKED
), due AS (
  SELECT a.clinic_id, a.id, t.id AS therapist_id, t.account_id
  FROM late a
  JOIN clinics c ON c.id = a.clinic_id
  LEFT JOIN therapists t ON t.clinic_id = a.clinic_id AND t.id = (c.settings ->> 'clinical_lead_id')::uuid
    AND t.status = 'active' AND t.profession = 'PT' AND t.account_id IS NOT NULL
), moved AS (
  UPDATE alerts a SET escalations = 2, escalate_at = NULL, updated_at = $1, version = a.version + 1
  FROM due d WHERE a.clinic_id = d.clinic_id AND a.id = d.id AND a.status = 'open' AND a.escalations = 1
  RETURNING a.clinic_id, a.id, a.patient_id, a.rule_id, a.level::text AS level, a.version, d.therapist_id, d.account_id
), linked AS (
  INSERT INTO care_links (clinic_id, patient_id, therapist_id, role, during)
  SELECT DISTINCT m.clinic_id, m.patient_id, m.therapist_id, 'covering', tstzrange($1, least($2, (
    SELECT min(lower(k.during)) FROM care_links k
    WHERE k.clinic_id = m.clinic_id AND k.patient_id = m.patient_id AND k.therapist_id = m.therapist_id
      AND lower(k.during) > $1)))
  FROM moved m WHERE m.therapist_id IS NOT NULL
  ON CONFLICT DO NOTHING RETURNING clinic_id, id, patient_id
), traced AS (
  INSERT INTO audit_events (clinic_id, at, action, resource_type, resource_id, patient_id, role)
  SELECT clinic_id, $1, 'care_link.create', 'care_link', id, patient_id, $3 FROM linked
)
SELECT * FROM moved
"""

_ADMINS = """
SELECT c.id AS clinic_id, nullif(c.email, '') AS address, m.accounts
FROM clinics c LEFT JOIN (
  SELECT clinic_id, array_agg(account_id ORDER BY account_id) AS accounts
  FROM identity.clinic_admins($1::uuid[], $2) GROUP BY clinic_id
) m ON m.clinic_id = c.id
WHERE c.id = ANY ($1::uuid[])
"""

_EVENTS = """
WITH happened AS (
  SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::text[], $5::text[]::jsonb[]) AS e(clinic_id, alert_id, kind, inputs)
), kept AS (
  INSERT INTO alert_events (clinic_id, alert_id, kind, at, inputs)
  SELECT clinic_id, alert_id, kind, $1, inputs FROM happened
)
INSERT INTO events (clinic_id, action, resource_id, patient_id, at)
SELECT a.clinic_id, CASE h.kind WHEN 'escalated' THEN 'alert.escalate' ELSE 'alert.hand_back' END, a.id, a.patient_id, $1
FROM happened h JOIN alerts a ON a.clinic_id = h.clinic_id AND a.id = h.alert_id
"""


@dataclass(frozen=True)
class Escalated:
    """How many alerts went back to everybody, to whoever covers, to a clinical lead, and to a clinic's admins."""

    handed_back: int
    covering: int
    lead: int
    admins: int


async def mark_overdue(session: AsyncSession, *, at: datetime, limit: int = AT_ONCE) -> int:
    """Mark the alerts that nobody acknowledged in time, once each, and remind; give how many. Safe to repeat.

    The oldest come first, `limit` of them: go on as long as there are so many.
    """
    await take_turns(session, ESCALATING)
    rows = await fetch(session, _LATE, at, limit)
    versions = {row["id"]: row["version"] for row in rows}  # what was opened again may be overdue again
    await raising.tell(session, "alert_overdue", [raising.about(row) for row in rows], at, team=True, times=versions)
    return len(rows)


async def escalate(session: AsyncSession, *, at: datetime, limit: int = AT_ONCE) -> Escalated:
    """Take the steps that are due at `at`, and owe the messages. Run it after `mark_overdue`.

    Of each step the oldest come first, `limit` of them: go on as long as all counts together are so many.
    """
    await take_turns(session, ESCALATING)
    pending = {(row["clinic_id"], AlertLevel(row["level"])) for row in await fetch(session, _PENDING, at)}
    clocks = _unnested(await raising.deadlines(session, pending, at))
    handed_back = await fetch(session, _HAND_BACK, at, *clocks, limit)
    await _keep(session, [(row, "handed_back", {"owner_id": row["owner_id"]}) for row in handed_back], at)
    await raising.tell(session, "alert_raised", [raising.about(row) for row in handed_back], at, again=True)
    asked = [row for row in await fetch(session, _COVERING, at, *clocks, limit) if row["therapists"]]
    await _keep(session, [(row, "escalated", {"step": "covering", "told": row["therapists"]}) for row in asked], at)
    reached = await fetch(session, _LEAD, at, at + CALLED_IN, audit.SYSTEM, limit)
    leads = [row for row in reached if row["account_id"] is not None]
    told = [(row, "escalated", {"step": "clinical_lead", "told": [row["therapist_id"]]}) for row in leads]
    await _keep(session, told, at)
    nobody = [row for row in reached if row["account_id"] is None]
    letters = [
        *(_letter(row, account, at) for row in asked for account in row["accounts"]),
        *(_letter(row, row["account_id"], at) for row in leads),
        *await _tell_admins(session, nobody, at),
    ]
    await notifications.owe_many(session, letters)
    return Escalated(len(handed_back), len(asked), len(leads), len(nobody))


async def _tell_admins(
    session: AsyncSession, rows: Sequence[asyncpg.Record], at: datetime
) -> Sequence[Mapping[str, Any]]:
    """Keep that the admins are told, and give what they are: that somebody must look, never at what."""
    if not rows:
        return []
    found = await fetch(session, _ADMINS, list({row["clinic_id"] for row in rows}), at)
    clinics = {each["clinic_id"]: each for each in found}
    kept, letters = [], []
    for row in rows:
        accounts, address = clinics[row["clinic_id"]]["accounts"] or [], clinics[row["clinic_id"]]["address"]
        kept.append((row, "escalated", {"step": "clinic_admins", "told": accounts}))
        letters += [_letter(row, account, at, template="alert_unanswered") for account in accounts]
        if not accounts and address is not None:
            letters.append(_letter(row, None, at, template="alert_unanswered", address=address))
    await _keep(session, kept, at)
    return letters


def _letter(
    row: asyncpg.Record,
    account_id: UUID | None,
    at: datetime,
    *,
    template: str = "alert_escalated",
    address: str | None = None,
) -> Mapping[str, Any]:
    return {
        "clinic_id": row["clinic_id"],
        "template": template,
        **raising.loudness(AlertLevel(row["level"]), row["rule_id"]),
        "dedupe_key": f"{template}:{row['id']}:{row['version']}{notifications.TO}{account_id or 'clinic'}",
        "due_at": at,
        "account_id": account_id,
        "address": address,
        "patient_id": None,
        "parameters": {"alert_id": str(row["id"])},
    }


async def _keep(
    session: AsyncSession, events: Collection[tuple[asyncpg.Record, str, Mapping[str, Any]]], at: datetime
) -> None:
    """Keep what happened to alerts, and who was told."""
    if events:
        await fetch(
            session,
            _EVENTS,
            at,
            [row["clinic_id"] for row, _, _ in events],
            [row["id"] for row, _, _ in events],
            [kind for _, kind, _ in events],
            [orjson.dumps(inputs, default=str).decode() for _, _, inputs in events],
        )


def _unnested(clocks: Mapping[tuple[UUID, AlertLevel], datetime]) -> tuple[list[UUID], list[str], list[datetime]]:
    return [one[0] for one in clocks], [one[1].value for one in clocks], list(clocks.values())
