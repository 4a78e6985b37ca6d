"""A red flag stops every program of the patient, in the transaction that found it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.recurrence import local_date
from models.programs import Program, ProgramStatus
from services import audit
from services.access import Actor
from services.programs.records import end_pause, lock_patient, open_pause


async def suspend(session: AsyncSession, actor: Actor, patient_id: UUID, screen_id: UUID, *, at: datetime) -> int:
    """Suspend what is active or paused; return how many programs that were. Safe to repeat."""
    clinic_id = actor.clinic_id
    patient = await lock_patient(session, clinic_id, patient_id)
    today = local_date(at, patient.zone)
    running = await session.scalars(
        select(Program)
        .where(
            Program.clinic_id == clinic_id,
            Program.patient_id == patient_id,
            Program.status.in_([ProgramStatus.ACTIVE, ProgramStatus.PAUSED]),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    programs = list(running)
    for program in programs:
        await end_pause(session, program, today, at=at)
        program.status, program.suspended_by_id = ProgramStatus.SUSPENDED_RED_FLAG, screen_id
        program.status_reason, program.halted_by = "", None
        await open_pause(session, program, "red_flag_suspended", today, at=at)
    subjects = [(program.id, patient_id) for program in programs]
    await audit.record_many(session, clinic_id, actor, "program.suspend", "program", subjects, at=at)
    return len(programs)
