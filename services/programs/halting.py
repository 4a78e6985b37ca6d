"""Programs stop with what they rest on: their episode, a therapist who may treat, the patient's consent.

A pause made here never ends by itself, also when what was missing is back: a therapist looks and resumes.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import escalation
from clinical.recurrence import local_date
from core.database import fetch
from models.episodes import Episode
from models.patients import Patient
from models.programs import Program, ProgramStatus
from services import alerts, audit, licensing
from services.access import Actor
from services.programs.records import (
    close_versions,
    drop_suggestions,
    end_pause,
    forget_readiness,
    lock_patient,
    open_pause,
)

RUNNING = (ProgramStatus.ACTIVE, ProgramStatus.PAUSED, ProgramStatus.SUSPENDED_RED_FLAG)

CONSENT_WITHDRAWN = "telehealth_consent_withdrawn"
CONSENT_EXPIRED = "telehealth_consent_expired"

REASONS: Mapping[str, str] = {
    "care_link_missing": "Nobody is linked to the patient",
    CONSENT_WITHDRAWN: "Telehealth consent was withdrawn",
    CONSENT_EXPIRED: "Telehealth consent has run out",
}
"""What stands in the program for everybody to read; `halted_by` has the code."""

UNTREATED = "Nobody may treat the patient at present"
"""The same for every other code of `licensing`: whose license it is about is no matter of the patient's."""

# Rows that a person pauses at the same moment are left to him: only what is still active rests.
_REST = """
WITH resting AS (
  UPDATE programs g SET status = 'paused', status_reason = f.reason, halted_by = f.code, updated_at = $5,
         version = g.version + 1
  FROM unnest($2::uuid[], $3::text[], $4::text[]) AS f(patient_id, code, reason)
  WHERE g.clinic_id = $1 AND g.patient_id = f.patient_id AND g.status = 'active'
  RETURNING g.clinic_id, g.id, g.patient_id, g.episode_id, g.halted_by
), paused AS (
  INSERT INTO program_pauses (clinic_id, program_id, reason, during, began_at)
  SELECT r.clinic_id, r.id, 'program_paused', daterange(local_day($5, p.zone), NULL), $5
  FROM resting r JOIN patients p ON p.clinic_id = r.clinic_id AND p.id = r.patient_id
), traced AS (
  INSERT INTO audit_events (clinic_id, at, action, resource_type, resource_id, patient_id, account_id, role,
                            sign_in_id, request_id)
  SELECT clinic_id, $5, 'program.pause', 'program', id, patient_id, $6, $7, $8, $9 FROM resting
)
SELECT id, patient_id, episode_id, halted_by FROM resting ORDER BY patient_id, id
"""


async def halt(
    session: AsyncSession, clinic_id: UUID, episode_id: UUID, *, actor: Actor, ended: bool, reason: str, at: datetime
) -> int:
    """Pause what is active or, when the episode has ended, complete all that is in use; return how many.

    Safe to repeat. A program that a red flag has suspended stays so while the episode is only held, and when it ends no
    later session of it is taken.
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
            await end_program(session, program, ProgramStatus.COMPLETED, patient, at=at)
            await close_versions(session, program, today)
        else:
            program.status = ProgramStatus.PAUSED
            await open_pause(session, program, "program_paused", today, at=at)
    await session.flush()
    action = "program.complete" if ended else "program.pause"
    subjects = [(program.id, patient_id) for program in stopped]
    await audit.record_many(session, clinic_id, actor, action, "program", subjects, at=at)
    return len(stopped)


async def end_program(
    session: AsyncSession, program: Program, status: ProgramStatus, patient: Patient, *, at: datetime
) -> None:
    """End a program; of one that a red flag had suspended no session counts that was done after the red flag."""
    suspended = program.status is ProgramStatus.SUSPENDED_RED_FLAG
    await end_pause(session, program, local_date(at, patient.zone), at=None if suspended else at)
    program.status, program.ended_at, program.suspended_by_id, program.halted_by = status, at, None, None
    await drop_suggestions(session, program, at=at, ended=True)
    await forget_readiness(session, program)


async def rest(
    session: AsyncSession, clinic_id: UUID, halts: Mapping[UUID, str], *, actor: Actor | None = None, at: datetime
) -> int:
    """Pause what these patients have active, because what it rests on is gone; return how many programs.

    halts: by patient, the code of what is missing. Alerts where nobody may treat the patient; a missing consent stands
    on the worklist by itself. Safe to repeat.
    """
    await session.flush()
    await _lock(session, clinic_id, halts)
    rows = await fetch(
        session,
        _REST,
        clinic_id,
        list(halts),
        list(halts.values()),
        [REASONS.get(code, UNTREATED) for code in halts.values()],
        at,
        *audit.stamp(actor),
    )
    await alerts.raise_many(
        session,
        [
            alerts.Finding.of(
                raised,
                clinic_id=clinic_id,
                patient_id=row["patient_id"],
                episode_id=row["episode_id"],
                source=("program", row["id"]),
            )
            for row in rows
            if row["halted_by"] in licensing.MESSAGES
            for raised in escalation.untreated(row["halted_by"])
        ],
        at=at,
    )
    return len(rows)


async def review(
    session: AsyncSession,
    clinic_id: UUID,
    *,
    patient_id: UUID | None = None,
    therapist_id: UUID | None = None,
    actor: Actor | None = None,
    at: datetime,
    dry_run: bool = False,
) -> int:
    """Pause the active programs of patients whom nobody linked to them may treat at `at`; give how many patients.

    patient_id, therapist_id: look only at this patient, or at those who are linked to this therapist.
    """
    await session.flush()
    patients = None if patient_id is None else [patient_id]
    found = await licensing.untreated(session, clinic_id, patients=patients, therapist_id=therapist_id, at=at)
    if not found or dry_run:
        return len(found)
    await _lock(session, clinic_id, found)  # what was put right meanwhile is left alone
    found = await licensing.untreated(session, clinic_id, patients=list(found), at=at)
    await rest(session, clinic_id, found, actor=actor, at=at)
    return len(found)


async def _lock(session: AsyncSession, clinic_id: UUID, patients: Mapping[UUID, str]) -> None:
    """Lock the patients as every other change of a program does, in one order."""
    lock = "SELECT FROM patients WHERE clinic_id = $1 AND id = ANY ($2) ORDER BY id FOR NO KEY UPDATE"
    await fetch(session, lock, clinic_id, list(patients))
