"""Rows that every change of a program goes through: locked in one order, and changed as `clinical.program_life` says."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.program_life import ENDED, NEVER, Life, Pause, ProgramAction, Span, Version
from clinical.recurrence import local_date
from core.errors import NotFound, Stale
from models.patients import Patient
from models.programs import PhaseReadiness, Program, ProgramItem, ProgramPause, ProgramVersion
from models.suggestions import Suggestion, SuggestionOutcome, SuggestionStatus
from services import access, audit
from services.access import Action, Actor


async def locked(
    session: AsyncSession, actor: Actor, program_id: UUID, version: int, *, at: datetime
) -> tuple[Program, Patient]:
    """Lock the patient, then the program: a red flag that comes in meanwhile waits, or is seen.

    Raises Forbidden, NotFound, Stale.
    """
    program = await access.subject(session, actor, Action.PRESCRIBE, Program, program_id, at=at)
    patient = await lock_patient(session, actor.clinic_id, program.patient_id)
    await session.refresh(program, with_for_update=True)
    if program.version != version:
        raise Stale(program.version)
    return program, patient


async def lock_patient(session: AsyncSession, clinic_id: UUID, patient_id: UUID) -> Patient:
    """Lock the patient's row against other changes of programs; rows that refer to it may still be written."""
    query = select(Patient).where(Patient.clinic_id == clinic_id, Patient.id == patient_id)
    patient = await session.scalar(query.with_for_update(key_share=True).execution_options(populate_existing=True))
    if patient is None:
        raise NotFound
    return patient


async def hold_still(session: AsyncSession, clinic_id: UUID, program_ids: Collection[UUID]) -> None:
    """Wait for whoever is changing one of these programs, and let whoever comes after that wait.

    One of several may be locked by somebody who waits for another of them, so all lock them in the order of their ids.
    """
    held = select(Program.id).where(Program.clinic_id == clinic_id, Program.id.in_(program_ids)).order_by(Program.id)
    await session.execute(held.with_for_update(read=True, key_share=True))


@dataclass(frozen=True)
class Living:
    """A program with its versions and its pauses, as they are stored."""

    program: Program
    versions: Sequence[ProgramVersion]
    pauses: Sequence[ProgramPause]

    @property
    def life(self) -> Life:
        """What `clinical.program_life` says of it."""
        return Life(
            self.program.status,
            tuple(
                Version(one.starts_on, None if one.in_force is None else _span(one.in_force)) for one in self.versions
            ),
            tuple(Pause(one.reason, _span(one.during), over=one.ended_at is not None) for one in self.pauses),
        )

    async def become(self, session: AsyncSession, life: Life, *, at: datetime) -> None:
        """Store what has changed in it; a version that is new is left to whoever wrote it."""
        for version, told in zip(self.versions, life.versions, strict=False):
            version.starts_on = told.starts_on
            version.in_force = None if told.held is None else _range(told.held)
        for pause, rested in zip(self.pauses, life.pauses, strict=False):
            pause.during = _range(rested.during)
            if rested.over and pause.ended_at is None:
                pause.ended_at = at
        self.program.status = life.status
        await session.flush()  # days are given up before others take them
        where = {"clinic_id": self.program.clinic_id, "program_id": self.program.id, "began_at": at}
        session.add_all(
            ProgramPause(**where, reason=rested.reason, during=_range(rested.during))
            for rested in life.pauses[len(self.pauses) :]
        )
        await session.flush()


async def life_of(session: AsyncSession, program: Program) -> Living:
    """Read the life of a program that is locked."""
    versions = await session.scalars(
        select(ProgramVersion)
        .where(ProgramVersion.clinic_id == program.clinic_id, ProgramVersion.program_id == program.id)
        .order_by(ProgramVersion.number)
        .execution_options(populate_existing=True)
    )
    pauses = await session.scalars(
        select(ProgramPause)
        .where(ProgramPause.clinic_id == program.clinic_id, ProgramPause.program_id == program.id)
        .order_by(ProgramPause.began_at, ProgramPause.id)
        .execution_options(populate_existing=True)
    )
    return Living(program, list(versions), list(pauses))


def _span(held: Range[date]) -> Span:
    return NEVER if held.isempty or held.lower is None else Span(held.lower, held.upper)


def _range(span: Span) -> Range[date]:
    return Range(empty=True) if span == NEVER else Range(span.begins, span.ends)


async def move(
    session: AsyncSession,
    program: Program,
    action: ProgramAction,
    patient: Patient,
    *,
    at: datetime,
    reason: str = "",
    pause: str = "program_paused",
    screen_id: UUID | None = None,
) -> None:
    """Let an action be done with a program, or happen to it; patient and program are locked.

    reason: in words, for whoever reads the program. pause: the code for the days of a pause that begins. screen_id: the
    screen that suspends it. Raises ProgramNotInState.
    """
    stored = await life_of(session, program)
    life = stored.life.after(action, local_date(at, patient.zone), reason=pause)
    program.status_reason, program.suspended_by_id, program.halted_by = reason, screen_id, None
    if action is ProgramAction.ACTIVATE:
        program.activated_at = at
    if life.status in ENDED:
        program.ended_at = at
    await stored.become(session, life, at=at)
    if life.status in ENDED:
        await drop_suggestions(session, program, at=at, ended=True)
        await forget_readiness(session, program)


async def make_place(
    session: AsyncSession,
    program: Program,
    action: ProgramAction,
    patient: Patient,
    *,
    effective_on: date | None = None,
    restart: bool = False,
    at: datetime,
) -> tuple[ProgramVersion, ProgramVersion]:
    """Let the versions of a program give way to the next one; patient and program are locked.

    Gives the one that it goes on from, and the next with its number and its days, not yet stored. Raises ProgramNotInState.
    """
    stored = await life_of(session, program)
    today = local_date(at, patient.zone)
    base = stored.life.base(effective_on or today)
    life = stored.life.written(action, today, effective_on=effective_on, restart=restart)
    await stored.become(session, life, at=at)
    before, told = stored.versions[base], life.versions[-1]
    in_force = None if told.held is None else _range(told.held)
    number = stored.versions[-1].number + 1
    return before, ProgramVersion(number=number, starts_on=told.starts_on, in_force=in_force)


_CARRIED = (
    "patient_id",
    "episode_id",
    "exercise_code",
    "outcome",
    "from_dose",
    "reasons",
    "rule_version",
    "inputs",
    "explanation",
    "session_id",
)
_DOSE = ("sets", "reps", "hold_seconds", "duration_seconds", "load_kg")


async def drop_suggestions(session: AsyncSession, program: Program, *, at: datetime, ended: bool = False) -> None:
    """Let what was suggested for the versions before wait no longer.

    An exercise that is stopped stays so until the rules have looked at the version that comes (see services/suggestions), or
    the program has ended.
    """
    waiting = [SuggestionOutcome.PROGRESS, SuggestionOutcome.REGRESS, SuggestionOutcome.HOLD]
    found = await session.execute(
        update(Suggestion)
        .where(
            Suggestion.clinic_id == program.clinic_id,
            Suggestion.program_id == program.id,
            Suggestion.status == SuggestionStatus.OPEN,
            Suggestion.outcome.in_(SuggestionOutcome if ended else waiting),
        )
        .values(status=SuggestionStatus.SUPERSEDED, decided_at=at, version=Suggestion.version + 1)
        .returning(Suggestion.id, Suggestion.patient_id)
        .execution_options(synchronize_session=False)
    )
    subjects = [(row[0], row[1]) for row in found]
    await audit.record_many(
        session, program.clinic_id, None, "suggestion.supersede", "suggestion", subjects, at=at
    )  # whoever changed the program is on record for that


async def carry_stops(
    session: AsyncSession, old: Program, new: Program, version: ProgramVersion, *, at: datetime
) -> None:
    """Let an exercise that is stopped in `old` be stopped in `new` as well, until a human has decided.

    Except where he prescribed another dose of it after it was stopped; then he has.
    """
    rows = await session.scalars(
        select(Suggestion).where(
            Suggestion.clinic_id == old.clinic_id,
            Suggestion.program_id == old.id,
            Suggestion.status == SuggestionStatus.OPEN,
            Suggestion.outcome == SuggestionOutcome.STOP,
        )
    )
    stops = {row.exercise_code: row for row in rows}
    if not stops:
        return
    items = select(ProgramItem).where(
        ProgramItem.clinic_id == version.clinic_id,
        ProgramItem.version_id == version.id,
        ProgramItem.exercise_code.in_(stops),
    )
    made = []
    for item in await session.scalars(items.order_by(ProgramItem.position)):
        row = stops.get(item.exercise_code)
        if row is None:  # it stands in two phases; the stop is for the exercise
            continue
        if version.created_at < row.created_at or all(row.from_dose[name] == _plain(item, name) for name in _DOSE):
            del stops[item.exercise_code]
            kept = {name: getattr(row, name) for name in _CARRIED}
            place = {"program_id": new.id, "version_id": version.id, "item_id": item.id}
            made.append(Suggestion(clinic_id=new.clinic_id, **place, **kept, created_at=at, updated_at=at))
    session.add_all(made)
    await session.flush()
    subjects = [(row.id, row.patient_id) for row in made]
    await audit.record_many(session, new.clinic_id, None, "suggestion.create", "suggestion", subjects, at=at)


def _plain(item: ProgramItem, name: str) -> int | float | None:
    value: int | Decimal | None = getattr(item, name)
    return float(value) if isinstance(value, Decimal) else value


async def forget_readiness(session: AsyncSession, program: Program) -> None:
    """Let nobody be told any more that a phase may end: the program has."""
    await session.execute(
        delete(PhaseReadiness)
        .where(PhaseReadiness.clinic_id == program.clinic_id, PhaseReadiness.program_id == program.id)
        .execution_options(synchronize_session=False)
    )
