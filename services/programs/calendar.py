"""What was planned for a patient, day by day: adherence's denominator, and today's sessions."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.flares import Dose, dose_at
from clinical.levels import FlareStep
from clinical.prescription import PlannedItem, slots_on
from core.database import fetch

_PLANS = """
SELECT v.patient_id, v.id AS version_id, v.number, v.program_id, p.episode_id, p.status, lower(v.in_force) AS begins_on,
       upper(v.in_force) AS ends_on, v.pain_ceiling,
       v.starts_on,
       (SELECT json_agg(json_build_object('position', h.position, 'weeks', h.weeks))::text FROM program_phases h
        WHERE h.clinic_id = v.clinic_id AND h.version_id = v.id) AS phases,
       (SELECT json_agg(json_build_object(
                 'id', i.id, 'code', i.exercise_code, 'load_kg', i.load_kg,
                 'kind', CASE WHEN f.flared THEN (SELECT x.type FROM exercises x
                                                  WHERE x.clinic_id = i.clinic_id AND x.id = i.exercise_id) END,
                 'phase', h.position, 'weekdays', i.weekdays, 'sessions_per_day', i.sessions_per_day,
                 'sets', i.sets, 'reps', i.reps, 'hold_seconds', i.hold_seconds, 'duration_seconds', i.duration_seconds,
                 'stops', (
                   SELECT json_agg(json_build_array(local_day(u.created_at, t.zone), local_day(u.decided_at, t.zone)))
                   FROM suggestions u WHERE u.clinic_id = v.clinic_id AND u.program_id = v.program_id
                     AND u.exercise_code = i.exercise_code AND u.outcome = 'stop'))
                 ORDER BY h.position, i.position)::text
        FROM program_items i JOIN program_phases h ON h.clinic_id = i.clinic_id AND h.id = i.phase_id
        WHERE i.clinic_id = v.clinic_id AND i.version_id = v.id) AS items, f.flared
FROM unnest($2::uuid[], $3::date[], $4::date[]) AS asked(patient_id, first, last)
JOIN program_versions v ON v.clinic_id = $1 AND v.patient_id = asked.patient_id
  AND v.in_force && daterange(asked.first, asked.last, '[]')
JOIN programs p ON p.clinic_id = v.clinic_id AND p.id = v.program_id
JOIN patients t ON t.clinic_id = v.clinic_id AND t.id = v.patient_id
CROSS JOIN LATERAL (
  SELECT EXISTS (
    SELECT FROM flares f WHERE f.clinic_id = $1 AND f.patient_id = v.patient_id AND f.episode_id = p.episode_id
      AND f.opened_on <= asked.last AND (f.closed_on IS NULL OR f.closed_on > asked.first)) AS flared OFFSET 0) f
ORDER BY lower(v.in_force), v.program_id
"""
_PAUSES = """
SELECT s.program_id, s.reason, lower(s.during) AS begins_on, upper(s.during) AS ends_on
FROM unnest($2::uuid[], $3::date[], $4::date[]) AS asked(patient_id, first, last)
JOIN programs p ON p.clinic_id = $1 AND p.patient_id = asked.patient_id
JOIN program_pauses s ON s.clinic_id = p.clinic_id AND s.program_id = p.id
  AND s.during && daterange(asked.first, asked.last, '[]')
"""

# On which days which step of a flare-up held: from one change of it to the next; the last one of a day counts.
_FLARES = """
SELECT f.patient_id, f.episode_id, e.step, e.local_date AS begins_on,
       coalesce(lead(e.local_date) OVER (PARTITION BY f.id ORDER BY e.at, e.id), f.closed_on) AS ends_on
FROM unnest($2::uuid[], $3::date[], $4::date[]) AS asked(patient_id, first, last)
JOIN flares f ON f.clinic_id = $1 AND f.patient_id = asked.patient_id
  AND f.opened_on <= asked.last AND (f.closed_on IS NULL OR f.closed_on > asked.first)
JOIN flare_events e ON e.clinic_id = f.clinic_id AND e.flare_id = f.id AND e.kind <> 'closed'
ORDER BY e.at, e.id
"""


@dataclass(frozen=True)
class Planned:
    """One planned session: the `slot`-th of the local day `on`, with its items in the order of the program.

    An exercise that the rules had stopped is not among them from that day to the day of the decision.

    dose: of all its items, each in the unit of its own (`clinical.adherence.dose`), on a day of a flare-up the lighter
    one. excused: why the day does not count (program_paused, red_flag_suspended, holiday_agreed, therapist_excused); None
    when it does. flare: the step of the flare-up that lasted on that day; None without one.
    """

    on: date
    slot: int
    program_id: UUID
    episode_id: UUID
    version_id: UUID
    version_number: int
    phase_position: int
    pain_ceiling: int
    items: tuple[UUID, ...]
    dose: int
    excused: str | None
    flare: FlareStep | None


async def planned(
    session: AsyncSession, clinic_id: UUID, patient_id: UUID, from_: date, to: date, *, episode_id: UUID | None = None
) -> list[Planned]:
    """Sessions planned from `from_` to `to`, both included, by the version in force on each day.

    In two statements, and a third where there was a flare-up.
    """
    found = await planned_by_patient(session, clinic_id, {patient_id: (from_, to)})
    return [each for each in found[patient_id] if episode_id in {None, each.episode_id}]


async def planned_by_patient(
    session: AsyncSession, clinic_id: UUID, spans: Mapping[UUID, tuple[date, date]]
) -> dict[UUID, list[Planned]]:
    """Do as `planned` for many patients, each with first and last day of his own; in as many statements."""
    found: dict[UUID, list[Planned]] = {patient_id: [] for patient_id in spans}
    asked = {patient_id: span for patient_id, span in spans.items() if span[0] <= span[1]}
    columns = (list(asked), [first for first, _ in asked.values()], [last for _, last in asked.values()])
    plans = await fetch(session, _PLANS, clinic_id, *columns) if asked else []
    if not plans:
        return found
    pauses: dict[UUID, list[Any]] = {}
    for pause in await fetch(session, _PAUSES, clinic_id, *columns):
        pauses.setdefault(pause["program_id"], []).append(pause)
    flares: dict[tuple[UUID, UUID], list[Any]] = {}
    if any(plan["flared"] for plan in plans):
        for step in await fetch(session, _FLARES, clinic_id, *columns):
            flares.setdefault((step["patient_id"], step["episode_id"]), []).append(step)
    for plan in plans:
        first, last = asked[plan["patient_id"]]
        rests = pauses.get(plan["program_id"], ())
        steps = flares.get((plan["patient_id"], plan["episode_id"]), ())
        found[plan["patient_id"]] += _sessions(plan, rests, steps, max(first, plan["begins_on"]), last)
    for sessions in found.values():
        sessions.sort(key=lambda each: (each.on, each.program_id, each.slot))
    return found


def _sessions(plan: Any, pauses: Sequence[Any], flares: Sequence[Any], first: date, last: date) -> Iterator[Planned]:
    phases = {phase["position"]: phase["weeks"] for phase in orjson.loads(plan["phases"])}
    by_phase: dict[int, list[PlannedItem[UUID]]] = {}
    usual: dict[UUID, tuple[Dose, str | None]] = {}
    doses: dict[FlareStep, dict[UUID, int]] = {}
    stops: dict[UUID, list[tuple[date, date]]] = {}
    for item in orjson.loads(plan["items"]):
        key = UUID(item["id"])
        usual[key] = Dose.of(item["code"], item), item["kind"]
        if item["stops"]:
            stops[key] = [
                (date.fromisoformat(stopped), date.max if decided is None else date.fromisoformat(decided))
                for stopped, decided in item["stops"]
            ]
        by_phase.setdefault(item["phase"], []).append(
            PlannedItem(key, tuple(item["weekdays"]), item["sessions_per_day"])
        )
    if plan["ends_on"] is not None:
        last = min(last, plan["ends_on"] - timedelta(days=1))
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        phase, slots = slots_on(phases, by_phase, plan["starts_on"], day)
        flare = _flare(flares, day)
        step = FlareStep.FULL if flare is None else flare
        if step not in doses:
            doses[step] = {key: dose_at(step, prescribed, kind).amount for key, (prescribed, kind) in usual.items()}
        for slot in slots:
            items = tuple(
                item for item in slot.items if not any(made <= day <= decided for made, decided in stops.get(item, ()))
            )
            if not items:
                continue
            yield Planned(
                on=day,
                slot=slot.slot,
                program_id=plan["program_id"],
                episode_id=plan["episode_id"],
                version_id=plan["version_id"],
                version_number=plan["number"],
                phase_position=phase or 0,
                pain_ceiling=plan["pain_ceiling"],
                items=items,
                dose=sum(doses[step][item] for item in items),
                excused=_excuse(pauses, day),
                flare=flare,
            )


def _excuse(pauses: Sequence[Mapping[str, Any]], day: date) -> str | None:
    for pause in pauses:
        if pause["begins_on"] <= day and (pause["ends_on"] is None or day < pause["ends_on"]):
            return str(pause["reason"])
    return None


def _flare(flares: Sequence[Mapping[str, Any]], day: date) -> FlareStep | None:
    """Give the step that held on a day; two can follow each other on one day, then the later one counts."""
    held = [one for one in flares if one["begins_on"] <= day and (one["ends_on"] is None or day < one["ends_on"])]
    return FlareStep(held[-1]["step"]) if held else None
