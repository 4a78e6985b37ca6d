"""Rows that every change of a program goes through: locked in one order, paused and closed in one way."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import delete, func, literal, select, update
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Conflict, NotFound, Stale
from models.patients import Patient
from models.programs import PhaseReadiness, Program, ProgramPause, ProgramVersion
from models.suggestions import Suggestion, SuggestionOutcome, SuggestionStatus
from services import access, audit
from services.access import Action, Actor


class ProgramNotInState(Conflict):
    """This is not possible in the program's present state."""


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


async def close_versions(session: AsyncSession, program: Program, on: date) -> None:
    """Let no version hold from `on`; one that would have begun then or later never does."""
    held = ProgramVersion.in_force
    await session.execute(
        update(ProgramVersion)
        .where(
            ProgramVersion.clinic_id == program.clinic_id,
            ProgramVersion.program_id == program.id,
            held.op("&&")(func.daterange(literal(on), None)),
        )
        .values(in_force=func.daterange(func.lower(held), func.greatest(func.lower(held), literal(on))))
        .execution_options(synchronize_session=False)
    )


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


async def forget_readiness(session: AsyncSession, program: Program) -> None:
    """Let nobody be told any more that a phase may end: it has, or another one is prescribed."""
    await session.execute(
        delete(PhaseReadiness)
        .where(PhaseReadiness.clinic_id == program.clinic_id, PhaseReadiness.program_id == program.id)
        .execution_options(synchronize_session=False)
    )


async def open_pause(session: AsyncSession, program: Program, reason: str, on: date, *, at: datetime) -> None:
    """Leave out the days from `on`, until the pause ends."""
    session.add(
        ProgramPause(
            clinic_id=program.clinic_id, program_id=program.id, reason=reason, during=Range(on, None), began_at=at
        )
    )
    await session.flush()


async def end_pause(session: AsyncSession, program: Program, on: date, *, at: datetime | None) -> None:
    """Plan again from `on`; nothing happens when no pause is open.

    at: the moment from which sessions count again; None when they never do, because the program ends suspended.
    """
    pause = await session.scalar(
        select(ProgramPause).where(
            ProgramPause.clinic_id == program.clinic_id,
            ProgramPause.program_id == program.id,
            ProgramPause.ended_at.is_(None),
        )
    )
    if pause is not None:
        began_on = pause.during.lower or on
        pause.during, pause.ended_at = Range(began_on, max(began_on, on)), at
        await session.flush()
