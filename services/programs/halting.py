"""An episode that is held or over takes its programs with it, in the same transaction."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.recurrence import local_date
from models.care_team import CareLink
from models.episodes import Episode
from models.programs import Program, ProgramStatus
from services.programs.records import close_versions, end_pause, lock_patient, open_pause

RUNNING = (ProgramStatus.ACTIVE, ProgramStatus.PAUSED, ProgramStatus.SUSPENDED_RED_FLAG)


async def halt(
    session: AsyncSession, clinic_id: UUID, episode_id: UUID, *, ended: bool, reason: str, at: datetime
) -> int:
    """Pause what is active or, when the episode has ended, complete all that is in use; return how many.

    Safe to repeat. A program that a red flag has suspended stays so while the episode is only held.
    """
    patient_id = await session.scalar(
        select(Episode.patient_id).where(Episode.clinic_id == clinic_id, Episode.id == episode_id)
    )
    assert patient_id is not None
    patient = await lock_patient(session, clinic_id, patient_id)
    today = local_date(at, patient.zone)
    found = await session.scalars(
        select(Program)
        .where(
            Program.clinic_id == clinic_id,
            Program.episode_id == episode_id,
            Program.status.in_(RUNNING if ended else [ProgramStatus.ACTIVE]),
        )
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    stopped = list(found)
    for program in stopped:
        program.status_reason = reason
        if ended:
            await end_pause(session, program, today, at=at)
            program.status, program.ended_at, program.suspended_by_id = ProgramStatus.COMPLETED, at, None
            await close_versions(session, program, today)
        else:
            program.status = ProgramStatus.PAUSED
            await open_pause(session, program, "program_paused", today, at=at)
    await session.flush()
    return len(stopped)


async def rest(session: AsyncSession, clinic_id: UUID, patient_id: UUID, *, reason: str, at: datetime) -> int:
    """Pause what the patient has active, because what it rests on is gone; return how many. Safe to repeat."""
    patient = await lock_patient(session, clinic_id, patient_id)
    today = local_date(at, patient.zone)
    found = await session.scalars(
        select(Program)
        .where(Program.clinic_id == clinic_id, Program.patient_id == patient_id, Program.status == ProgramStatus.ACTIVE)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    resting = list(found)
    for program in resting:
        program.status, program.status_reason = ProgramStatus.PAUSED, reason
        await open_pause(session, program, "program_paused", today, at=at)
    await session.flush()
    return len(resting)


async def rest_unattended(session: AsyncSession, clinic_id: UUID, *, at: datetime, dry_run: bool = False) -> int:
    """Pause the active programs of patients to whom nobody is linked at `at` (a link may run out by itself)."""
    linked = exists().where(
        CareLink.clinic_id == clinic_id,
        CareLink.patient_id == Program.patient_id,
        CareLink.during.op("@>")(literal(at)),
    )
    query = select(Program.patient_id).where(
        Program.clinic_id == clinic_id, Program.status == ProgramStatus.ACTIVE, ~linked
    )
    alone = list(await session.scalars(query.distinct()))
    if not dry_run:
        for patient_id in alone:
            await rest(session, clinic_id, patient_id, reason="Nobody is linked to the patient", at=at)
    return len(alone)
