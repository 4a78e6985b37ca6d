"""A red flag stops every program of the patient, in the transaction that found it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.program_life import STEPS, ProgramAction
from models.programs import Program
from services import audit
from services.access import Actor
from services.programs.records import lock_patient, move


async def suspend(session: AsyncSession, actor: Actor, patient_id: UUID, screen_id: UUID, *, at: datetime) -> int:
    """Suspend what is active or paused; return how many programs that were. Safe to repeat."""
    clinic_id = actor.clinic_id
    patient = await lock_patient(session, clinic_id, patient_id)
    running = await session.scalars(
        select(Program)
        .where(
            Program.clinic_id == clinic_id,
            Program.patient_id == patient_id,
            Program.status.in_(STEPS[ProgramAction.SUSPEND]),
        )
        .order_by(Program.id)  # as everybody locks several
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    programs = list(running)
    for program in programs:
        suspended = ProgramAction.SUSPEND
        await move(session, program, suspended, patient, at=at, pause="red_flag_suspended", screen_id=screen_id)
    subjects = [(program.id, patient_id) for program in programs]
    await audit.record_many(session, clinic_id, actor, "program.suspend", "program", subjects, at=at)
    return len(programs)
