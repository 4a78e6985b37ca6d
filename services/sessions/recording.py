"""Exercise sessions, logged by the patient's device under its own ids: once, and pinned to what was prescribed.

Logging is two statements besides sign-in: one reads everything that the decision needs, one writes the session, its
items and the audit row. What rarely happens (an alert, a check-in after the session) costs only when it does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import escalation
from clinical.levels import AlertLevel
from clinical.library import load
from clinical.recurrence import local_date
from core.database import fetch, fetchrow
from core.errors import Conflict, Invalid, Problem
from models.sessions import ExerciseSession
from schemas.sessions import SessionLog, SessionLogged
from services import access, alerts, audit, check_ins, crisis
from services.access import Action, Actor
from services.crisis import told_in_refusals
from services.sessions import contents, measuring
from services.sessions.contents import Content, Contents
from services.sessions.reading import with_items

STILL_ASKED = timedelta(hours=24)
"""How late a session may arrive and still be asked about."""

ID_AHEAD = timedelta(days=1)
FIRST_ID = datetime(2020, 1, 1, tzinfo=UTC)
STOP_RULE = "PR-stop"
_CONTENTS = Contents()
UUID_TIME_ORDERED = 7


class SessionIdRefused(Invalid):
    """A session's id is a UUID of version 7, made when it was performed."""


class SessionIdTaken(Conflict):
    """There is another session under this id."""


class SessionSupersededAlready(Conflict):
    """The session to correct was corrected already."""


@dataclass(frozen=True)
class Logged:
    """A session as it is stored, with what its patient must read now, and whether this request stored it."""

    session: SessionLogged
    created: bool


# What a decision needs, one row for each version that the items belong to (so one, if the device makes sense).
_VERSIONS = """
SELECT t.patient_id AS stored_for, t.body_sha256 AS stored_body,
  EXISTS (SELECT FROM exercise_sessions o WHERE o.clinic_id = $1 AND o.id = $5 AND o.patient_id = $2) AS superseding,
  EXISTS (SELECT FROM check_in_plans c WHERE c.clinic_id = $1 AND c.patient_id = $2 AND c.frequency = 'after_session'
            AND c.status = 'active') AS asks_after,
  v.id AS version_id, v.program_id, v.starts_on, v.in_force @> ($6::date) AS in_force, v.pain_ceiling,
  upper(v.in_force) <= $6::date OR isempty(v.in_force) AS over, p.episode_id,
  CASE WHEN NOT v.in_force @> ($6::date) THEN
    coalesce((SELECT n.created_at FROM program_versions n
              WHERE n.clinic_id = $1 AND n.program_id = v.program_id AND n.number = v.number + 1), p.ended_at)
  END AS over_at,
  (SELECT s.reason FROM program_pauses s WHERE s.clinic_id = $1 AND s.program_id = v.program_id
     AND s.began_at <= $4 AND (s.ended_at IS NULL OR $4 < s.ended_at) LIMIT 1) AS pause{content}
FROM (SELECT) AS one
LEFT JOIN exercise_sessions t ON t.clinic_id = $1 AND t.id = $3
LEFT JOIN (program_versions v JOIN programs p ON p.clinic_id = v.clinic_id AND p.id = v.program_id)
  ON v.clinic_id = $1 AND v.patient_id = $2 AND v.in_force IS NOT NULL AND v.id {which}
"""

_READ_KNOWN = _VERSIONS.format(content="", which="= $7")
"""$7 is the version whose content is known already."""

_READ = _VERSIONS.format(
    content=""",
  (SELECT json_agg(json_build_array(h.position, h.weeks, h.id))::text FROM program_phases h
   WHERE h.clinic_id = $1 AND h.version_id = v.id) AS phases,
  (SELECT json_agg(json_build_object('id', i.id, 'phase_id', i.phase_id, 'position', i.position, 'sets', i.sets,
     'reps', i.reps, 'hold_seconds', i.hold_seconds, 'duration_seconds', i.duration_seconds, 'load_kg', i.load_kg,
     'load_label', i.load_label, 'side', i.side, 'sessions_per_day', i.sessions_per_day, 'weekdays', i.weekdays,
     'pain_ceiling', coalesce(i.pain_ceiling, v.pain_ceiling), 'effort_ceiling', i.effort_ceiling,
     'exercise_code', i.exercise_code, 'name', i.exercise ->> 'name'))::text
   FROM program_items i WHERE i.clinic_id = $1 AND i.version_id = v.id) AS items""",
    which="IN (SELECT w.version_id FROM program_items w WHERE w.clinic_id = $1 AND w.id = ANY ($7::uuid[]))",
)
"""$7 are the items."""

_WRITE = """
WITH logged AS (
  INSERT INTO exercise_sessions (clinic_id, patient_id, id, program_id, version_id, local_date, slot, performed_at,
    device_zone, received_at, pain_before, pain_after, effort, new_neurological_symptom, note, items_prescribed,
    items_done, dose_prescribed, dose_done, body_sha256, supersedes_id)
  VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
  ON CONFLICT (clinic_id, id) DO NOTHING RETURNING id
), performed AS (
  INSERT INTO session_items (clinic_id, session_id, item_id, position, done, sets, load_kg, dose_prescribed, dose_done,
    effort, pain_before, pain_during, pain_after, skip_reason, note, prescribed)
  SELECT $1, logged.id, r.item_id, r.position, r.done, r.sets, r.load_kg, r.dose_prescribed, r.dose_done, r.effort,
    r.pain_before, r.pain_during, r.pain_after, r.skip_reason, r.note, r.prescribed
  FROM logged, jsonb_to_recordset($22::text::jsonb) AS r (item_id uuid, position int, done boolean, sets jsonb,
    load_kg numeric, dose_prescribed int, dose_done int, effort int, pain_before int, pain_during int, pain_after int,
    skip_reason text, note text, prescribed jsonb)
), owed AS (
  INSERT INTO evaluations_owed (clinic_id, session_id, program_id, owed_at) SELECT $1, logged.id, $4, $10 FROM logged
), looked AS (
  INSERT INTO audit_events (clinic_id, patient_id, resource_id, at, account_id, role, sign_in_id, action,
    resource_type, request_id)
  SELECT $1, $2, logged.id, $10, $23, $24, $25, 'session.log', 'session', $26 FROM logged
)
SELECT id FROM logged
"""

_COLUMNS = (
    "program_id",
    "version_id",
    "local_date",
    "slot",
    "performed_at",
    "device_zone",
    "received_at",
    "pain_before",
    "pain_after",
    "effort",
    "new_neurological_symptom",
    "note",
    "items_prescribed",
    "items_done",
    "dose_prescribed",
    "dose_done",
)


@told_in_refusals
async def log(session: AsyncSession, actor: Actor, session_id: UUID, form: SessionLog, *, at: datetime) -> Logged:
    """Keep a session of the caller; the same again is answered with what is stored.

    A session done before a pause or a suspension is kept, however late it arrives; one done during it is refused.
    Raises SessionIdRefused, SessionIdTaken, SessionRefused, ProgramNotInForce, ProgramSuspended, ProgramPaused,
    SessionSupersededAlready.
    """
    access.require(actor, Action.LOG_SESSIONS)
    patient_id = actor.patient_id
    assert patient_id is not None
    session.info[access.SUBJECT] = patient_id
    _check_id(session_id, at)
    body = sha256(form.model_dump_json().encode()).digest()
    on = local_date(form.performed_at, form.device_zone)
    items = [item.item_id for item in form.items]
    known = _CONTENTS.with_all(actor.clinic_id, items)
    rows = await fetch(
        session,
        _READ_KNOWN if known else _READ,
        actor.clinic_id,
        patient_id,
        session_id,
        form.performed_at,
        form.supersedes_id,
        on,
        known.version_id if known else items,
    )
    if rows[0]["stored_for"] is not None:
        return await _again(session, actor, session_id, rows[0], body, at=at)
    plan = measuring.plan(rows, _content(actor, rows, known), form, on, at)
    made = measuring.made(session_id, patient_id, plan, form, on, at)
    try:
        written = await _write(session, actor, made, body)
    except asyncpg.UniqueViolationError as error:
        raise SessionSupersededAlready from error
    if not written:  # a twin of this request was faster
        return await _again(session, actor, session_id, await _stored(session, actor, session_id), body, at=at)
    if made["stop"]:
        await _alert(session, actor, made, plan["episode_id"], at=at)
    if plan["asks_after"] and form.supersedes_id is None and at - form.performed_at < STILL_ASKED:
        ended_at = min(form.performed_at, at)
        await check_ins.after_session(session, actor.clinic_id, patient_id, session_id, ended_at=ended_at, at=at)
    source = ("session", session_id)
    told = await crisis.heed(session, actor, _words(made), episode_id=plan["episode_id"], source=source, at=at)
    return Logged(SessionLogged.model_validate({**made, "advice": told}), created=True)


def _content(actor: Actor, rows: Sequence[asyncpg.Record], known: Content | None) -> Content | None:
    """Give what is prescribed by the version that counts; None if there is none."""
    row = measuring.in_force(rows)
    if row["version_id"] is None:
        return None
    if known is not None:
        return known
    content = contents.read(row["version_id"], row["phases"], row["items"])
    _CONTENTS.keep(actor.clinic_id, content)
    return content


def _check_id(session_id: UUID, at: datetime) -> None:
    if session_id.version != UUID_TIME_ORDERED:
        raise SessionIdRefused(Problem("#/path/session_id", "uuid_version", "Make a UUID of version 7."))
    made_at = datetime.fromtimestamp((session_id.int >> 80) / 1000, UTC) if session_id.int >> 80 < 2**43 else None
    if made_at is None or not FIRST_ID <= made_at <= at + ID_AHEAD:
        raise SessionIdRefused(Problem("#/path/session_id", "uuid_time", "The id's own time cannot be true."))


async def _again(
    session: AsyncSession, actor: Actor, session_id: UUID, row: asyncpg.Record, body: bytes, *, at: datetime
) -> Logged:
    if row["stored_for"] != actor.patient_id or row["stored_body"] != body:
        raise SessionIdTaken
    stored = await session.scalar(
        select(ExerciseSession).where(ExerciseSession.clinic_id == actor.clinic_id, ExerciseSession.id == session_id)
    )
    await audit.record(
        session, actor, "session.read", subject=("session", session_id), patient_id=actor.patient_id, at=at
    )
    assert stored is not None
    read = (await with_items(session, actor.clinic_id, [stored]))[0].model_dump()
    spoken = any(map(escalation.has_crisis_word, _words(read)))
    told = await crisis.advise(session, actor.clinic_id, stored.patient_id) if spoken else None
    return Logged(SessionLogged.model_validate({**read, "advice": told}), created=False)


def _words(made: Mapping[str, Any]) -> list[str]:
    """Give what the patient wrote himself."""
    return [note for note in (made["note"], *(item["note"] for item in made["items"])) if note]


async def _stored(session: AsyncSession, actor: Actor, session_id: UUID) -> asyncpg.Record:
    row = await fetchrow(
        session,
        "SELECT patient_id AS stored_for, body_sha256 AS stored_body FROM exercise_sessions"
        " WHERE clinic_id = $1 AND id = $2",
        actor.clinic_id,
        session_id,
    )
    assert row is not None
    return row


async def _write(session: AsyncSession, actor: Actor, made: Mapping[str, Any], body: bytes) -> bool:
    row = await fetchrow(
        session,
        _WRITE,
        actor.clinic_id,
        made["patient_id"],
        made["id"],
        *(made[name] for name in _COLUMNS),
        body,
        made["supersedes_id"],
        orjson.dumps(made["items"]).decode(),
        actor.account_id,
        actor.role.value,
        actor.sign_in_id,
        actor.request_id,
    )
    return row is not None


async def _alert(
    session: AsyncSession, actor: Actor, made: Mapping[str, Any], episode_id: UUID, *, at: datetime
) -> None:
    pains = [item["pain_during"] for item in made["items"] if item["pain_during"] is not None]
    await alerts.raise_alert(
        session,
        clinic_id=actor.clinic_id,
        patient_id=made["patient_id"],
        episode_id=episode_id,
        rule_id=STOP_RULE,
        rule_version=load().progression.version,
        level=AlertLevel.URGENT_SAME_DAY if made["new_neurological_symptom"] else AlertLevel.HIGH,
        task=None,
        source=("session", made["id"]),
        inputs={
            "reasons": made["stop"],
            "pain_during": max(pains, default=None),
            "new_neurological_symptom": made["new_neurological_symptom"],
        },
        at=at,
    )
