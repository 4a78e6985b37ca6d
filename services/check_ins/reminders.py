"""What patients are told about their check-ins: one is open, one still waits, two in a row were missed.

Everything is owed by the statement that causes it, for all clinics at once. Nothing is sent on an agreed holiday nor
before the day until which a plan is muted, and no reminder beyond the patient's number of them in a local week.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import fetchrow

OPENED, REMINDER = "check_in_open", "check_in_reminder"
"""Templates of the two kinds of messages; a patient's week counts those of the second that are of check-ins."""

_QUIET = "(p.muted_until > d.local_date OR p.holidays @> d.local_date) IS NOT TRUE"

_SEND = "clinic_id, account_id, patient_id, channel, category, template, parameters, dedupe_key, due_at"

OPEN = f"""
WITH opening AS MATERIALIZED (
  SELECT c.clinic_id, c.id, p.notify_on_open AS notifies, c.session_id IS NULL AND EXISTS (
           SELECT FROM check_ins later
           WHERE later.clinic_id = c.clinic_id AND later.plan_id = c.plan_id AND later.local_date > c.local_date
             AND later.opens_at <= $1 AND later.status IN ('due', 'open')
         ) AS passed
  FROM check_ins c JOIN check_in_plans p ON p.clinic_id = c.clinic_id AND p.id = c.plan_id
  WHERE c.status = 'due' AND c.opens_at <= $1 AND c.closes_at > $1
  ORDER BY c.clinic_id, c.opens_at LIMIT $2
), opened AS (
  UPDATE check_ins c SET
    status = CASE WHEN o.passed THEN 'excused' ELSE 'open' END,
    excused_reason = CASE WHEN o.passed THEN 'outage' END,
    remind_at = CASE WHEN NOT (o.notifies AND c.remind_at <= $1) THEN c.remind_at END
  FROM opening o
  WHERE c.clinic_id = o.clinic_id AND c.id = o.id AND c.status NOT IN ('open', 'submitted', 'late', 'missed', 'excused')
  RETURNING c.clinic_id, c.id, c.patient_id, c.plan_id, c.local_date, c.status, o.notifies
), told AS (
  INSERT INTO notifications ({_SEND})
  SELECT d.clinic_id, t.account_id, d.patient_id, 'push', 'check_in', '{OPENED}',
         ('{{"check_in_id": "' || d.id || '"}}')::jsonb, '{OPENED}:' || d.id, $1
  FROM opened d
  JOIN check_in_plans p ON p.clinic_id = d.clinic_id AND p.id = d.plan_id
  JOIN patients t ON t.clinic_id = d.clinic_id AND t.id = d.patient_id AND t.account_id IS NOT NULL
  WHERE d.status = 'open' AND d.notifies AND {_QUIET}
  ON CONFLICT (clinic_id, dedupe_key) DO NOTHING RETURNING 1
), followed AS (
  INSERT INTO events (clinic_id, action, resource_id, patient_id, at)
  SELECT clinic_id, CASE WHEN status = 'open' THEN 'check_in.open' ELSE 'check_in.excuse' END, id, patient_id, $1
  FROM opened
)
SELECT (SELECT count(*) FROM opening) AS taken, (SELECT count(*) FROM opened WHERE status = 'open') AS opened,
       (SELECT count(*) FROM told) AS told
"""  # noqa: S608 - built of constants
"""Opens what is due, and owes the notices. After an outage only a plan's latest check-in opens; the others are excused.

A clinic's oldest come first, so that a later one still waits, whichever batch it falls into. A reminder whose time has
passed already is left to the notice that goes out now. The planner has as little choice as in `sweeps._CLOSE`.
"""

# For d(clinic_id, id, patient_id, plan_id, local_date); $1 is the moment, {key} what makes the reminder a single one.
_REMIND = """
, asked AS (
  SELECT d.clinic_id, d.id, d.patient_id, t.account_id, p.reminders_per_week AS cap,
    row_number() OVER (PARTITION BY d.clinic_id, d.patient_id ORDER BY d.local_date, d.id) AS place,
    CASE WHEN p.reminders_per_week IS NOT NULL THEN (
      SELECT count(*) FROM notifications n
      WHERE n.clinic_id = d.clinic_id AND n.patient_id = d.patient_id AND n.template = '{template}'
        AND n.dedupe_key NOT LIKE 'instrument:%'
        AND n.due_at >= wall_instant(date_trunc('week', wall_time($1, z.changes, z.offsets)), z.walls, z.offsets)
    ) ELSE 0 END AS had
  FROM due d
  JOIN check_in_plans p ON p.clinic_id = d.clinic_id AND p.id = d.plan_id
  JOIN time_zones z ON z.name = p.zone
  JOIN patients t ON t.clinic_id = d.clinic_id AND t.id = d.patient_id AND t.account_id IS NOT NULL
  WHERE {quiet}
), told AS (
  INSERT INTO notifications ({send})
  SELECT clinic_id, account_id, patient_id, 'email', 'check_in', '{template}', ('{{"check_in_id": "' || id || '"}}')::jsonb,
         '{key}:' || id, $1
  FROM asked WHERE cap IS NULL OR had + place <= cap
  ON CONFLICT (clinic_id, dedupe_key) DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM due) AS taken, (SELECT count(*) FROM told) AS told
"""


def _remind(due: str, key: str) -> str:
    return f"WITH due AS ({due})" + _REMIND.format(template=REMINDER, quiet=_QUIET, send=_SEND, key=key)


_WAITING = _remind(
    """
  UPDATE check_ins c SET remind_at = NULL
  FROM (
    SELECT clinic_id, id FROM check_ins WHERE status = 'open' AND remind_at <= $1 AND closes_at > $1
    ORDER BY clinic_id, remind_at LIMIT $2
  ) w
  WHERE c.clinic_id = w.clinic_id AND c.id = w.id AND c.remind_at <= $1
    AND c.status NOT IN ('due', 'submitted', 'late', 'missed', 'excused')
  RETURNING c.clinic_id, c.id, c.patient_id, c.plan_id, c.local_date
""",
    "check_in_waiting",
)

_MISSED = _remind(
    """
  SELECT * FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::date[])
    AS m(clinic_id, id, patient_id, plan_id, local_date)
""",
    REMINDER,
)


@dataclass(frozen=True)
class Taken:
    """How many check-ins a batch took up, how many patients are to be told, how many check-ins it opened."""

    taken: int
    told: int
    opened: int = 0


async def open_due(session: AsyncSession, *, at: datetime, limit: int) -> Taken:
    """Open the check-ins whose window has begun, `limit` of them at most."""
    row = await fetchrow(session, OPEN, at, limit)
    assert row is not None
    return Taken(row["taken"], row["told"], row["opened"])


async def remind_waiting(session: AsyncSession, *, at: datetime, limit: int) -> Taken:
    """Remind of check-ins that wait for longer than their plan allows, once each, `limit` of them at most."""
    row = await fetchrow(session, _WAITING, at, limit)
    assert row is not None
    return Taken(row["taken"], row["told"])


async def remind_missed(session: AsyncSession, missed: Sequence[asyncpg.Record], *, at: datetime) -> int:
    """Remind of check-ins that were missed, by the other channel; give how many reminders."""
    if not missed:
        return 0
    columns = ("clinic_id", "id", "patient_id", "plan_id", "local_date")
    row = await fetchrow(session, _MISSED, at, *([one[column] for one in missed] for column in columns))
    assert row is not None
    return int(row["told"])
