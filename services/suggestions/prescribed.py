"""What the rules look at: programs in use with their items, since when each dose holds, and the sessions done at it.

Read for many programs at once, in four statements however many they are.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.dosing import Dose, Ladder
from clinical.forms import Contraindication, DefaultDosage
from clinical.library import load
from clinical.prescription import PhaseSpan, conflicts, phase_on, starting_dosage
from clinical.progression import Performed, alarming
from clinical.suggesting import Spell, needed
from core.database import fetch

# The version in force on each patient's day; of a program that is not in use the newest, for a simulation.
_PROGRAMS = """
SELECT p.id AS program_id, p.patient_id, p.episode_id, t.zone, t.conditions, local_day($3, t.zone) AS today,
  v.id AS version_id, v.number, v.starts_on, v.author_id, v.created_at, v.progression::text AS progression,
  EXISTS (SELECT FROM program_versions n WHERE n.clinic_id = $1 AND n.program_id = p.id
    AND lower(n.in_force) > local_day($3, t.zone)) AS planned,
  (SELECT json_agg(json_build_array(h.position, h.weeks))::text FROM program_phases h
   WHERE h.clinic_id = $1 AND h.version_id = v.id) AS phases,
  (SELECT json_agg(json_build_array(f.opened_on, f.closed_on, f.close_reason IS NOT DISTINCT FROM 'mistake'))::text
   FROM flares f WHERE f.clinic_id = $1 AND f.patient_id = p.patient_id AND f.episode_id = p.episode_id) AS flares,
  ARRAY(SELECT DISTINCT s.exercise_code FROM suggestions s
   WHERE s.clinic_id = $1 AND s.program_id = p.id AND s.outcome = 'stop' AND s.status IN ('open', 'accepted')) AS stopped
FROM programs p
JOIN patients t ON t.clinic_id = p.clinic_id AND t.id = p.patient_id
CROSS JOIN LATERAL (
  SELECT * FROM program_versions w WHERE w.clinic_id = $1 AND w.program_id = p.id
    AND (w.in_force @> local_day($3, t.zone) OR NOT $4::boolean)
  ORDER BY (w.in_force @> local_day($3, t.zone)) DESC NULLS LAST, w.number DESC LIMIT 1
) v
WHERE p.clinic_id = $1 AND p.id = ANY ($2::uuid[]) AND (p.status = 'active' OR NOT $4::boolean)
ORDER BY p.id
"""

_ITEMS = """
SELECT v.program_id, v.number, lower(v.in_force) AS began_on, isempty(v.in_force) AS never, h.position AS phase, i.id,
  i.exercise_id, i.exercise_code AS code, i.exercise ->> 'name' AS name, i.side, i.sets, i.reps, i.hold_seconds,
  i.duration_seconds, i.load_kg, i.load_label, cardinality(i.weekdays) * i.sessions_per_day AS per_week
FROM program_versions v
JOIN program_items i ON i.clinic_id = v.clinic_id AND i.version_id = v.id
JOIN program_phases h ON h.clinic_id = i.clinic_id AND h.id = i.phase_id
WHERE v.clinic_id = $1 AND v.program_id = ANY ($2::uuid[])
ORDER BY v.program_id, v.number DESC, h.position, i.position
"""

_SHELF = """
SELECT id, code, name, type, default_dosage::text AS usual, contraindications::text AS contraindications, progression_of,
  scope <> 'own' AND retired_at IS NULL AS offered
FROM exercises WHERE clinic_id = $1 AND (scope <> 'own' OR id = ANY ($2::uuid[]))
ORDER BY code
"""

_COLUMNS = """
s.id AS session_id, s.performed_at, s.local_date, s.new_neurological_symptom, n.pain_during, n.dose_done,
    n.dose_prescribed, n.skip_reason, coalesce(n.effort, s.effort) AS effort,
    coalesce(n.pain_before, s.pain_before) AS pain_before
"""
_PERFORMED = """
FROM exercise_sessions s
  JOIN session_items n ON n.clinic_id = s.clinic_id AND n.session_id = s.id
  WHERE s.clinic_id = $1 AND s.patient_id = k.patient AND s.performed_at > $3 AND s.performed_at <= $9
    AND NOT EXISTS (SELECT FROM exercise_sessions c WHERE c.clinic_id = $1 AND c.supersedes_id = s.id)
"""
_STANDING = f"{_PERFORMED} AND n.item_id = ANY (k.lineage)"
_NEWEST = "ORDER BY s.performed_at DESC, s.id DESC"

# For each item the last sessions that did it, newest first: a short way down two indexes, however long the history is.
# Those of days that have `passed` tell nothing of the usual dose; the last of them is looked at for danger signs only,
# and so is each that came in since the last look, wherever it stands among them and at whatever dose (`kin`) it was done.
# Those since $11, of which the day after may still be told, come on top of as many as a decision needs.
# The day after: what was answered to the question about it, else pain at about that time.
_DONE = f"""
SELECT k.item, d.*,
  coalesce(
    (SELECT (a.answers ->> 'pain_24h_after_session')::int FROM check_in_answers a
     WHERE a.clinic_id = $1 AND a.patient_id = k.patient AND a.answered_at >= d.performed_at + $5::interval
       AND a.answered_at < d.performed_at + $6::interval AND a.answers ->> 'pain_24h_after_session' IS NOT NULL
     ORDER BY a.answered_at LIMIT 1),
    (SELECT a.pain_now FROM check_in_answers a
     WHERE a.clinic_id = $1 AND a.patient_id = k.patient AND a.answered_at >= d.performed_at + $7::interval
       AND a.answered_at < d.performed_at + $8::interval AND a.pain_now IS NOT NULL
     ORDER BY a.answered_at LIMIT 1)) AS pain_next_day
FROM jsonb_to_recordset($2::text::jsonb) AS k (item uuid, patient uuid, lineage uuid[], kin uuid[], passed datemultirange)
CROSS JOIN LATERAL (
  (SELECT {_COLUMNS}, true AS counts, false AS besides {_STANDING} AND NOT s.local_date <@ k.passed {_NEWEST}
   LIMIT $4 + (SELECT count(*) FROM exercise_sessions r
               WHERE r.clinic_id = $1 AND r.patient_id = k.patient AND r.performed_at > $11))
  UNION ALL
  (SELECT {_COLUMNS}, false, false {_STANDING} AND s.local_date <@ k.passed AND NOT isempty(k.passed) {_NEWEST} LIMIT 1)
  UNION ALL
  (SELECT {_COLUMNS}, false, true {_PERFORMED} AND n.item_id = ANY (k.kin) AND s.id = ANY ($10::uuid[]))
) d
ORDER BY k.item, d.performed_at, d.session_id, d.besides
"""  # noqa: S608 - built of constants


ALL_OF_IT = timedelta(days=10 * 366)
"""How far back a simulation looks."""


@dataclass(frozen=True)
class Done:
    """One session of an item, when it was done, and the local day of that."""

    session_id: UUID
    on: date
    at: datetime
    performed: Performed
    new_neurological_symptom: bool

    @property
    def alarming(self) -> bool:
        """Whether it stops the exercise by itself."""
        return alarming(self.performed, new_neurological_symptom=self.new_neurological_symptom)


@dataclass(frozen=True)
class Item:
    """A prescribed exercise. lineage: the ids it has had at this dose, in this version and those before; kin: at any.

    since: the day from which this dose has held; None where it never has.
    """

    id: UUID
    phase: int
    name: str
    dose: Dose
    ladder: Ladder
    names: dict[str, str]
    lineage: tuple[UUID, ...]
    kin: tuple[UUID, ...]
    since: date | None


@dataclass(frozen=True)
class Prescription:
    """A program with the version that holds, written at `written_at`. planned: whether another one is to begin later.

    phase: the position of the one that is current, None before it begins. spells: the flare-ups of its episode.
    """

    program_id: UUID
    patient_id: UUID
    episode_id: UUID
    version_id: UUID
    author_id: UUID
    written_at: datetime
    planned: bool
    progression: Mapping[str, Any]
    today: date
    phase: int | None
    items: Sequence[Item]
    spells: Sequence[Spell]

    def still(self, item_id: UUID, stopped_at: datetime) -> UUID | None:
        """Give the item that an exercise is by now which was stopped; None where a human has changed its dose since."""
        blind = self.written_at < stopped_at  # who wrote the version knew nothing of it
        found = (one.id for one in self.items if item_id in (one.kin if blind else one.lineage))
        return next(found, None)


@dataclass(frozen=True)
class _Known:
    """An exercise of the clinic's shelf."""

    code: str
    name: str
    type: str
    usual: Dose
    contraindications: Sequence[Contraindication]
    progression_of: str | None
    offered: bool


@dataclass
class _Shelf:
    by_id: dict[UUID, _Known] = field(default_factory=dict)
    by_code: dict[str, _Known] = field(default_factory=dict)
    harder: dict[str, list[_Known]] = field(default_factory=dict)

    def ladder(self, exercise_id: UUID, conditions: Collection[str], without: Collection[str]) -> Ladder:
        """Give an exercise's place; what may harm this patient is not offered to him, nor what is named in `without`."""

        def offered(exercise: _Known | None) -> bool:
            return (
                exercise is not None
                and exercise.offered
                and exercise.code not in without
                and not conflicts(exercise.contraindications, conditions)
            )

        known = self.by_id[exercise_id]
        easier = self.by_code.get(known.progression_of or "")
        return Ladder(
            known.usual,
            known.type,
            harder=next((one.usual for one in self.harder.get(known.code, ()) if offered(one)), None),
            easier=easier.usual if easier is not None and offered(easier) else None,
        )


async def prescriptions(
    session: AsyncSession, clinic_id: UUID, program_ids: Collection[UUID], *, at: datetime, in_use: bool = True
) -> list[Prescription]:
    """Give programs that are active, or (not in_use) whatever their state, with what they prescribe."""
    programs = await fetch(session, _PROGRAMS, clinic_id, list(program_ids), at, in_use)
    if not programs:
        return []
    rows = await fetch(session, _ITEMS, clinic_id, [program["program_id"] for program in programs])
    by_program: dict[UUID, list[asyncpg.Record]] = {}
    for row in rows:
        by_program.setdefault(row["program_id"], []).append(row)
    shelf = await _shelf(session, clinic_id, {row["exercise_id"] for row in rows})
    return [_prescription(program, by_program.get(program["program_id"], []), shelf) for program in programs]


async def done(
    session: AsyncSession,
    clinic_id: UUID,
    items: Iterable[tuple[Prescription, Item]],
    *,
    at: datetime,
    most: int | None = None,
    fresh: Collection[UUID] = (),
) -> dict[UUID, list[Done]]:
    """Give the last sessions of each item (with its program), the oldest first.

    As many that count, and no older, than a decision needs, and the last one of all; `most`, however old and whether they
    count or not, for a simulation. Of the `fresh` ones, that nobody has looked at yet, those that stop an exercise are
    among them however many came after, and whatever dose it had then: a phone that was offline knows of no later version.
    """
    rules = load().progression
    asked = [
        {
            "item": str(item.id),
            "patient": str(program.patient_id),
            "lineage": _array(item.lineage),
            "kin": _array(item.kin if fresh else ()),
            "passed": _passed(program.spells) if most is None else "{}",
        }
        for program, item in items
    ]
    rows = await fetch(
        session,
        _DONE,
        clinic_id,
        orjson.dumps(asked).decode(),
        at - (timedelta(days=rules.look_back_days) if most is None else ALL_OF_IT),
        needed() if most is None else most,
        *(timedelta(hours=hours) for hours in (*rules.next_day.asked_hours, *rules.next_day.pain_now_hours)),
        at,
        list(fresh),
        at - answered_within(),
    )
    found: dict[UUID, list[Done]] = {}
    for row in rows:
        each = Done(
            row["session_id"], row["local_date"], row["performed_at"], _performed(row), row["new_neurological_symptom"]
        )
        held = found.setdefault(row["item"], [])
        if held and held[-1].session_id == each.session_id:  # one that is fresh, and among the last as well
            continue
        if each.alarming or not row["besides"]:
            held.append(each)
    return {item: sessions for item, sessions in found.items() if sessions}


def answered_within() -> timedelta:
    """How long after a session its day after may still be told."""
    return timedelta(hours=load().progression.next_day.asked_hours[1])


def _array(ids: Iterable[UUID]) -> str:
    return "{" + ",".join(map(str, ids)) + "}"


def _passed(spells: Sequence[Spell]) -> str:
    """Give the days of which a session tells nothing of the usual dose any more, as PostgreSQL writes them."""
    return "{" + ",".join(f"[{spell.began if spell.mistake else ''},{spell.ended or ''}]" for spell in spells) + "}"


def _performed(row: asyncpg.Record) -> Performed:
    before, after, prescribed = row["pain_before"], row["pain_next_day"], row["dose_prescribed"]
    return Performed(
        pain_during=row["pain_during"],
        rise_24h=None if before is None or after is None else after - before,
        completed_percent=row["dose_done"] * 100 // prescribed if prescribed else None,
        effort=row["effort"],
        reason=row["skip_reason"],
        counts=row["counts"],
    )


async def _shelf(session: AsyncSession, clinic_id: UUID, exercise_ids: Collection[UUID]) -> _Shelf:
    shelf = _Shelf()
    for row in await fetch(session, _SHELF, clinic_id, list(exercise_ids)):
        usual = starting_dosage(DefaultDosage.model_validate(orjson.loads(row["usual"])))
        dose = Dose(
            row["code"],
            usual.sets,
            usual.reps,
            usual.hold_seconds,
            usual.duration_seconds,
            per_week=len(usual.weekdays) * usual.sessions_per_day,
        )
        reasons = [Contraindication.model_validate(one) for one in orjson.loads(row["contraindications"])]
        known = _Known(row["code"], row["name"], row["type"], dose, reasons, row["progression_of"], row["offered"])
        shelf.by_id[row["id"]] = shelf.by_code[known.code] = known
        if known.progression_of is not None:
            shelf.harder.setdefault(known.progression_of, []).append(known)
    return shelf


def _prescription(program: asyncpg.Record, rows: Sequence[asyncpg.Record], shelf: _Shelf) -> Prescription:
    versions: dict[int, list[asyncpg.Record]] = {}
    for row in rows:
        if row["number"] <= program["number"]:
            versions.setdefault(row["number"], []).append(row)
    present = versions.pop(program["number"], [])
    earlier = [found for found in versions.values() if found[0]["never"] is not None]  # drafts were never in force
    weeks = sorted(tuple(pair) for pair in orjson.loads(program["phases"] or "[]"))
    begins: dict[int, date] = {}
    begin = program["starts_on"]
    for position, length in weeks:
        begins[position] = begin
        begin += timedelta(weeks=length or 0)
    without = {*(row["code"] for row in present), *program["stopped"]}  # what was stopped comes back by a human only
    names = {row["code"]: row["name"] for row in present}
    items = []
    for row in present:
        lineage, since = _run(row, earlier)
        ladder = shelf.ladder(row["exercise_id"], program["conditions"], without)
        for next_to in (ladder.harder, ladder.easier):
            if next_to is not None:
                names.setdefault(next_to.code, shelf.by_code[next_to.code].name)
        items.append(
            Item(
                id=row["id"],
                phase=row["phase"],
                name=row["name"],
                dose=_dose(row),
                ladder=ladder,
                names=names,
                lineage=lineage,
                kin=_kin(row, rows),
                since=None if since is None else max(since, begins[row["phase"]]),
            )
        )
    return Prescription(
        program_id=program["program_id"],
        patient_id=program["patient_id"],
        episode_id=program["episode_id"],
        version_id=program["version_id"],
        author_id=program["author_id"],
        written_at=program["created_at"],
        planned=program["planned"],
        progression=orjson.loads(program["progression"]),
        today=program["today"],
        phase=phase_on([PhaseSpan(*pair) for pair in weeks], program["starts_on"], program["today"]),
        items=items,
        spells=[
            Spell(date.fromisoformat(began), None if ended is None else date.fromisoformat(ended), mistake=mistake)
            for began, ended, mistake in orjson.loads(program["flares"] or "[]")
        ],
    )


def _run(row: asyncpg.Record, earlier: Sequence[Sequence[asyncpg.Record]]) -> tuple[tuple[UUID, ...], date | None]:
    """Go back through the versions as long as they prescribe the same: all ids on the way, and the first day of it."""
    lineage, since, wanted = [row["id"]], row["began_on"], _same(row)
    for version in earlier:
        twin = next((one for one in version if _same(one) == wanted), None)
        if twin is not None:
            lineage.append(twin["id"])
            since = since if twin["began_on"] is None else twin["began_on"]
        elif not version[0]["never"]:  # one that was replaced on its first day never held
            break
    return tuple(lineage), since


def _kin(row: asyncpg.Record, rows: Sequence[asyncpg.Record]) -> tuple[UUID, ...]:
    """Give the ids of this exercise at any dose and in any phase; what stands beside it is judged by itself."""
    beside = {one["id"] for one in rows if (one["number"], one["phase"]) == (row["number"], row["phase"])}
    return tuple(
        one["id"] for one in rows if one["code"] == row["code"] and (one["id"] == row["id"] or one["id"] not in beside)
    )


def _same(row: asyncpg.Record) -> tuple[Any, ...]:
    return (row["side"], row["load_label"], _dose(row))


def _dose(row: asyncpg.Record) -> Dose:
    load_kg: Decimal | None = row["load_kg"]
    return Dose(
        row["code"],
        row["sets"],
        row["reps"],
        row["hold_seconds"],
        row["duration_seconds"],
        load_kg,
        row["per_week"],
    )
