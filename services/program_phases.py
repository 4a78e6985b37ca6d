"""Where a program stands in its phases: criteria held against what is known since the phase in force began.

Computed anew each time it is read; what was found at night, or when a version was written, is kept only to put the
patient on the worklist. Nothing here moves a program on by itself.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, cast
from uuid import UUID

import orjson
from sqlalchemy import Table, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.adherence import PlannedSession
from clinical.phase_criteria import DAILY, Criterion, Judged, Measure, Observed, explained, judge, met
from clinical.prescription import PhaseSpan, phase_on
from clinical.program_life import ProgramStatus
from core.database import fetch
from models.outcomes import Outcome
from models.programs import PhaseReadiness, Program, ProgramPhase, ProgramVersion
from schemas.programs import CriterionState, PhaseState, ProgramPhases, ProgramRead, ProgramVersionCreate
from services import access, audit, daily_measures, outcomes, programs
from services.access import Action, Actor
from services.progress import measuring
from services.progress.measuring import Row

AT_ONCE = 200
"""Programs that are looked at in one transaction."""

DAY = timedelta(days=1)

# The version in force on the patient's day and those before it, the newest first: a phase may have begun in one of them.
_PROGRAMS = """
SELECT p.id AS program_id, p.patient_id, p.episode_id, p.status, local_day($3, t.zone) AS today, v.number,
  EXISTS (SELECT FROM flares f WHERE f.clinic_id = $1 AND f.patient_id = p.patient_id AND f.episode_id = p.episode_id
          AND f.closed_at IS NULL) AS flaring,
  EXISTS (SELECT FROM program_versions n WHERE n.clinic_id = $1 AND n.program_id = p.id
          AND lower(n.in_force) > local_day($3, t.zone)) AS planned,
  (SELECT json_agg(json_build_object('held_from', lower(w.in_force), 'starts_on', w.starts_on, 'phases', (
            SELECT json_agg(json_build_object('id', h.id, 'position', h.position, 'name', h.name, 'kind', h.kind,
                                              'weeks', h.weeks, 'entry', h.entry, 'exit', h.exit) ORDER BY h.position)
            FROM program_phases h WHERE h.clinic_id = $1 AND h.version_id = w.id)) ORDER BY w.number DESC)::text
   FROM program_versions w WHERE w.clinic_id = $1 AND w.program_id = p.id AND w.number <= v.number
     AND w.in_force IS NOT NULL AND NOT isempty(w.in_force)) AS versions
FROM programs p
JOIN patients t ON t.clinic_id = p.clinic_id AND t.id = p.patient_id
LEFT JOIN program_versions v ON v.clinic_id = p.clinic_id AND v.program_id = p.id AND v.in_force @> local_day($3, t.zone)
WHERE p.clinic_id = $1 AND p.id = ANY ($2::uuid[])
ORDER BY p.id
"""
_DONE = """
SELECT s.program_id, s.local_date, s.slot, max(s.items_prescribed)::int AS items_prescribed,
  max(s.items_done)::int AS items_done, max(s.dose_done)::int AS dose_done
FROM unnest($2::uuid[], $3::uuid[], $4::date[], $5::date[]) AS asked(patient_id, program_id, first, last)
JOIN exercise_sessions s ON s.clinic_id = $1 AND s.patient_id = asked.patient_id AND s.program_id = asked.program_id
  AND s.local_date BETWEEN asked.first AND asked.last
WHERE NOT EXISTS (SELECT FROM exercise_sessions n WHERE n.clinic_id = $1 AND n.supersedes_id = s.id)
GROUP BY s.program_id, s.local_date, s.slot
"""


@dataclass(frozen=True)
class Place:
    """The phase in force, the one that follows, and the day from which what is known counts."""

    current: Mapping[str, Any]
    next: Mapping[str, Any] | None
    began_on: date

    @property
    def next_on(self) -> date | None:
        """The day on which the calendar moves on by itself; None where a therapist does."""
        return None if self.current["weeks"] is None else self.current["ends_on"]

    @property
    def criteria(self) -> tuple[list[Mapping[str, Any]], list[Mapping[str, Any]]]:
        """What is asked for to leave the phase, and to enter the next one; as it is kept."""
        return self.current["exit"], [] if self.next is None else self.next["entry"]


@dataclass(frozen=True)
class Standing:
    """A program, where it stands, and what came of the criteria to leave the phase and to enter the next one."""

    program_id: UUID
    patient_id: UUID
    number: int | None
    held_by: Literal["not_in_use", "flare"] | None
    planned: bool
    """Whether a version is written that begins on a day to come: the therapist has moved on already."""
    place: Place | None
    exit: Sequence[Judged]
    entry: Sequence[Judged]

    @property
    def ready(self) -> bool:
        """Whether all is met that is asked for, nothing holds the program, and nobody has planned what comes."""
        return self.held_by is None and not self.planned and met([*self.exit, *self.entry])


async def get(session: AsyncSession, actor: Actor, program_id: UUID, *, at: datetime) -> ProgramPhases:
    """Tell where a program stands in its phases; a fixed number of statements. Raises NotFound."""
    program = await access.subject(session, actor, Action.READ_SUGGESTIONS, Program, program_id, at=at)
    subject = ("program", program_id)
    await audit.record(session, actor, "program.read", subject=subject, patient_id=program.patient_id, at=at)
    (found,) = await standings(session, actor.clinic_id, [program_id], at=at)
    place = found.place
    current = following = None
    if place is not None:
        leave, enter = place.criteria
        current = _phase(place.current, place.began_on, leave, found.exit)
        following = None if place.next is None else _phase(place.next, place.next_on, enter, found.entry, entry=True)
    return ProgramPhases(
        program_id=program_id,
        version_number=found.number,
        computed_at=at,
        current=current,
        next=following,
        ready_for_next=found.ready,
        held_by=found.held_by,
    )


def _phase(
    phase: Mapping[str, Any],
    begins_on: date | None,
    criteria: Sequence[Mapping[str, Any]],
    judged: Sequence[Judged],
    *,
    entry: bool = False,
) -> PhaseState:
    states = [
        CriterionState.model_validate(
            {
                **dict(programs.criterion(kept, entry=entry)),
                "state": one.state,
                "seen": None if one.value is None else float(one.value),
                "explanation": explained(Criterion.of(kept), one),
            }
        )
        for kept, one in zip(criteria, judged, strict=True)
    ]
    told = {name: phase[name] for name in ("id", "position", "name", "kind", "weeks")}
    return PhaseState.model_validate({**told, "begins_on": begins_on, "criteria": states})


async def create_version(
    session: AsyncSession, actor: Actor, program_id: UUID, form: ProgramVersionCreate, *, version: int, at: datetime
) -> ProgramRead:
    """Write the next version, as `programs.create_version`, and look again: a phase that it leaves alone stays ready."""
    written = await programs.create_version(session, actor, program_id, form, version=version, at=at)
    await _look(session, actor.clinic_id, [program_id], at=at)
    return written


# ------------------------------------------------------------------ at night
async def review(
    session: AsyncSession, clinic_id: UUID, *, at: datetime, after: UUID | None = None, dry_run: bool = False
) -> tuple[int, UUID | None]:
    """Look at the clinic's next programs behind `after` that ask for something: keep which of them are ready.

    Gives how many became so, and behind which to go on; None when these were the last. What is ready no longer is taken
    back. Safe to repeat.
    """
    asks = (
        select(ProgramPhase.id)
        .join(
            ProgramVersion,
            (ProgramVersion.clinic_id == ProgramPhase.clinic_id) & (ProgramVersion.id == ProgramPhase.version_id),
        )
        .where(
            ProgramVersion.clinic_id == Program.clinic_id,
            ProgramVersion.program_id == Program.id,
            or_(func.upper(ProgramVersion.in_force).is_(None), func.upper(ProgramVersion.in_force) > at.date()),
            or_(ProgramPhase.entry != [], ProgramPhase.exit != []),
        )
        .exists()
    )
    kept = (
        select(PhaseReadiness.program_id)
        .where(PhaseReadiness.clinic_id == Program.clinic_id, PhaseReadiness.program_id == Program.id)
        .exists()
    )
    query = select(Program.id).where(
        Program.clinic_id == clinic_id, or_(kept, (Program.status == ProgramStatus.ACTIVE) & asks)
    )
    if after is not None:
        query = query.where(Program.id > after)
    ids = list(await session.scalars(query.order_by(Program.id).limit(AT_ONCE)))
    if not dry_run:
        await programs.hold_still(session, clinic_id, ids)
    count = await _look(session, clinic_id, ids, at=at, dry_run=dry_run)
    return count, ids[-1] if len(ids) == AT_ONCE else None


async def _look(
    session: AsyncSession, clinic_id: UUID, ids: Collection[UUID], *, at: datetime, dry_run: bool = False
) -> int:
    """Keep which of these programs are ready, and which no longer; give how many became so. They are locked."""
    found = await standings(session, clinic_id, ids, at=at)
    ready = [one for one in found if one.ready]
    before = await _kept(session, clinic_id, ids)
    new = [one for one in ready if before.get(one.program_id) != _known(one)]
    if dry_run:
        return len(new)
    await _forget(session, clinic_id, before.keys() - {one.program_id for one in ready})
    return await _keep(session, clinic_id, new, at)


async def _kept(session: AsyncSession, clinic_id: UUID, ids: Collection[UUID]) -> dict[UUID, tuple[int, date]]:
    query = select(PhaseReadiness.program_id, PhaseReadiness.position, PhaseReadiness.began_on)
    rows = await session.execute(query.where(PhaseReadiness.clinic_id == clinic_id, PhaseReadiness.program_id.in_(ids)))
    return {row.program_id: (row.position, row.began_on) for row in rows}


def _known(standing: Standing) -> tuple[int, date]:
    assert standing.place is not None
    return standing.place.current["position"], standing.place.began_on


async def _keep(session: AsyncSession, clinic_id: UUID, ready: Sequence[Standing], at: datetime) -> int:
    """Keep that these are ready; give of how many nobody has been told."""
    if not ready:
        return 0
    rows = [
        {
            "clinic_id": clinic_id,
            "program_id": one.program_id,
            "patient_id": one.patient_id,
            **dict(zip(("position", "began_on"), _known(one), strict=True)),
            "since": at,
        }
        for one in ready
    ]
    statement = insert(cast("Table", PhaseReadiness.__table__))
    anew = {name: statement.excluded[name] for name in ("position", "began_on", "since")}
    other = or_(*(getattr(PhaseReadiness, name) != statement.excluded[name] for name in ("position", "began_on")))
    statement = statement.on_conflict_do_update(index_elements=["clinic_id", "program_id"], set_=anew, where=other)
    told = statement.returning(PhaseReadiness.program_id, PhaseReadiness.patient_id)
    subjects = [(row[0], row[1]) for row in await session.execute(told, rows)]  # a run beside this one was not faster
    await audit.record_many(session, clinic_id, None, "program.phase_ready", "program", subjects, at=at)
    return len(subjects)


async def _forget(session: AsyncSession, clinic_id: UUID, ids: Collection[UUID]) -> None:
    if ids:
        gone = delete(PhaseReadiness).where(PhaseReadiness.clinic_id == clinic_id, PhaseReadiness.program_id.in_(ids))
        await session.execute(gone.execution_options(synchronize_session=False))


# ------------------------------------------------------------------ what is known
async def standings(
    session: AsyncSession, clinic_id: UUID, program_ids: Collection[UUID], *, at: datetime
) -> list[Standing]:
    """Hold the criteria of these programs against what is known; as many statements for one as for hundreds."""
    rows = await fetch(session, _PROGRAMS, clinic_id, list(program_ids), at)
    places = {row["program_id"]: _place(row) for row in rows}
    asked = [row for row in rows if places[row["program_id"]] is not None]
    observed = await _observed(session, clinic_id, asked, {key: one for key, one in places.items() if one}, at)
    found = []
    for row in rows:
        key, place = row["program_id"], places[row["program_id"]]
        held = "not_in_use" if row["status"] != ProgramStatus.ACTIVE else "flare" if row["flaring"] else None
        leave, enter = ([], []) if place is None else place.criteria
        found.append(
            Standing(
                program_id=key,
                patient_id=row["patient_id"],
                number=row["number"],
                held_by=cast("Literal['not_in_use', 'flare'] | None", held),
                planned=row["planned"],
                place=place,
                exit=[judge(Criterion.of(one), observed[key]) for one in leave],
                entry=[judge(Criterion.of(one), observed[key]) for one in enter],
            )
        )
    return found


def _place(row: Row) -> Place | None:
    """Find the phase in force, and since when it has been: through versions that left it where it was."""
    versions = orjson.loads(row["versions"] or "[]")
    current = _phase_on(versions[0], row["today"]) if versions else None
    if current is None:
        return None
    began_on = current["began_on"]
    last = row["today"]
    for version in versions:
        first = max(began_on, date.fromisoformat(version["held_from"]))
        if first > last or any(_differs(_phase_on(version, day), current) for day in {first, last}):
            break
        since, last = first, first - timedelta(days=1)
    following = [one for one in versions[0]["phases"] if one["position"] > current["position"]]
    return Place(current, following[0] if following else None, since)


def _differs(phase: Mapping[str, Any] | None, current: Mapping[str, Any]) -> bool:
    return phase is None or any(phase[name] != current[name] for name in ("position", "name", "kind", "began_on"))


def _phase_on(version: Mapping[str, Any], day: date) -> dict[str, Any] | None:
    """Give the phase of a version on a day, with the days on which the calendar begins and ends it."""
    phases = version["phases"] or []
    begins = date.fromisoformat(version["starts_on"])
    position = phase_on([PhaseSpan(one["position"], one["weeks"]) for one in phases], begins, day)
    found = None
    for phase in phases:
        ends = begins + timedelta(weeks=phase["weeks"] or 0)
        if phase["position"] == position:
            found = {**phase, "began_on": begins, "ends_on": ends}
        begins = ends
    return found


async def _observed(
    session: AsyncSession,
    clinic_id: UUID,
    rows: Sequence[Row],
    places: Mapping[UUID, Place],
    at: datetime,
) -> dict[UUID, Observed]:
    """Read what the criteria of these programs look at, since their phases began."""
    wanted = {key: [Criterion.of(kept) for side in place.criteria for kept in side] for key, place in places.items()}
    begun = {row["program_id"]: places[row["program_id"]].began_on for row in rows}

    def looking(*measures: Measure) -> list[Row]:
        return [row for row in rows if any(one.measure in measures for one in wanted[row["program_id"]])]

    spans = {
        row["program_id"]: (row["patient_id"], row["episode_id"], begun[row["program_id"]], row["today"])
        for row in looking(*DAILY)
    }
    answers = await daily_measures.of_many(session, clinic_id, [measure.value for measure in DAILY], spans)
    sessions = await _sessions(session, clinic_id, looking(Measure.ADHERENCE_PERCENT, Measure.SESSIONS_DONE), begun)
    codes = {one.instrument for criteria in wanted.values() for one in criteria if one.instrument is not None}
    scores = await _scores(session, clinic_id, looking(Measure.INSTRUMENT), begun, codes, at)
    return {
        row["program_id"]: Observed(
            began_on=begun[row["program_id"]],
            today=row["today"],
            answers={code: daily_measures.by_day(given) for code, given in answers.get(row["program_id"], {}).items()},
            sessions=sessions[row["program_id"]][0] if row["program_id"] in sessions else (),
            done=sessions[row["program_id"]][1] if row["program_id"] in sessions else (),
            scores=scores.get(row["program_id"], {}),
        )
        for row in rows
    }


async def _sessions(
    session: AsyncSession, clinic_id: UUID, rows: Sequence[Row], begun: Mapping[UUID, date]
) -> dict[UUID, tuple[list[tuple[date, PlannedSession]], list[date]]]:
    """Give by program the planned sessions since its phase began, and what came of them; today's only if done.

    And the day of each that was completed: what nobody had planned is measured by itself.
    """
    if not rows:
        return {}
    spans: dict[UUID, tuple[date, date]] = {}
    for row in rows:
        first, last = spans.get(row["patient_id"], (date.max, date.min))
        spans[row["patient_id"]] = (min(first, begun[row["program_id"]]), max(last, row["today"]))
    planned = await programs.planned_by_patient(session, clinic_id, spans)
    keys = [row["program_id"] for row in rows]
    first_days, last_days = [begun[key] for key in keys], [row["today"] for row in rows]
    done: dict[UUID, list[Row]] = {}
    for one in await fetch(session, _DONE, clinic_id, [row["patient_id"] for row in rows], keys, first_days, last_days):
        done.setdefault(one["program_id"], []).append(one)
    found = {}
    for row in rows:
        key = row["program_id"]
        mine = [one for one in planned[row["patient_id"]] if one.program_id == key and one.on >= begun[key]]
        slots = measuring.slots(mine, done.get(key, ()), row["today"])
        due = {(one.on, one.slot) for one in mine}
        days = [slot.on for slot in slots if slot.session.completed]
        days += [
            one["local_date"]
            for one in done.get(key, ())
            if (one["local_date"], one["slot"]) not in due
            and PlannedSession(one["items_prescribed"], one["items_done"]).completed
        ]
        found[key] = [(slot.on, slot.session) for slot in slots], days
    return found


async def _scores(
    session: AsyncSession,
    clinic_id: UUID,
    rows: Sequence[Row],
    begun: Mapping[UUID, date],
    codes: Collection[str],
    at: datetime,
) -> dict[UUID, dict[str, list[Decimal]]]:
    """Give by program the scores of its episode since its phase began, the oldest first."""
    if not rows:
        return {}
    query = outcomes.standing(clinic_id).where(
        Outcome.episode_id.in_([row["episode_id"] for row in rows]),
        Outcome.instrument_code.in_(codes),
        Outcome.administered_on >= min(begun[row["program_id"]] for row in rows),
        Outcome.administered_at <= at,
        Outcome.score.is_not(None),
    )
    columns = (Outcome.episode_id, Outcome.instrument_code, Outcome.administered_on, Outcome.score)
    given = await session.execute(
        query.order_by(Outcome.administered_at, Outcome.id).with_only_columns(*columns, maintain_column_froms=True)
    )
    by_episode: dict[UUID, list[Any]] = {}
    for one in given:
        by_episode.setdefault(one.episode_id, []).append(one)
    found: dict[UUID, dict[str, list[Decimal]]] = {}
    for row in rows:
        mine = found.setdefault(row["program_id"], {})
        for one in by_episode.get(row["episode_id"], ()):
            if one.administered_on >= begun[row["program_id"]]:
                mine.setdefault(one.instrument_code, []).append(one.score)
    return found
