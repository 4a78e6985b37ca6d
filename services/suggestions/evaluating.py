"""Looking at programs: after each session that was logged, and once a night at all that are in use.

What stays as it is, is not suggested; nothing but a stop is while a flare-up is open, and what waits is taken back then:
the dose is lighter already. An exercise that is stopped stays so until a human has decided. While it is not
known yet how the last session was a day later, nothing that waits is taken back, but for more after a session that speaks
against it already; and who trains daily is judged by the sessions of which it is known. What a therapist has rejected is not
suggested again for the same session, nor (but for less, and to stop) within the days that lie between two steps.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from sqlalchemy import Table, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from clinical.program_life import RESTING, ProgramStatus
from clinical.progression import Outcome, hopeful
from clinical.suggesting import Advised, Bounds, advise, held_since, needed, told
from core.crypto import new_id
from models.programs import Program
from models.suggestions import EvaluationOwed, Suggestion, SuggestionOutcome, SuggestionStatus
from services import audit
from services.programs.records import hold_still
from services.suggestions.prescribed import Done, Item, Prescription, answered_within, done, prescriptions

AT_ONCE = 250
"""Programs that are looked at in one transaction."""

PUT_OFF = timedelta(days=1)
"""How long a session of a program that rests is left alone, unless another one comes in."""

SUGGESTED = frozenset(outcome.value for outcome in SuggestionOutcome)
WAITING = ("next_day_pain_unknown",)


@dataclass(frozen=True)
class Evaluated:
    """Which programs were looked at, how many suggestions are new, and which programs may go on by themselves.

    ready: by program, the items of which this look has found what is inside the bounds. last: the last of the programs,
    None when there are no more.
    """

    looked: Collection[UUID]
    suggestions: int
    ready: Mapping[UUID, Collection[UUID]]
    last: UUID | None

    @property
    def programs(self) -> int:
        """How many programs were looked at."""
        return len(self.looked)


async def clinics_owed(session: AsyncSession, *, at: datetime) -> list[UUID]:
    """Clinics in which a session waits to be looked at. Runs as the sweeper, too."""
    return list(await session.scalars(select(EvaluationOwed.clinic_id).where(EvaluationOwed.owed_at <= at).distinct()))


async def follow_up(session: AsyncSession, clinic_id: UUID, *, at: datetime, dry_run: bool = False) -> Evaluated:
    """Look at the programs of which sessions were logged, those that wait longest first; a dry run at the first of them.

    Of a program that rests nothing is judged: its sessions are put off, and looked at when it goes on.
    """
    mine = EvaluationOwed.clinic_id == clinic_id
    longest = func.min(EvaluationOwed.owed_at)
    due = (mine, EvaluationOwed.owed_at <= at)
    query = select(EvaluationOwed.program_id).where(*due).group_by(EvaluationOwed.program_id).order_by(longest)
    programs = list(await session.scalars(query.limit(AT_ONCE)))
    theirs = (mine, EvaluationOwed.program_id.in_(programs))
    if dry_run:
        fresh = frozenset(await session.scalars(select(EvaluationOwed.session_id).where(*theirs)))
        made = await evaluate(session, clinic_id, programs, at=at, dry_run=True, fresh=fresh)
    else:
        await hold_still(session, clinic_id, programs)  # whoever stops one of them just now is waited for
        gone = delete(EvaluationOwed).where(*theirs).returning(EvaluationOwed.session_id, EvaluationOwed.program_id)
        taken = {
            row.session_id: row.program_id
            for row in await session.execute(gone.execution_options(synchronize_session=False))
        }
        made = await evaluate(session, clinic_id, programs, at=at, fresh=taken.keys())
        left = {one: program_id for one, program_id in taken.items() if program_id not in made.looked}
        await _put_off(session, clinic_id, left, at)
    return made if len(programs) == AT_ONCE and not dry_run else replace(made, last=None)


async def _put_off(session: AsyncSession, clinic_id: UUID, left: Mapping[UUID, UUID], at: datetime) -> None:
    """Keep, of the sessions that were not looked at, by their programs, those of programs that rest, or go on just now."""
    if not left:
        return
    query = select(Program.id, Program.status).where(Program.clinic_id == clinic_id, Program.id.in_(set(left.values())))
    status = {row.id: row.status for row in await session.execute(query)}
    later = [
        {
            "clinic_id": clinic_id,
            "session_id": one,
            "program_id": program_id,
            "owed_at": at + PUT_OFF if status[program_id] in RESTING else at,
        }
        for one, program_id in left.items()
        if status[program_id] in {*RESTING, ProgramStatus.ACTIVE}
    ]
    if later:
        await session.execute(insert(cast("Table", EvaluationOwed.__table__)), later)


async def running(session: AsyncSession, clinic_id: UUID, after: UUID | None) -> list[UUID]:
    """Give the next active programs of a clinic, in the order of their ids, behind the one named."""
    query = select(Program.id).where(Program.clinic_id == clinic_id, Program.status == ProgramStatus.ACTIVE)
    if after is not None:
        query = query.where(Program.id > after)
    return list(await session.scalars(query.order_by(Program.id).limit(AT_ONCE)))


async def evaluate(
    session: AsyncSession,
    clinic_id: UUID,
    program_ids: Collection[UUID],
    *,
    at: datetime,
    dry_run: bool = False,
    fresh: Collection[UUID] = (),
) -> Evaluated:
    """Look at these programs, those that are not active left out: as many statements for one as for hundreds.

    fresh: sessions that came in since the last look. One of them that stops an exercise does so even when a better one was
    done after it: a phone that was offline tells of both at once.

    Whoever is changing one of them goes first, and whoever comes after that waits: so nobody meets anybody head-on over a
    suggestion, and none is made for a version that is on its way out. Sessions are logged all the while.
    """
    if not dry_run:
        await hold_still(session, clinic_id, program_ids)
    found = await prescriptions(session, clinic_id, program_ids, at=at)
    current = [(each, item) for each in found for item in each.items if item.phase == each.phase]
    sessions = await done(session, clinic_id, current, at=at, fresh=fresh)
    stand = await _standing(session, clinic_id, program_ids)
    work = _Work(clinic_id, at)
    for each in found:
        mine = stand.pop(each.program_id, [])
        work.move(each, [row for row in mine if row.status is SuggestionStatus.OPEN])
        for item in each.items:
            if item.phase == each.phase:
                work.judge(each, item, _to_the_alarm(sessions.get(item.id, []), fresh), mine)
    work.dropped += [  # the program rests, or is over
        row
        for rows in stand.values()
        for row in rows
        if row.status is SuggestionStatus.OPEN and row.outcome is not SuggestionOutcome.STOP
    ]
    made = len(work.made) if dry_run else await work.write(session)
    last = max(program_ids, default=None)
    return Evaluated(frozenset(each.program_id for each in found), made, work.ready, last)


async def _standing(
    session: AsyncSession, clinic_id: UUID, program_ids: Collection[UUID]
) -> dict[UUID, list[Suggestion]]:
    """Give, by program, what is open and what was decided without a new version."""
    undone = (SuggestionStatus.REJECTED, SuggestionStatus.ACCEPTED)
    rows = await session.scalars(
        select(Suggestion).where(
            Suggestion.clinic_id == clinic_id,
            Suggestion.program_id.in_(program_ids),
            (Suggestion.status == SuggestionStatus.OPEN)
            | (Suggestion.status.in_(undone) & Suggestion.written_version_id.is_(None)),
        )
    )
    found: dict[UUID, list[Suggestion]] = {}
    for row in rows:
        found.setdefault(row.program_id, []).append(row)
    return found


class _Work:
    """What an evaluation will write: suggestions that are new, those that wait no longer, stops that go on."""

    def __init__(self, clinic_id: UUID, at: datetime) -> None:
        self.made: list[dict[str, Any]] = []
        self.dropped: list[Suggestion] = []
        self.moved: list[tuple[Suggestion, UUID, UUID]] = []
        self.ready: dict[UUID, set[UUID]] = {}
        self._clinic_id, self._at = clinic_id, at

    def move(self, program: Prescription, standing: Sequence[Suggestion]) -> None:
        """Let what was suggested for another version, or a phase that is over, wait no longer.

        A stop goes on with its exercise as long as nobody has changed its dose: then a human has looked.
        """
        current = {item.id for item in program.items if item.phase == program.phase}
        for row in standing:
            if row.item_id in current:
                continue
            if row.outcome is not SuggestionOutcome.STOP:
                self.dropped.append(row)
            elif row.version_id != program.version_id:
                same = program.still(row.item_id, row.created_at)
                if same is None:
                    self.dropped.append(row)
                else:
                    self.moved.append((row, program.version_id, same))

    def judge(self, program: Prescription, item: Item, sessions: Sequence[Done], mine: Sequence[Suggestion]) -> None:
        """Say what the rules make of the last sessions of an item.

        More or less of a version that gives way to another on a day to come is not suggested: nobody could accept it.
        """
        since = item.since and held_since(item.since, program.spells, program.today)
        days = 0 if since is None else (program.today - since).days
        judged, advised = self._advised(program, item, sessions, days)
        outcome = advised.decision.outcome.value
        waiting = _waits(advised)
        suggested = (
            outcome in SUGGESTED and not waiting and (advised.decision.outcome is Outcome.STOP or not program.planned)
        )
        last = judged[-1].session_id if judged else None
        stands = next(
            (row for row in mine if row.status is SuggestionStatus.OPEN and row.item_id in item.lineage), None
        )
        within = bounds_of(program.progression).allow(advised) if program.progression.get("mode") == "auto" else False
        if stands is not None:
            refuted = waiting and stands.outcome is SuggestionOutcome.PROGRESS and not hopeful(sessions[-1].performed)
            if stands.outcome is SuggestionOutcome.STOP or (waiting and not refuted):
                return
            same = suggested and (stands.outcome, stands.to_dose) == (outcome, _after(advised))
            if same and stands.item_id == item.id:
                if stands.within_bounds:
                    self.ready.setdefault(program.program_id, set()).add(item.id)
                return
            if stands not in self.dropped:
                self.dropped.append(stands)
        if not suggested or self._decided(outcome, item, last, mine):
            return
        if within:
            self.ready.setdefault(program.program_id, set()).add(item.id)
        self.made.append(
            {
                "clinic_id": self._clinic_id,
                "id": new_id(self._at),
                "patient_id": program.patient_id,
                "episode_id": program.episode_id,
                "program_id": program.program_id,
                "version_id": program.version_id,
                "item_id": item.id,
                "exercise_code": item.dose.code,
                "outcome": outcome,
                "change": advised.change,
                "from_dose": told(advised.before),
                "to_dose": _after(advised),
                "reasons": list(advised.decision.reasons),
                "rule_version": advised.decision.rule_version,
                "inputs": {
                    "days_since_change": days,
                    "sessions": [_input(each) for each in judged[-needed() - 1 :]],
                },
                "explanation": advised.explanation,
                "within_bounds": within,
                "session_id": last,
                "created_at": self._at,
                "updated_at": self._at,
            }
        )

    def _advised(
        self, program: Prescription, item: Item, sessions: Sequence[Done], days: int
    ) -> tuple[Sequence[Done], Advised]:
        """Give what the rules advise, and the sessions of which they do.

        Who trains every day has always one of which nobody can know yet how the day after is. If that is all that is
        waited for, those before it are judged: for more only while the newer ones speak for it, too.
        """

        def ask(asked: Sequence[Done]) -> Advised:
            return advise(
                item.dose,
                item.ladder,
                [each.performed for each in asked],
                days_since_change=days,
                names=item.names,
                new_neurological_symptom=bool(asked) and asked[-1].new_neurological_symptom,
                flaring=any(spell.ended is None for spell in program.spells),
            )

        advised = ask(sessions)
        if not _waits(advised):
            return sessions, advised
        known = len(sessions)
        while (
            known
            and sessions[known - 1].performed.rise_24h is None
            and sessions[known - 1].at > self._at - answered_within()
        ):
            known -= 1
        before, newer = sessions[:known], sessions[known:]
        if before and newer:
            earlier = ask(before)
            more = earlier.decision.outcome is Outcome.PROGRESS and all(hopeful(each.performed) for each in newer)
            if more or earlier.decision.outcome is Outcome.REGRESS:
                return before, earlier
        return sessions, advised

    def _decided(self, outcome: str, item: Item, last: UUID | None, mine: Sequence[Suggestion]) -> bool:
        """Whether a therapist has decided about this already."""
        quiet = self._at - timedelta(days=load().progression.thresholds.min_days_between_progressions)
        for row in mine:
            if row.status is SuggestionStatus.OPEN or row.item_id not in item.lineage or row.outcome != outcome:
                continue
            can_wait = row.outcome in {SuggestionOutcome.PROGRESS, SuggestionOutcome.HOLD}
            if row.session_id == last or (can_wait and row.decided_at is not None and row.decided_at > quiet):
                return True
        return False

    async def write(self, session: AsyncSession) -> int:
        """Write it; give how many suggestions are new. Whoever else has decided meanwhile goes first."""
        await self._drop(session)
        for row, version_id, item_id in self.moved:
            await session.execute(
                update(Suggestion)
                .where(Suggestion.clinic_id == self._clinic_id, Suggestion.id == row.id)
                .where(Suggestion.status == SuggestionStatus.OPEN)
                .values(version_id=version_id, item_id=item_id, version=Suggestion.version + 1)
                .execution_options(synchronize_session=False)
            )
        if not self.made:
            return 0
        table = cast("Table", Suggestion.__table__)
        statement = insert(table).on_conflict_do_nothing().returning(table.c.id, table.c.patient_id)
        rows = [(row[0], row[1]) for row in await session.execute(statement, self.made)]
        await audit.record_many(session, self._clinic_id, None, "suggestion.create", "suggestion", rows, at=self._at)
        return len(rows)

    async def _drop(self, session: AsyncSession) -> None:
        if not self.dropped:
            return
        found = await session.execute(
            update(Suggestion)
            .where(
                Suggestion.clinic_id == self._clinic_id,
                Suggestion.id.in_([row.id for row in self.dropped]),
                Suggestion.status == SuggestionStatus.OPEN,
            )
            .values(status=SuggestionStatus.SUPERSEDED, decided_at=self._at, version=Suggestion.version + 1)
            .returning(Suggestion.id, Suggestion.patient_id)
            .execution_options(synchronize_session=False)
        )
        subjects = [(row[0], row[1]) for row in found]
        await audit.record_many(
            session, self._clinic_id, None, "suggestion.supersede", "suggestion", subjects, at=self._at
        )


def _waits(advised: Advised) -> bool:
    return advised.decision.outcome is Outcome.HOLD and advised.decision.reasons == WAITING


def _to_the_alarm(sessions: Sequence[Done], fresh: Collection[UUID]) -> Sequence[Done]:
    """Leave out what was done after the last fresh session that stops the exercise: it is no answer to that."""
    places = [place for place, each in enumerate(sessions, 1) if each.alarming and each.session_id in fresh]
    return sessions[: places[-1]] if places else sessions


def bounds_of(progression: Any) -> Bounds:
    """Read the bounds that a version carries; without any nothing is inside of them."""
    given = progression.get("bounds")
    if given is None:
        return Bounds()
    kilograms = given["max_load_kg"]
    return Bounds(
        **{
            **given,
            "outcomes": frozenset(Outcome(outcome) for outcome in given["outcomes"]),
            "max_load_kg": None if kilograms is None else Decimal(str(kilograms)),
        }
    )


def _after(advised: Advised) -> dict[str, Any] | None:
    return None if advised.after is None else told(advised.after)


def _input(done: Done) -> dict[str, Any]:
    one = done.performed
    return {
        "session_id": str(done.session_id),
        "on": done.on.isoformat(),
        "pain_during": one.pain_during,
        "rise_24h": one.rise_24h,
        "completed_percent": one.completed_percent,
        "effort": one.effort,
        "reason": one.reason,
        "counts": one.counts,
        "new_neurological_symptom": done.new_neurological_symptom,
    }
