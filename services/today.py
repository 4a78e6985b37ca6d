"""A patient's day in one call: what to answer, what to do, and what to do in an emergency."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, fields
from datetime import date, datetime
from typing import Any

import asyncpg
import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import red_flags, screening
from clinical.flares import Dose, coming, dose_at, share
from clinical.levels import FlareStep, Level
from clinical.library import load
from clinical.prescription import PlannedItem, slots_on
from core.database import fetch
from core.errors import NotFound
from schemas.advice import Advice
from schemas.programs import PinnedExercise
from schemas.today import (
    DueCheckIn,
    StoppedItem,
    Today,
    TodayArticle,
    TodayFlare,
    TodayItem,
    TodayProgram,
    TodaySession,
)
from services import audit, instrument_plans, programs, symptoms
from services.access import Action, Actor, require

PAUSED = "Your therapist has paused your exercises. Ask your clinic when they go on."
UNTREATED = (
    "Your exercises rest until your clinic has settled who may treat you. You have done nothing wrong, and your clinic"
    " has been told. Call it when you have a question."
)
CONSENT = (
    "Your exercises rest because your consent to care at a distance is not in force. You may give it again at any time;"
    " then your therapist lets them go on."
)
"""Why nothing is due, in the patient's words: who paused what, and nobody's fault."""

STOPPED = (
    "Leave this exercise out until your therapist has looked at it; he has been told. Go on with the others as long as they"
    " feel all right."
)
"""What stands beside an exercise that the rules have stopped for pain; a new symptom of nerves has words of its own."""

NERVES = "new_neurological_symptom"
"""The reason of a suggestion for which an exercise was stopped after new weakness, numbness or tingling."""

SUSPENDED = "suspended_red_flag"
"""The status of a program that a red flag keeps stopped."""

# $1 the clinic, $2 the patient, $3 the moment, $4 days that symptoms look back, $5 questions by region, $6 pain that stops
# an exercise. A screen is complete for the region under which it was sent: it counts when it asked what all his problems in
# treatment must answer.
_DAY = (
    """
WITH me AS MATERIALIZED (
  SELECT p.id, p.zone, local_day($3, p.zone) AS today
  FROM patients p WHERE p.clinic_id = $1 AND p.id = $2
), asked AS MATERIALIZED (
  SELECT coalesce(array_agg(DISTINCT q.id), '{}') AS questions
  FROM me JOIN episodes e ON e.clinic_id = $1 AND e.patient_id = me.id AND e.status <> 'discharged'
  CROSS JOIN jsonb_array_elements_text(coalesce($5::jsonb -> e.body_region, $5::jsonb -> '')) AS q(id)
), day AS MATERIALIZED (
  SELECT me.zone, me.today,
    (SELECT coalesce(jsonb_agg(to_jsonb(c) ORDER BY c.due_at), '[]') FROM (
       SELECT id, question_set, local_date, status, opens_at, due_at, closes_at, late_until FROM check_ins
       WHERE clinic_id = $1 AND patient_id = me.id AND status IN ('due', 'open', 'missed')
         AND late_until > $3::timestamptz AND (opens_at <= $3::timestamptz OR local_date = me.today)
       ORDER BY due_at LIMIT 20) c) AS check_ins,
    (SELECT coalesce(jsonb_agg(to_jsonb(r) ORDER BY r.assigned_at, r.assignment_id), '[]') FROM (
       SELECT id AS assignment_id, article ->> 'title' AS title, article ->> 'topic' AS topic, language, note, assigned_at
       FROM article_assignments WHERE clinic_id = $1 AND patient_id = me.id AND read_at IS NULL AND withdrawn_at IS NULL
       ORDER BY assigned_at, id LIMIT 20) r) AS articles,
    {instruments} AS instruments,
    (SELECT country FROM patient_locations l WHERE l.clinic_id = $1 AND l.patient_id = me.id
      ORDER BY attested_at DESC LIMIT 1) AS attested,
    (SELECT country FROM clinics WHERE id = $1) AS country,
    (SELECT f.level FROM red_flag_screens f WHERE f.clinic_id = $1 AND f.patient_id = me.id AND f.status <> 'closed'
      AND f.level IN ('urgent_same_day', 'emergency_now') ORDER BY f.screened_at DESC LIMIT 1) AS open_level,
    screened.*,
    {symptoms} AS symptom_at,
    (SELECT to_jsonb(f) FROM flares f WHERE f.clinic_id = $1 AND f.patient_id = me.id AND f.closed_at IS NULL) AS flare
  FROM me CROSS JOIN LATERAL (
    SELECT max(f.screened_at) FILTER (WHERE f.complete AND f.answers ?& asked.questions) AS complete_at,
      max(f.screened_at) FILTER (
        WHERE f.trigger = 'unlock' AND f.complete AND f.answers ?& asked.questions
          AND f.level NOT IN ('urgent_same_day', 'emergency_now')) AS unlocked_at,
      max(f.screened_at) FILTER (WHERE f.level IN ('urgent_same_day', 'emergency_now')) AS urgent_at
    FROM asked LEFT JOIN red_flag_screens f ON f.clinic_id = $1 AND f.patient_id = me.id) screened
), program AS MATERIALIZED (
  SELECT g.id, g.title, g.status, g.halted_by, g.episode_id,
    row_number() OVER (ORDER BY (g.status = 'active') DESC, g.created_at DESC, g.id DESC) AS place
  FROM me JOIN programs g ON g.clinic_id = $1 AND g.patient_id = me.id
    AND g.status IN ('active', 'paused', 'suspended_red_flag')
), version AS MATERIALIZED (
  SELECT v.* FROM me, program g JOIN program_versions v ON v.clinic_id = $1 AND v.program_id = g.id
  WHERE v.in_force @> me.today AND g.status = 'active'
)
SELECT day.*, program.id AS program_id, program.title, program.status, program.halted_by,
  program.episode_id,
  version.id AS version_id, version.number, version.starts_on, version.pain_ceiling,
  (SELECT jsonb_agg(to_jsonb(h) ORDER BY h.position) FROM program_phases h
    WHERE h.clinic_id = $1 AND h.version_id = version.id) AS phases,
  (SELECT jsonb_agg(to_jsonb(i) ORDER BY i.position) FROM program_items i
    WHERE i.clinic_id = $1 AND i.version_id = version.id) AS items,
  CASE WHEN day.flare IS NOT NULL THEN (
    SELECT jsonb_object_agg(i.id, x.type) FROM program_items i
    JOIN exercises x ON x.clinic_id = $1 AND x.id = i.exercise_id
    WHERE i.clinic_id = $1 AND i.version_id = version.id) END AS kinds,
  (SELECT coalesce(jsonb_agg(s.slot), '[]') FROM exercise_sessions s
    WHERE s.clinic_id = $1 AND s.patient_id = $2 AND s.local_date = day.today AND s.program_id = program.id
      AND NOT EXISTS (SELECT FROM exercise_sessions n WHERE n.clinic_id = $1 AND n.supersedes_id = s.id)) AS done,
  (SELECT coalesce(jsonb_object_agg(o.code, o.nerves), '{}') FROM (
     SELECT u.exercise_code AS code, bool_or('{nerves}' = ANY (u.reasons)) AS nerves FROM suggestions u
     WHERE u.clinic_id = $1 AND u.program_id = program.id AND u.status = 'open' AND u.outcome = 'stop'
     GROUP BY 1) o) AS stopped,
  (SELECT coalesce(jsonb_agg(DISTINCT u.exercise_code), '[]') FROM suggestions u
    WHERE u.clinic_id = $1 AND u.program_id = program.id AND u.status = 'accepted' AND u.outcome = 'stop') AS taken_out
FROM day LEFT JOIN program ON true LEFT JOIN version ON version.program_id = program.id
ORDER BY program.place
""".replace("{instruments}", instrument_plans.DUE)
    .replace("{symptoms}", symptoms.TOLD_AT)
    .replace("{nerves}", NERVES)
)


async def get(session: AsyncSession, actor: Actor, *, at: datetime) -> Today:
    """Give the caller's day in his own zone. Raises NotFound when there is no such patient."""
    require(actor, Action.READ_TODAY)
    asked = orjson.dumps(red_flags.required_by_region()).decode()
    limits = load().screening.weekly_days, asked, load().progression.thresholds.stop_pain
    rows = await fetch(session, _DAY, actor.clinic_id, actor.patient_id, at, *limits)
    if not rows:
        raise NotFound
    await audit.record(
        session, actor, "today.read", subject=("patient", actor.patient_id), patient_id=actor.patient_id, at=at
    )
    row = rows[0]  # the day stands in every row; each has a program of its own, or the only one has none
    country = row["attested"] or row["country"]
    in_use = [_program(each, country) for each in rows if each["program_id"] is not None]
    reasons = _screens_due(row, at, suspended=any(each["status"] == SUSPENDED for each in rows))
    return Today(
        on=row["today"],
        zone=row["zone"],
        check_ins=[DueCheckIn.model_validate(one) for one in row["check_ins"]],
        program=next(iter(in_use), None),
        programs=in_use,
        articles=[TodayArticle.model_validate(one) for one in row["articles"]],
        instruments=await instrument_plans.answerable(session, actor.clinic_id, row["instruments"], at=at),
        screen_due=bool(reasons),
        screen_reasons=[reason.value for reason in reasons],
        flare=None if row["flare"] is None else _flare(row["flare"], row["today"]),
        emergency=_advice(Level.EMERGENCY_NOW, country),
    )


def _program(row: asyncpg.Record, country: str) -> TodayProgram:
    phase, sessions, stopped = (None, [], []) if row["version_id"] is None else _sessions(row, country)
    suspended = row["status"] == SUSPENDED
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
        stopped=stopped,
        advice=_advice(level, country) if suspended else None,
        note=_note(row["halted_by"]) if row["status"] == "paused" else None,
    )


def _note(halted_by: str | None) -> str:
    if halted_by is None:
        return PAUSED
    return CONSENT if halted_by in {programs.CONSENT_WITHDRAWN, programs.CONSENT_EXPIRED} else UNTREATED


def _sessions(row: asyncpg.Record, country: str) -> tuple[str | None, list[TodaySession], list[StoppedItem]]:
    """Give the name of the phase, today's sessions, and what is left out of them until a human has decided."""
    phases = {one["id"]: one for one in row["phases"] or ()}
    items = {one["id"]: one for one in row["items"] or ()}
    planned: dict[int, list[PlannedItem[str]]] = {}
    for key, one in items.items():
        item = PlannedItem(key, tuple(one["weekdays"]), one["sessions_per_day"])
        planned.setdefault(phases[one["phase_id"]]["position"], []).append(item)
    weeks = {one["position"]: one["weeks"] for one in phases.values()}
    position, slots = slots_on(weeks, planned, row["starts_on"], row["today"])
    done, stopped = set(row["done"]), row["stopped"]
    step, kinds = _step(row), row["kinds"] or {}
    held = {key: one for key, one in items.items() if one["exercise_code"] in stopped}
    left_out = sorted({key for slot in slots for key in slot.items} & held.keys())
    name = next((one["name"] for one in phases.values() if one["position"] == position), None)
    # None of these stands in for another in a flare-up: what hurt somebody, or is due today as it is.
    without = {*stopped, *row["taken_out"], *(items[key]["exercise_code"] for slot in slots for key in slot.items)}
    return (
        name,
        [
            TodaySession(
                slot=slot.slot,
                done=slot.slot in done,
                items=_items(
                    [(items[key], kinds.get(key)) for key in slot.items if key not in held],
                    row["pain_ceiling"],
                    step,
                    without,
                ),
            )
            for slot in slots
            if not held.keys() >= set(slot.items)
        ],
        [
            StoppedItem(
                item_id=held[key]["id"],
                exercise_code=held[key]["exercise_code"],
                name=held[key]["exercise"]["name"],
                note=red_flags.new_nerve_symptom(country=country) if stopped[held[key]["exercise_code"]] else STOPPED,
            )
            for key in left_out
        ],
    )


def _items(
    found: Iterable[tuple[Mapping[str, Any], str | None]], pain_ceiling: int, step: FlareStep, without: Collection[str]
) -> list[TodayItem]:
    """Show what is due in a session, each item given with its exercise's type; nothing stands in twice."""
    shown: list[TodayItem] = []
    for item, kind in found:
        shown.append(_item(item, pain_ceiling, step, kind, {*without, *(each.exercise_code for each in shown)}))
    return shown


def _item(
    item: Mapping[str, Any], pain_ceiling: int, step: FlareStep, kind: str | None, without: Collection[str]
) -> TodayItem:
    own = item["pain_ceiling"]
    shown = {**item, "item_id": item["id"], "pain_ceiling": pain_ceiling if own is None else own, "usual": None}
    shown["exercise"] = {"media": [], **item["exercise"]}  # older programs pinned none
    if step is not FlareStep.FULL:
        usual = Dose.of(item["exercise_code"], item)
        due = dose_at(step, usual, kind, without=without)
        if due != usual:
            shown |= {name: getattr(due, name) for name in _DOSE}
            shown["usual"] = {name: item[name] for name in _DOSE}
            if due.exercise_code != usual.exercise_code:
                easier = load().exercises[due.exercise_code]
                shown["exercise"] = PinnedExercise.model_validate(easier).model_dump(mode="json")
                shown["load_label"] = None
    return TodayItem.model_validate(shown)


def _screens_due(row: asyncpg.Record, at: datetime, *, suspended: bool) -> tuple[screening.Due, ...]:
    unresolved = row["open_level"] is not None
    screened = screening.Screened(row["complete_at"], row["unlocked_at"], row["urgent_at"], unresolved)
    return screening.due(
        screened,
        at=at,
        weekly_days=load().screening.weekly_days,
        symptom_at=row["symptom_at"],
        flare_waits=row["flare"] is not None and row["flare"]["screen_id"] is None,
        suspended=suspended,
    )


_DOSE = tuple(field.name for field in fields(Dose))


def _step(row: asyncpg.Record) -> FlareStep:
    """Give how much of a program is due: only that of the flare-up's own episode is lighter."""
    flare = row["flare"]
    return (
        FlareStep.FULL if flare is None or flare["episode_id"] != str(row["episode_id"]) else FlareStep(flare["step"])
    )


def _flare(flare: Mapping[str, Any], today: date) -> TodayFlare:
    texts, step = load().flares.texts, FlareStep(flare["step"])
    held_until = None if flare["held_until"] is None else date.fromisoformat(flare["held_until"])
    why = {
        texts.screen: flare["screen_id"] is None,
        texts.reduced: step is FlareStep.REDUCED,
        texts.three_quarters: step is FlareStep.THREE_QUARTERS,
        texts.held: held_until is not None and held_until >= today,
        texts.contact: flare["contacted_at"] is not None,
    }
    return TodayFlare.model_validate(
        {
            **flare,
            "flare_id": flare["id"],
            "day": max((today - date.fromisoformat(flare["opened_on"])).days, 0) + 1,
            "share_percent": share(step),
            "next_step": coming(step, date.fromisoformat(flare["step_on"]), held_until),
            "why": [text for text, holds in why.items() if holds],
            "screen_due": flare["screen_id"] is None,
        }
    )


def _advice(level: Level, country: str) -> Advice:
    told = asdict(red_flags.advice(level, country=country))
    return Advice.model_validate({**told, "actions": list(told["actions"])})
