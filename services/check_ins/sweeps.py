"""What time does to check-ins: plans make them, they open, they close.

Each sweep is one set-based statement (making check-ins asks first where its batch ends), the same for all clinics (as the
sweeper) and for one (bound by its policies), and may run twice or on several workers at once: a plan is moved on and its
check-in inserted by the same statement, under the plan's row lock and the key (plan, local date, slot). Arithmetic inside
is immutable, so that a sharded database can push it down to where the plans are. What is much, as after an outage, is
done by batches, each in a transaction of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import escalation
from clinical.levels import AlertLevel as Urgency
from clinical.library import load
from core.database import driver, fetch, fetchrow
from services import alerts
from services.check_ins import reminders
from services.turns import take_turns

HORIZON = timedelta(hours=24)
"""How far ahead check-ins are made; until they open they are forecasts, and are taken back when their plan changes."""

AT_ONCE = 20_000
"""So many check-ins are made, opened or closed in one transaction: a second or two of work.

It must end well within the role's time, and whoever answers a check-in that it has locked waits for two seconds only.
"""

_NEXT = "p.next_on + p.steps[extract(isodow FROM p.next_on)::int]"

# (A difference of hours and minutes is immutable arithmetic on UTC only.)
_MOVED = "(old.next_due_at AT TIME ZONE 'UTC' {}) AT TIME ZONE 'UTC'"

# {which} says which plans, and must still hold when the row is locked.
_MATERIALIZE_WHERE = f"""
WITH due AS (
  UPDATE check_in_plans p SET
    next_on = CASE WHEN p.ends_on IS NULL OR {_NEXT} <= p.ends_on THEN {_NEXT} END,
    next_due_at = CASE WHEN p.ends_on IS NULL OR {_NEXT} <= p.ends_on
                       THEN wall_instant({_NEXT} + p.local_time, z.walls, z.offsets) END
  FROM time_zones z
  WHERE z.name = p.zone AND {{which}}
  RETURNING p.clinic_id, p.patient_id, p.episode_id, p.id, old.next_on AS local_date, p.question_set, p.zone,
            old.next_due_at AS due_at, {_MOVED.format("- make_interval(mins => p.opens_minutes)")} AS opens_at,
            {_MOVED.format("+ make_interval(mins => p.closes_minutes)")} AS closes_at,
            {_MOVED.format("+ make_interval(mins => p.closes_minutes + p.late_minutes)")} AS late_until,
            {_MOVED.format("+ make_interval(hours => p.remind_after_hours)")} AS remind_at,
            coalesce(new.next_due_at AT TIME ZONE 'UTC' - make_interval(mins => p.opens_minutes)
                     <= $1 AT TIME ZONE 'UTC', false) AS passed,
            wall_time(old.next_due_at, z.changes, z.offsets) - p.local_time < old.next_on + interval '12 hours' AS lived
)
INSERT INTO check_ins (clinic_id, patient_id, episode_id, plan_id, local_date, question_set, zone, status, opens_at,
                       due_at, closes_at, late_until, remind_at, excused_reason)
SELECT clinic_id, patient_id, episode_id, id, local_date, question_set, zone,
       CASE WHEN passed OR closes_at <= $1 THEN 'excused' ELSE 'due' END,
       opens_at, due_at, closes_at, late_until, remind_at,
       CASE WHEN passed OR closes_at <= $1 THEN 'outage' END
FROM due
WHERE lived  -- else the zone never had that day
"""  # noqa: S608 - built of constants

_UNLESS_THERE = "ON CONFLICT ON CONSTRAINT uq_check_ins_occurrence DO NOTHING"
"""What is there already stays as it is: a plan that was changed may come to a day for the second time."""

_DUE = "p.status = 'active' AND p.next_due_at <= $2"
_MATERIALIZE = _MATERIALIZE_WHERE.format(
    which=f"{_DUE} AND (p.clinic_id, p.next_due_at) <= ($3, $4)"
    " AND ((p.clinic_id, p.next_due_at) < ($3, $4) OR p.id <= $5)"
)
_MATERIALIZE_ONE = (
    _MATERIALIZE_WHERE.format(which="p.status = 'active' AND p.clinic_id = $2 AND p.id = $3 AND p.next_on <= $4")
    + _UNLESS_THERE
)

_LAST = """
SELECT clinic_id, next_due_at, id FROM (
  SELECT clinic_id, next_due_at, id FROM check_in_plans WHERE status = 'active' AND next_due_at <= $1
  ORDER BY clinic_id, next_due_at, id LIMIT $2
) first ORDER BY clinic_id DESC, next_due_at DESC, id DESC LIMIT 1
"""
"""Of the next plans that are due, so many, the last: the batch is a stretch of the index up to there.

A full batch is walked through twice that way, which costs less than looking up each plan that a first walk has named.
"""

_BY_KEY = "; ".join(f"SET LOCAL enable_{way} = off" for way in ("seqscan", "bitmapscan", "hashjoin", "mergejoin"))
"""A batch is found by the index of what is due and joined by its keys, however large a part of all that may be.

Else the planner, which is right about a single batch, would go over the whole table for each of them.
"""

MATERIALIZING, CLOSING = 7_450_801, 7_450_802
"""Keys of advisory locks: workers that start the same sweep take turns, and the second finds nothing left to do."""

_WAITING_ONE = """
SELECT EXISTS (SELECT FROM check_in_plans
               WHERE clinic_id = $1 AND id = $2 AND status = 'active' AND next_on <= $3) AS waiting
"""

# Why nobody was expected to answer: the plan rests, the episode rests or is over, it was a holiday, the program rested
# on that day, or no worker was there to open it as long as it could be answered.
# Right after an outage the planner knows nothing of the rows just made, and a bad order of joins would take the cube of
# their number; so this leaves it no choice: one walk over what closes, every look-up by its key, each row updated by its
# own. (Written as the statuses that are left alone, the last condition keeps the partial index out of that.)
_CLOSE = """
WITH ending AS MATERIALIZED (
  SELECT c.clinic_id, c.id, coalesce(
    (SELECT CASE WHEN p.status = 'paused' THEN 'plan_paused' END FROM check_in_plans p
     WHERE p.clinic_id = c.clinic_id AND p.id = c.plan_id),
    (SELECT 'episode_' || e.status FROM episodes e
     WHERE e.clinic_id = c.clinic_id AND e.id = c.episode_id AND e.status IN ('on_hold', 'discharged')),
    (SELECT 'holiday_agreed' FROM check_in_plans p
     WHERE p.clinic_id = c.clinic_id AND p.id = c.plan_id AND p.holidays @> c.local_date),
    (SELECT s.reason FROM programs g
     JOIN program_pauses s ON s.clinic_id = g.clinic_id AND s.program_id = g.id
     WHERE g.clinic_id = c.clinic_id AND g.patient_id = c.patient_id AND g.episode_id = c.episode_id
       AND s.during @> c.local_date
     LIMIT 1),
    CASE WHEN c.status = 'due' THEN 'outage' END
  ) AS excuse
  FROM check_ins c
  WHERE c.status IN ('due', 'open') AND c.closes_at <= $1
  ORDER BY c.closes_at LIMIT $2
), closed AS (
  UPDATE check_ins c SET status = CASE WHEN n.excuse IS NULL THEN 'missed' ELSE 'excused' END, excused_reason = n.excuse
  FROM ending n
  WHERE c.clinic_id = n.clinic_id AND c.id = n.id AND c.status NOT IN ('submitted', 'late', 'missed', 'excused')
  RETURNING c.clinic_id, c.id, c.patient_id, c.episode_id, c.plan_id, c.local_date, c.slot,
            c.status = 'missed' AS missed
), told AS (
  INSERT INTO events (clinic_id, action, resource_id, patient_id, at)
  SELECT clinic_id, CASE WHEN missed THEN 'check_in.miss' ELSE 'check_in.excuse' END, id, patient_id, $1 FROM closed
)
SELECT * FROM closed
"""

# How many check-ins of the plan were missed in a row, up to and with each of these; excused ones do not count.
_STREAKS = """
SELECT m.clinic_id, m.id, m.patient_id, m.episode_id, m.plan_id, m.local_date, s.in_a_row
FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::uuid[], $6::date[], $7::int[])
  AS m(clinic_id, id, patient_id, episode_id, plan_id, local_date, slot)
CROSS JOIN LATERAL (
  SELECT (1 + count(*) FILTER (WHERE unbroken))::int AS in_a_row FROM (
    SELECT bool_and(status = 'missed') OVER (ORDER BY local_date DESC, slot DESC) AS unbroken FROM (
      SELECT k.local_date, k.slot, k.status FROM check_ins k
      WHERE k.clinic_id = m.clinic_id AND k.plan_id = m.plan_id AND (k.local_date, k.slot) < (m.local_date, m.slot)
        AND k.status <> 'excused'
      ORDER BY k.local_date DESC, k.slot DESC LIMIT $8
    ) earlier
  ) counted
) s
WHERE s.in_a_row = ANY ($9::int[])
ORDER BY m.local_date, m.slot, m.id
"""


@dataclass(frozen=True)
class Dispatched:
    """How many check-ins were made, how many of those that waited have opened, how many notices and reminders are owed.

    more: this was as much as fits into one transaction; go on in another.
    """

    materialized: int
    opened: int
    told: int = 0
    more: bool = False


@dataclass(frozen=True)
class Closed:
    """How many check-ins closed without an answer, and what followed from those missed in a row."""

    missed: int
    excused: int
    reminders: int
    alerts: int


async def dispatch(session: AsyncSession, *, at: datetime, limit: int = AT_ONCE) -> Dispatched:
    """Make every check-in that is due within the next 24 hours, then open those whose time has come.

    After an outage it makes all that should have been, plan by plan and day by day, but opens of each plan the latest
    only, which the patient is told of once: the others were never offered, and are excused. None is opened before all
    are made. Safe to repeat; repeat it as long as there is `more`.
    """
    made = await materialize(session, at=at, limit=limit)
    left = max(0, limit - made)
    opening = await reminders.open_due(session, at=at, limit=left)
    left -= opening.taken
    waiting = await reminders.remind_waiting(session, at=at, limit=left)
    left -= waiting.taken
    return Dispatched(made, opening.opened, opening.told + waiting.told, more=left == 0)


async def materialize(session: AsyncSession, *, at: datetime, limit: int = AT_ONCE) -> int:
    """Make the check-ins that are due within the next 24 hours and move their plans on; give how many are new.

    Clinic by clinic the oldest come first, `limit` of them: go on as long as there are so many. What comes into a batch
    after its end was found is made with it, beyond the limit.
    """
    made = 0
    await take_turns(session, MATERIALIZING)
    await (await driver(session)).execute(_BY_KEY)
    until = at + HORIZON
    while made < limit and (last := await fetchrow(session, _LAST, until, limit - made)):
        made += await _make(session, at, until, *last)
    return made


async def _make(session: AsyncSession, *args: Any) -> int:
    """Make a batch. That none of it is there yet is supposed, and only then asked row by row, which costs a fifteenth."""
    try:
        async with (await driver(session)).transaction():
            return await _count(session, _MATERIALIZE, *args)
    except asyncpg.UniqueViolationError:
        return await _count(session, _MATERIALIZE + _UNLESS_THERE, *args)


async def materialize_plan(session: AsyncSession, clinic_id: UUID, plan_id: UUID, until: date, *, at: datetime) -> None:
    """Make one plan's check-ins up to and on the local day `until`, before the plan changes."""
    while (row := await fetchrow(session, _WAITING_ONE, clinic_id, plan_id, until)) and row["waiting"]:
        await _count(session, _MATERIALIZE_ONE, at, clinic_id, plan_id, until)


async def close_due(session: AsyncSession, *, at: datetime, limit: int = AT_ONCE) -> Closed:
    """Close the check-ins that nobody answered in time, as missed or excused, and escalate misses in a row.

    The oldest come first, `limit` of them: go on as long as there are so many. Two missed in a row owe a reminder by another
    channel, three and five an alert (ES07 to ES09), each once per streak.
    """
    await take_turns(session, CLOSING)
    rows = await fetch(session, _CLOSE, at, limit)
    missed = [row for row in rows if row["missed"]]
    streaks = await _streaks(session, [row for row in missed if row["plan_id"] is not None])
    reminded = await reminders.remind_missed(session, [row for row in streaks if _reminds(row)], at=at)
    findings = [finding for row in streaks for finding in _findings(row)]
    await alerts.raise_many(session, findings, at=at)
    return Closed(len(missed), len(rows) - len(missed), reminded, len(findings))


async def backlog(session: AsyncSession, clinic_id: UUID, *, at: datetime) -> tuple[int, datetime | None]:
    """How many plans and check-ins of a clinic wait for a sweep at `at`, and since when the oldest does."""
    row = await fetchrow(
        session,
        """
        SELECT count(*) AS waiting, min(since) AS oldest FROM (
          SELECT next_due_at AS since FROM check_in_plans
          WHERE clinic_id = $2 AND status = 'active' AND next_due_at <= $1
          UNION ALL SELECT opens_at FROM check_ins
          WHERE clinic_id = $2 AND status = 'due' AND opens_at <= $1 AND closes_at > $1
          UNION ALL SELECT closes_at FROM check_ins
          WHERE clinic_id = $2 AND status IN ('due', 'open') AND closes_at <= $1
        ) waiting
        """,
        at,
        clinic_id,
    )
    assert row is not None
    return row["waiting"], row["oldest"]


async def _count(session: AsyncSession, sql: str, *args: Any) -> int:
    status = await (await driver(session)).execute(sql, *args)
    return int(status.rsplit(" ", 1)[-1])


async def _streaks(session: AsyncSession, missed: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    if not missed:
        return []
    limits = [rule.limits["in_a_row"] for rule in load().escalation.rules if rule.check == "missed"]
    columns = ("clinic_id", "id", "patient_id", "episode_id", "plan_id", "local_date", "slot")
    return await fetch(session, _STREAKS, *([row[column] for row in missed] for column in columns), max(limits), limits)


def _reminds(row: asyncpg.Record) -> bool:
    return any(raised.then == "reminder_other_channel" for raised in escalation.missed(row["in_a_row"]))


def _findings(row: asyncpg.Record) -> list[alerts.Finding]:
    return [
        alerts.Finding.of(
            raised,
            clinic_id=row["clinic_id"],
            patient_id=row["patient_id"],
            episode_id=row["episode_id"],
            source=("check_in", row["id"]),
        )
        for raised in escalation.missed(row["in_a_row"])
        if raised.level is not Urgency.NONE
    ]
