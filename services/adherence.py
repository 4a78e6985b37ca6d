"""Too few sessions over the last two weeks: rule ES10, looked for once a day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import escalation, recurrence
from clinical.adherence import Adherence, PlannedSession, adherence
from clinical.program_life import ProgramStatus
from core.database import fetch
from models.patients import Patient
from models.programs import Program
from services import alerts, clinics, programs

AT_ONCE = 200
"""Patients who are looked at together: a handful of statements for all of them."""

_DONE = """
SELECT s.patient_id, s.program_id, s.local_date, s.slot, max(s.items_done)::int AS done
FROM unnest($2::uuid[], $3::date[], $4::date[]) AS asked(patient_id, first, last)
JOIN exercise_sessions s ON s.clinic_id = $1 AND s.patient_id = asked.patient_id
  AND s.local_date BETWEEN asked.first AND asked.last
WHERE NOT EXISTS (SELECT FROM exercise_sessions n WHERE n.clinic_id = $1 AND n.supersedes_id = s.id)
GROUP BY s.patient_id, s.program_id, s.local_date, s.slot
"""


@dataclass(frozen=True)
class _Running:
    """A patient's program in use."""

    patient_id: UUID
    zone: str
    program_id: UUID
    episode_id: UUID


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
        .order_by(Patient.id, Program.id)
    )
    own = await clinics.settings_of(session, clinic_id)
    running = [_Running(*row) for row in (await session.execute(query)).all()]
    findings = [
        alerts.Finding.of(
            raised,
            clinic_id=clinic_id,
            patient_id=program.patient_id,
            episode_id=program.episode_id,
            source=("program", program.program_id),
        )
        for start in range(0, len(running), AT_ONCE)
        for program, measured in await _measure(session, clinic_id, running[start : start + AT_ONCE], at)
        for raised in escalation.low_adherence(measured, own.low_adherence_percent)
    ]
    if not dry_run:
        await alerts.raise_many(session, findings, at=at)
    return len(findings)


async def _measure(
    session: AsyncSession, clinic_id: UUID, running: Sequence[_Running], at: datetime
) -> list[tuple[_Running, Adherence]]:
    """Measure how well each program's episode was kept to over the last full days; in three statements, or four."""
    spans: dict[UUID, tuple[date, date]] = {}
    for program in running:
        last = recurrence.local_date(at, program.zone) - timedelta(days=1)
        spans[program.patient_id] = (last - timedelta(days=escalation.adherence_window_days() - 1), last)
    planned = await programs.planned_by_patient(session, clinic_id, spans)
    columns = (list(spans), [first for first, _ in spans.values()], [last for _, last in spans.values()])
    rows = await fetch(session, _DONE, clinic_id, *columns)
    done = {(row["patient_id"], row["program_id"], row["local_date"], row["slot"]): row["done"] for row in rows}
    return [
        (
            program,
            adherence(
                [
                    PlannedSession(
                        prescribed_items=len(each.items),
                        done_items=done.get((program.patient_id, each.program_id, each.on, each.slot), 0),
                        excused=each.excused is not None,
                        flare=each.flare is not None,
                    )
                    for each in planned[program.patient_id]
                    if each.episode_id == program.episode_id
                ]
            ),
        )
        for program in running
    ]
