"""A patient's day in one call: what to answer, what to do, and what to do in an emergency."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import red_flags
from clinical.levels import Level
from clinical.prescription import PhaseSpan, PlannedItem, phase_on, sessions_on
from core.database import fetchrow
from core.errors import NotFound
from schemas.advice import Advice
from schemas.today import DueCheckIn, Today, TodayItem, TodayProgram, TodaySession
from services import audit
from services.access import Action, Actor, require

_DAY = """
WITH me AS MATERIALIZED (
  SELECT p.id, p.zone, ($3::timestamptz AT TIME ZONE p.zone)::date AS today
  FROM patients p WHERE p.clinic_id = $1 AND p.id = $2
), program AS MATERIALIZED (
  SELECT g.* FROM me JOIN programs g ON g.clinic_id = $1 AND g.patient_id = me.id
    AND g.status IN ('active', 'paused', 'suspended_red_flag')
  ORDER BY (g.status = 'active') DESC, g.created_at DESC LIMIT 1
), version AS MATERIALIZED (
  SELECT v.* FROM me, program g JOIN program_versions v ON v.clinic_id = $1 AND v.program_id = g.id
  WHERE v.in_force @> me.today AND g.status = 'active'
)
SELECT me.zone, me.today, program.id AS program_id, program.title, program.status,
  version.id AS version_id, version.number, version.starts_on, version.pain_ceiling,
  (SELECT jsonb_agg(to_jsonb(h) ORDER BY h.position) FROM version v
     JOIN program_phases h ON h.clinic_id = $1 AND h.version_id = v.id) AS phases,
  (SELECT jsonb_agg(to_jsonb(i) ORDER BY i.position) FROM version v
     JOIN program_items i ON i.clinic_id = $1 AND i.version_id = v.id) AS items,
  (SELECT coalesce(jsonb_agg(s.slot), '[]') FROM exercise_sessions s
    WHERE s.clinic_id = $1 AND s.patient_id = me.id AND s.local_date = me.today AND s.program_id = program.id
      AND NOT EXISTS (SELECT FROM exercise_sessions n WHERE n.clinic_id = $1 AND n.supersedes_id = s.id)) AS done,
  (SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.due_at), '[]') FROM (
     SELECT id, question_set, local_date, status, opens_at, due_at, closes_at, late_until FROM check_ins
     WHERE clinic_id = $1 AND patient_id = me.id AND status IN ('due', 'open', 'missed')
       AND late_until > $3::timestamptz AND (opens_at <= $3::timestamptz OR local_date = me.today)
     ORDER BY due_at LIMIT 20) c) AS check_ins,
  (SELECT country FROM patient_locations l WHERE l.clinic_id = $1 AND l.patient_id = me.id
    ORDER BY attested_at DESC LIMIT 1) AS attested,
  (SELECT country FROM clinics WHERE id = $1) AS country,
  (SELECT f.level FROM red_flag_screens f WHERE f.clinic_id = $1 AND f.patient_id = me.id AND f.status <> 'closed'
    AND f.level IN ('urgent_same_day', 'emergency_now') ORDER BY f.screened_at DESC LIMIT 1) AS open_level,
  NOT EXISTS (SELECT FROM red_flag_screens f WHERE f.clinic_id = $1 AND f.patient_id = me.id AND f.complete
    AND f.screened_at > $3::timestamptz - interval '7 days') AS screen_due
FROM me LEFT JOIN program ON true LEFT JOIN version ON true
"""


async def get(session: AsyncSession, actor: Actor, *, at: datetime) -> Today:
    """Give the caller's day in his own zone. Raises NotFound when there is no such patient."""
    require(actor, Action.READ_TODAY)
    row = await fetchrow(session, _DAY, actor.clinic_id, actor.patient_id, at)
    if row is None:
        raise NotFound
    await audit.record(
        session, actor, "today.read", subject=("patient", actor.patient_id), patient_id=actor.patient_id, at=at
    )
    country = row["attested"] or row["country"]
    return Today(
        on=row["today"],
        zone=row["zone"],
        check_ins=[DueCheckIn.model_validate(one) for one in row["check_ins"]],
        program=None if row["program_id"] is None else _program(row, country),
        screen_due=row["screen_due"],
        emergency=_advice(Level.EMERGENCY_NOW, country),
    )


def _program(row: asyncpg.Record, country: str) -> TodayProgram:
    phase, sessions = None, list[TodaySession]()
    if row["version_id"] is not None:
        phase, sessions = _sessions(row, row["today"])
    suspended = row["status"] == "suspended_red_flag"
    level = Level(row["open_level"]) if row["open_level"] else Level.URGENT_SAME_DAY
    return TodayProgram(
        program_id=row["program_id"],
        version_id=row["version_id"],
        version_number=row["number"],
        title=row["title"],
        status=row["status"],
        phase=phase,
        pain_ceiling=row["pain_ceiling"],
        sessions=sessions,
        advice=_advice(level, country) if suspended else None,
    )


def _sessions(row: asyncpg.Record, today: date) -> tuple[str | None, list[TodaySession]]:
    phases: Sequence[Mapping[str, Any]] = row["phases"] or []
    position = phase_on([PhaseSpan(one["position"], one["weeks"]) for one in phases], row["starts_on"], today)
    phase = next((one for one in phases if one["position"] == position), None)
    if phase is None:
        return None, []
    items = {one["id"]: one for one in row["items"] or [] if one["phase_id"] == phase["id"]}
    planned = [PlannedItem(key, tuple(one["weekdays"]), one["sessions_per_day"]) for key, one in items.items()]
    done = set(row["done"])
    return phase["name"], [
        TodaySession(
            slot=slot.slot,
            done=slot.slot in done,
            items=[_item(items[key], row["pain_ceiling"]) for key in slot.items],
        )
        for slot in sessions_on(planned, today)
    ]


def _item(item: Mapping[str, Any], pain_ceiling: int) -> TodayItem:
    own = item["pain_ceiling"]
    return TodayItem.model_validate(
        {**item, "item_id": item["id"], "pain_ceiling": pain_ceiling if own is None else own}
    )


def _advice(level: Level, country: str) -> Advice:
    told = asdict(red_flags.advice(level, country=country))
    return Advice.model_validate({**told, "actions": list(told["actions"])})
