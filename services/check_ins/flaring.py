"""Asking every day as long as a flare-up lasts.

The episode's own plan of daily questions does it, with its zone, time of day, windows, reminders and days off: only the days
between are filled in, so no day is asked about twice. Where there is none, a plan of its own does, and ends with it.
"""

from datetime import datetime, time, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import recurrence
from models.check_ins import CheckInPlan, PlanFrequency, PlanStatus
from models.flares import Flare
from services import audit, clinics
from services.access import Actor
from services.check_ins.plans import EVERY_DAY, asked_on, reschedule, rest, schedule, settle

DAILY = "daily"
"""The questions that are asked in a flare-up."""

USUAL_TIME = time(9)
"""When they are asked where no plan of the episode says when."""

OVER = "flare_over"
"""Reason of a plan that ended with its flare-up."""


async def ask_daily(session: AsyncSession, flare: Flare, zone: str, *, actor: Actor | None, at: datetime) -> None:
    """Ask every day from the next local day on; a plan that does so already stays as it is."""
    going = await session.scalars(
        select(CheckInPlan)
        .where(
            CheckInPlan.clinic_id == flare.clinic_id,
            CheckInPlan.episode_id == flare.episode_id,
            CheckInPlan.status == PlanStatus.ACTIVE,
            CheckInPlan.frequency != PlanFrequency.AFTER_SESSION,
        )
        .order_by(CheckInPlan.id)
        .with_for_update()
    )
    plans = going.all()
    daily = [plan for plan in plans if plan.question_set == DAILY]
    if any(plan.frequency is PlanFrequency.DAILY for plan in daily):
        return
    if daily:
        await _fill_in(session, daily[0], flare.id, at)
        await _record(session, actor, "update", daily[0], at)
        return
    own = await clinics.settings_of(session, flare.clinic_id)
    plan = CheckInPlan(
        clinic_id=flare.clinic_id,
        patient_id=flare.patient_id,
        episode_id=flare.episode_id,
        question_set=DAILY,
        frequency=PlanFrequency.DAILY,
        weekdays=list(EVERY_DAY),
        steps=list(recurrence.steps(EVERY_DAY)),
        local_time=plans[0].local_time if plans else USUAL_TIME,
        zone=zone,
        opens_minutes=own.check_in_opens_minutes,
        late_minutes=own.check_in_late_minutes,
        starts_on=recurrence.local_date(at, zone) + timedelta(days=1),
        status=PlanStatus.ACTIVE,
        flare_id=flare.id,
        flare_only=True,
    )
    schedule(plan, plan.starts_on, at)
    session.add(plan)
    await session.flush()
    await _record(session, actor, "create", plan, at)


async def ask_as_planned(session: AsyncSession, flare: Flare, *, actor: Actor | None, at: datetime) -> None:
    """Ask again on the days of the plan, from the next local day on; a plan of the flare-up's own ends."""
    asking = await session.scalars(
        select(CheckInPlan)
        .where(
            CheckInPlan.clinic_id == flare.clinic_id,
            CheckInPlan.episode_id == flare.episode_id,
            CheckInPlan.flare_id == flare.id,
            CheckInPlan.status != PlanStatus.ENDED,
        )
        .order_by(CheckInPlan.id)
        .with_for_update()
    )
    for plan in asking.all():
        if plan.flare_only:
            await rest(session, plan, PlanStatus.ENDED, OVER, at)
            await session.flush()
            await _record(session, actor, "end", plan, at)
        else:
            await _fill_in(session, plan, None, at)
            await _record(session, actor, "update", plan, at)


async def _fill_in(session: AsyncSession, plan: CheckInPlan, flare_id: UUID | None, at: datetime) -> None:
    today = recurrence.local_date(at, plan.zone)
    await settle(session, plan, today, at)
    plan.flare_id = flare_id
    plan.steps = list(recurrence.steps(asked_on(plan)))
    await reschedule(session, plan, today, at)
    await session.flush()


async def _record(session: AsyncSession, actor: Actor | None, verb: str, plan: CheckInPlan, at: datetime) -> None:
    subjects = [(plan.id, plan.patient_id)]
    await audit.record_many(session, plan.clinic_id, actor, f"check_in_plan.{verb}", "check_in_plan", subjects, at=at)
