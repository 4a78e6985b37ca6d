"""Reading check-ins, and making the ones that follow a session."""

from collections.abc import Collection
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import recurrence
from clinical.check_ins import question_set
from core.database import fetch
from models.check_ins import CheckIn, CheckInAnswer, CheckInPlan, CheckInStatus, PlanFrequency, PlanStatus
from schemas import pages
from schemas.check_ins import CheckInDetail, CheckInOut
from services import access, audit, instrument_plans
from services.access import Action, Actor


async def browse(
    session: AsyncSession,
    actor: Actor,
    page: pages.Page,
    *,
    patient_id: UUID | None = None,
    plan_id: UUID | None = None,
    status: Collection[CheckInStatus] | None = None,
    from_: date | None = None,
    to: date | None = None,
    at: datetime,
) -> pages.Paged[CheckIn]:
    """Check-ins within reach, the one due last on top. from_, to: local days, both included.

    Raises Forbidden; NotFound when `patient_id` is out of reach.
    """
    wanted: list[ColumnElement[bool]] = [CheckIn.clinic_id == actor.clinic_id]
    if patient_id is not None:
        await access.patient(session, actor, Action.READ_RECORD, patient_id, at=at)
        wanted.append(CheckIn.patient_id == patient_id)
    else:
        wanted.append(CheckIn.patient_id.in_(access.patients(actor, Action.READ_RECORD, at)))
    if plan_id is not None:
        wanted.append(CheckIn.plan_id == plan_id)
    if status:
        wanted.append(CheckIn.status.in_(status))
    if from_ is not None:
        wanted.append(CheckIn.local_date >= from_)
    if to is not None:
        wanted.append(CheckIn.local_date <= to)
    await audit.record(session, actor, "check_in.list", subject=("check_in", None), patient_id=patient_id, at=at)
    query = select(CheckIn).where(*wanted)
    return await pages.fetch(session, query, page, keys=(CheckIn.due_at, CheckIn.id), descending=True)


async def get(session: AsyncSession, actor: Actor, check_in_id: UUID, *, at: datetime) -> CheckInDetail:
    """Give a check-in with its questions, and its answers once they are there. Raises NotFound."""
    row = await access.subject(session, actor, Action.READ_RECORD, CheckIn, check_in_id, at=at)
    query = select(CheckInAnswer).where(
        CheckInAnswer.clinic_id == actor.clinic_id, CheckInAnswer.check_in_id == check_in_id
    )
    answer = await session.scalar(query)
    await audit.record(session, actor, "check_in.read", subject=("check_in", row.id), patient_id=row.patient_id, at=at)
    answers: dict[str, Any] | None = None
    if answer is not None:
        answers = {
            "question_set_version": answer.question_set_version,
            "answers": answer.answers,
            "late": answer.late,
            "answered_at": answer.answered_at,
            "device_at": answer.device_at,
            "device_zone": answer.device_zone,
            "raised": [one["rule_id"] for one in answer.raised],
        }
    questions = [
        {**question.model_dump(exclude={"opens"}), "options": [option.model_dump() for option in question.options]}
        for question in question_set(row.question_set).questions
    ]
    waits = answer is None and row.status is not CheckInStatus.EXCUSED and row.opens_at <= at < row.late_until
    due = await instrument_plans.due(session, actor.clinic_id, row.patient_id, at=at) if waits else []
    read = CheckInOut.model_validate(row).model_dump()
    return CheckInDetail.model_validate({**read, "questions": questions, "answers": answers, "instruments": due})


async def open_for(session: AsyncSession, clinic_id: UUID, patient_id: UUID, *, at: datetime) -> list[CheckIn]:
    """Check-ins that the patient can answer at `at`, in time or late; the one due first on top."""
    query = select(CheckIn).where(
        CheckIn.clinic_id == clinic_id, CheckIn.patient_id == patient_id, CheckIn.answerable(at)
    )
    return list(await session.scalars(query.order_by(CheckIn.due_at, CheckIn.id)))


async def after_session(
    session: AsyncSession, clinic_id: UUID, patient_id: UUID, session_id: UUID, *, ended_at: datetime, at: datetime
) -> int:
    """Make the check-ins that follow an exercise session which ended at `ended_at`; give how many.

    Once per plan and session, however often it is called; none that would be closed by now, when a session arrives late:
    nobody could have answered it. The plans' rows are locked first, so that two sessions of one day get slots one after
    the other.
    """
    locked = await session.scalars(
        select(CheckInPlan)
        .where(
            CheckInPlan.clinic_id == clinic_id,
            CheckInPlan.patient_id == patient_id,
            CheckInPlan.frequency == PlanFrequency.AFTER_SESSION,
            CheckInPlan.status == PlanStatus.ACTIVE,
        )
        .order_by(CheckInPlan.id)
        .with_for_update()
    )
    made = 0
    for plan in locked.all():
        due_at = ended_at + timedelta(hours=plan.after_hours)
        local_date = recurrence.local_date(due_at, plan.zone)
        begun = recurrence.local_date(ended_at, plan.zone)
        if begun < plan.starts_on or (plan.ends_on is not None and begun > plan.ends_on):
            continue
        opens_at = max(ended_at, due_at - timedelta(minutes=plan.opens_minutes))
        closes_at = due_at + timedelta(minutes=plan.closes_minutes)
        if closes_at <= at:
            continue
        rows = await fetch(
            session,
            """
            INSERT INTO check_ins (clinic_id, patient_id, episode_id, plan_id, local_date, slot, question_set, zone,
                                   status, opens_at, due_at, closes_at, late_until, session_id, remind_at)
            SELECT $1, $2, $3, $4, $5, 1 + coalesce(max(slot) FILTER (WHERE local_date = $5), 0), $6, $7, $8, $9, $10,
                   $11, $12, $13, $14
            FROM check_ins WHERE clinic_id = $1 AND plan_id = $4 AND local_date BETWEEN $5::date - 3 AND $5::date + 3
            HAVING count(*) FILTER (WHERE session_id = $13) = 0
            RETURNING id
            """,
            clinic_id,
            patient_id,
            plan.episode_id,
            plan.id,
            local_date,
            plan.question_set,
            plan.zone,
            CheckInStatus.OPEN.value if opens_at <= ended_at else CheckInStatus.DUE.value,
            opens_at,
            due_at,
            closes_at,
            closes_at + timedelta(minutes=plan.late_minutes),
            session_id,
            None if plan.remind_after_hours is None else due_at + timedelta(hours=plan.remind_after_hours),
        )
        made += len(rows)
    return made
