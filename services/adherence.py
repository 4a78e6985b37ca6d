"""Too few sessions over the last two weeks: rule ES10, looked for once a day."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import escalation, recurrence
from clinical.adherence import PlannedSession, adherence
from core.database import fetch
from models.alerts import AlertLevel
from models.patients import Patient
from models.programs import Program, ProgramStatus
from services import alerts, clinics, programs

_DONE = """
SELECT s.program_id, s.local_date, s.slot, max(s.items_done)::int AS done FROM exercise_sessions s
WHERE s.clinic_id = $1 AND s.patient_id = $2 AND s.local_date BETWEEN $3 AND $4
  AND NOT EXISTS (SELECT FROM exercise_sessions n WHERE n.clinic_id = $1 AND n.supersedes_id = s.id)
GROUP BY s.program_id, s.local_date, s.slot
"""


async def clinics_to_review(session: AsyncSession) -> list[UUID]:
    """Clinics with a program in use. Runs as the sweeper, too."""
    query = select(Program.clinic_id).where(Program.status == ProgramStatus.ACTIVE).distinct()
    return list(await session.scalars(query))


async def review(session: AsyncSession, clinic_id: UUID, *, at: datetime, dry_run: bool = False) -> int:
    """Alert where a patient did too few of the sessions planned in the last 14 full days; give how many.

    A patient whose alert is unresolved gets no second one and no further event: the days overlap.
    """
    query = (
        select(Patient.id, Patient.zone, Program.id, Program.episode_id)
        .join(Program, (Program.clinic_id == Patient.clinic_id) & (Program.patient_id == Patient.id))
        .where(Patient.clinic_id == clinic_id, Program.status == ProgramStatus.ACTIVE)
        .where(~alerts.stands(Patient.clinic_id, Patient.id, "ES10"))
    )
    own = await clinics.settings_of(session, clinic_id)
    findings: list[alerts.Finding] = []
    for patient_id, zone, program_id, episode_id in (await session.execute(query)).all():
        last = recurrence.local_date(at, zone) - timedelta(days=1)
        first = last - timedelta(days=escalation.adherence_window_days() - 1)
        planned = await programs.planned(session, clinic_id, patient_id, first, last, episode_id=episode_id)
        rows = await fetch(session, _DONE, clinic_id, patient_id, first, last)
        done = {(row["program_id"], row["local_date"], row["slot"]): row["done"] for row in rows}
        measured = adherence(
            [
                PlannedSession(
                    prescribed_items=len(each.items),
                    done_items=done.get((each.program_id, each.on, each.slot), 0),
                    excused=each.excused is not None,
                )
                for each in planned
            ]
        )
        findings += [
            alerts.Finding(
                clinic_id,
                patient_id,
                episode_id,
                raised.rule_id,
                raised.rule_version,
                AlertLevel(raised.level.value),
                raised.then,
                ("program", program_id),
                raised.inputs,
            )
            for raised in escalation.low_adherence(measured, own.low_adherence_percent)
        ]
    if not dry_run:
        await alerts.raise_many(session, findings, at=at)
    return len(findings)
