"""Check-in plans: when a patient is asked what.

A plan keeps a wall time, a zone and the local date that comes next. A change counts from the patient's next local day:
what is open stays as it is, what was only a forecast for a later day is taken back and made anew.
"""

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import recurrence
from core.errors import Conflict, Invalid, Problem, Stale
from models.check_ins import CheckIn, CheckInPlan, CheckInStatus, PlanFrequency, PlanStatus
from models.episodes import Episode, EpisodeStatus
from models.patients import Patient
from schemas.check_ins import PlanChange, PlanIn, store_holidays
from schemas.pages import Page, Paged, fetch
from services import access, audit, clinics, episode_gate
from services.access import Action, Actor
from services.check_ins.sweeps import materialize_plan

ON_HOLD = "episode_on_hold"
"""Reason of a plan that rests because its episode does; it is resumed by hand."""

LATEST = timedelta(days=366)
"""How far ahead a plan may begin."""

EVERY_DAY = (1, 2, 3, 4, 5, 6, 7)
NEXT_DAY_HOURS = range(20, 29)
"""A plan that asks on the day after a session asks so many hours later."""

_SCHEDULE = frozenset({"frequency", "weekdays", "times_per_week", "local_time", "zone", "ends_on"})


_MAY_BE_EMPTY = frozenset(
    {"zone", "ends_on", "weekdays", "times_per_week", "remind_after_hours", "reminders_per_week", "muted_until"}
)


class PlanRefused(Invalid):
    """This plan does not add up."""


class PlanNotActive(Conflict):
    """This plan is not active."""


class PlanNotPaused(Conflict):
    """This plan is not paused."""


async def create(session: AsyncSession, actor: Actor, episode_id: UUID, form: PlanIn, *, at: datetime) -> CheckInPlan:
    """Plan check-ins for an episode. The first is the first that is still ahead.

    Raises NotFound, EpisodeClosed, EpisodeOnHold, PlanRefused.
    """
    # Locked: a hold or discharge that comes meanwhile waits, and stops this plan too.
    episode = await access.subject(session, actor, Action.PLAN_CHECK_INS, Episode, episode_id, at=at, lock=True)
    episode_gate.require_going(episode.status)
    zone = form.zone or await _zone_of(session, actor.clinic_id, episode.patient_id)
    today = recurrence.local_date(at, zone)
    own = await clinics.settings_of(session, actor.clinic_id)
    plan = CheckInPlan(
        clinic_id=actor.clinic_id,
        patient_id=episode.patient_id,
        episode_id=episode_id,
        question_set=form.question_set,
        frequency=form.frequency,
        times_per_week=form.times_per_week,
        local_time=form.local_time or time(0),
        zone=zone,
        follow_zone=form.zone is None,
        opens_minutes=own.check_in_opens_minutes if form.opens_minutes is None else form.opens_minutes,
        closes_minutes=form.closes_minutes,
        late_minutes=own.check_in_late_minutes if form.late_minutes is None else form.late_minutes,
        after_hours=form.after_hours or 0,
        starts_on=form.starts_on or today,
        ends_on=form.ends_on,
        status=PlanStatus.ACTIVE,
        notify_on_open=form.notify_on_open,
        remind_after_hours=form.remind_after_hours,
        reminders_per_week=form.reminders_per_week,
        muted_until=form.muted_until,
        holidays=store_holidays(one.model_dump() for one in form.holidays),
    )
    problems = _days(plan, form.weekdays)
    if form.frequency is not PlanFrequency.AFTER_SESSION and form.local_time is None:
        problems.append(Problem("/local_time", "missing", "Say at what time of day."))
    if plan.starts_on < today:
        problems.append(Problem("/starts_on", "in_the_past", "A plan starts today or later."))
    if plan.starts_on > today + LATEST:
        problems.append(Problem("/starts_on", "too_far_ahead", "A plan starts within a year."))
    _check(plan, problems)
    schedule(plan, plan.starts_on, at)
    session.add(plan)
    await session.flush()
    await _record(session, actor, "create", plan, at)
    return plan


async def browse(
    session: AsyncSession, actor: Actor, episode_id: UUID, page: Page, *, at: datetime
) -> Paged[CheckInPlan]:
    """List an episode's plans, oldest first. Raises NotFound."""
    episode = await access.subject(session, actor, Action.READ_RECORD, Episode, episode_id, at=at)
    query = select(CheckInPlan).where(CheckInPlan.clinic_id == actor.clinic_id, CheckInPlan.episode_id == episode_id)
    await audit.record(
        session,
        actor,
        "check_in_plan.list",
        subject=("check_in_plan", None),
        patient_id=episode.patient_id,
        at=at,
    )
    return await fetch(session, query, page, keys=(CheckInPlan.created_at, CheckInPlan.id))


async def update(
    session: AsyncSession, actor: Actor, plan_id: UUID, change: PlanChange, *, version: int, at: datetime
) -> CheckInPlan:
    """Change a plan that has not ended. Raises NotFound, Stale, PlanNotActive, PlanRefused."""
    plan = await _changing(session, actor, plan_id, version, at)
    if plan.status is PlanStatus.ENDED:
        raise PlanNotActive
    changes = _changes(change)
    problems = [
        Problem(f"/{name}", "missing", "This cannot be empty.")
        for name, value in changes.items()
        if value is None and name not in _MAY_BE_EMPTY
    ]
    if plan.frequency is PlanFrequency.AFTER_SESSION and changes.keys() & _SCHEDULE - {"zone", "ends_on"}:
        problems.append(
            Problem("/frequency", "after_session", "Plan after sessions have no timetable: make a new one.")
        )
    if problems:
        raise PlanRefused(*problems)
    reschedules = bool(changes.keys() & _SCHEDULE)
    today = recurrence.local_date(at, plan.zone)
    if reschedules:
        await settle(session, plan, today, at)
    if "zone" in changes:
        plan.follow_zone = changes["zone"] is None
        changes["zone"] = changes["zone"] or await _zone_of(session, plan.clinic_id, plan.patient_id)
    weekdays: Sequence[int] | None = changes.pop("weekdays", None)
    for name, value in changes.items():
        setattr(plan, name, PlanFrequency(value) if name == "frequency" else value)
    if weekdays is None and plan.frequency is PlanFrequency.WEEKDAYS and "frequency" not in changes:
        weekdays = plan.weekdays
    if plan.frequency is not PlanFrequency.TIMES_PER_WEEK and "times_per_week" not in changes:
        plan.times_per_week = None
    _check(plan, _days(plan, weekdays))
    if reschedules:
        await reschedule(session, plan, today, at)
    await session.flush()
    await _record(session, actor, "update", plan, at)
    return plan


async def pause(
    session: AsyncSession, actor: Actor, plan_id: UUID, reason: str, *, version: int, at: datetime
) -> CheckInPlan:
    """Let a plan rest: forecasts are taken back, an open check-in may still be answered and is never missed.

    Raises NotFound, Stale, PlanNotActive.
    """
    plan = await _changing(session, actor, plan_id, version, at)
    if plan.status is not PlanStatus.ACTIVE:
        raise PlanNotActive
    await rest(session, plan, PlanStatus.PAUSED, reason, at)
    await session.flush()
    await _record(session, actor, "pause", plan, at)
    return plan


async def resume(
    session: AsyncSession, actor: Actor, plan_id: UUID, reason: str, *, version: int, at: datetime
) -> CheckInPlan:
    """Let a paused plan go on with the next check-in that is ahead.

    Raises NotFound, Stale, PlanNotPaused, EpisodeClosed, EpisodeOnHold.
    """
    status = await _held_still(session, actor, plan_id)
    plan = await _changing(session, actor, plan_id, version, at)
    if plan.status is not PlanStatus.PAUSED:
        raise PlanNotPaused
    if status is not None:
        episode_gate.require_going(status)
    plan.status, plan.status_reason = PlanStatus.ACTIVE, reason
    await reschedule(session, plan, recurrence.local_date(at, plan.zone) - timedelta(days=1), at)
    await session.flush()
    await _record(session, actor, "resume", plan, at)
    return plan


async def follow_zone(
    session: AsyncSession, clinic_id: UUID, patient_id: UUID, zone: str, *, actor: Actor, at: datetime
) -> int:
    """Move the plans that follow the patient to his new zone, from the next local day; give how many."""
    plans = await session.scalars(
        select(CheckInPlan)
        .where(
            CheckInPlan.clinic_id == clinic_id,
            CheckInPlan.patient_id == patient_id,
            CheckInPlan.status != PlanStatus.ENDED,
            CheckInPlan.follow_zone,
            CheckInPlan.zone != zone,
        )
        .order_by(CheckInPlan.id)
        .with_for_update()
    )
    moved = []
    for plan in plans.all():
        today = recurrence.local_date(at, plan.zone)
        await settle(session, plan, today, at)
        plan.zone = zone
        await reschedule(session, plan, today, at)
        moved.append((plan.id, patient_id))
    await session.flush()
    await audit.record_many(session, clinic_id, actor, "check_in_plan.update", "check_in_plan", moved, at=at)
    return len(moved)


async def follow_episode(
    session: AsyncSession, clinic_id: UUID, episode_id: UUID, *, actor: Actor, ended: bool, at: datetime
) -> int:
    """Let an episode's plans rest while it is on hold, or end them with it; give how many changed. Safe to repeat."""
    resting = [PlanStatus.ACTIVE, PlanStatus.PAUSED] if ended else [PlanStatus.ACTIVE]
    plans = await session.scalars(
        select(CheckInPlan)
        .where(
            CheckInPlan.clinic_id == clinic_id, CheckInPlan.episode_id == episode_id, CheckInPlan.status.in_(resting)
        )
        .order_by(CheckInPlan.id)
        .with_for_update()
    )
    changed = []
    for plan in plans.all():
        if ended:
            await rest(session, plan, PlanStatus.ENDED, "episode_discharged", at)
        else:
            await rest(session, plan, PlanStatus.PAUSED, ON_HOLD, at)
        changed.append((plan.id, plan.patient_id))
    await session.flush()
    action = "check_in_plan.end" if ended else "check_in_plan.pause"
    await audit.record_many(session, clinic_id, actor, action, "check_in_plan", changed, at=at)
    return len(changed)


def _changes(change: PlanChange) -> dict[str, Any]:
    changes = change.model_dump(exclude_unset=True)
    if "holidays" in changes:
        changes["holidays"] = store_holidays(changes["holidays"])
    return changes


# ------------------------------------------------------------------ days
def _days(plan: CheckInPlan, weekdays: Sequence[int] | None) -> list[Problem]:
    """Work out the days of a plan; what is said must be what its frequency needs, and nothing else."""
    problems: list[Problem] = []
    wants_weekdays = plan.frequency is PlanFrequency.WEEKDAYS
    wants_times = plan.frequency is PlanFrequency.TIMES_PER_WEEK
    if wants_weekdays != (weekdays is not None):
        message = "Say on which weekdays." if wants_weekdays else "Only a plan of weekdays has them."
        problems.append(Problem("/weekdays", "weekdays", message))
    if wants_times != (plan.times_per_week is not None):
        message = "Say how many times a week." if wants_times else "Only a plan of times per week has them."
        problems.append(Problem("/times_per_week", "times_per_week", message))
    if weekdays is not None and len(set(weekdays)) != len(weekdays):
        problems.append(Problem("/weekdays", "repeated", "Name each weekday once."))
    if not problems:
        if plan.frequency is PlanFrequency.WEEKDAYS:
            plan.weekdays = sorted(weekdays or ())
        elif plan.times_per_week is not None:
            plan.weekdays = list(recurrence.spread(plan.times_per_week))
        else:
            plan.weekdays = list(EVERY_DAY)
        plan.steps = list(recurrence.steps(asked_on(plan)))
    return problems


def asked_on(plan: CheckInPlan) -> Sequence[int]:
    """Give the weekdays on which a plan asks: its own, every day as long as a flare-up lasts."""
    return plan.weekdays if plan.flare_id is None else EVERY_DAY


def _check(plan: CheckInPlan, problems: list[Problem]) -> None:
    after_session = plan.frequency is PlanFrequency.AFTER_SESSION
    if plan.after_hours and (not after_session or plan.after_hours not in NEXT_DAY_HOURS):
        problems.append(Problem("/after_hours", "after_hours", "0, or 20 to 28 hours after a session."))
    if plan.ends_on is not None and plan.ends_on < plan.starts_on:
        problems.append(Problem("/ends_on", "before_start", "A plan ends on or after its first day."))
    if problems:
        raise PlanRefused(*problems)


def schedule(plan: CheckInPlan, first: date, at: datetime) -> None:
    """Find the plan's next occurrence: on `first` or later, and still ahead at `at`."""
    plan.next_on = plan.next_due_at = None
    if plan.frequency is PlanFrequency.AFTER_SESSION:
        return
    day = max(first, plan.starts_on, recurrence.local_date(at, plan.zone))
    for candidate in recurrence.occurrences(day, day + timedelta(days=15), asked_on(plan), plan.zone):
        due_at = recurrence.instant(candidate, plan.local_time, plan.zone)
        if due_at >= at:
            if plan.ends_on is None or candidate <= plan.ends_on:
                plan.next_on, plan.next_due_at = candidate, due_at
            return


async def settle(session: AsyncSession, plan: CheckInPlan, today: date, at: datetime) -> None:
    """Make what the plan still owes up to today, as it was planned, before the plan changes."""
    if plan.status is PlanStatus.ACTIVE and plan.next_on is not None and plan.next_on <= today:
        await session.flush()
        await materialize_plan(session, plan.clinic_id, plan.id, today, at=at)
        await session.refresh(plan, ["next_on", "next_due_at"])


async def reschedule(session: AsyncSession, plan: CheckInPlan, today: date, at: datetime) -> None:
    """Take back forecasts for days after `today` and find the next occurrence after what remains."""
    await _take_back(session, plan, CheckIn.local_date > today)
    if plan.status is not PlanStatus.ACTIVE:
        return
    last = await session.scalar(
        select(func.max(CheckIn.local_date)).where(CheckIn.clinic_id == plan.clinic_id, CheckIn.plan_id == plan.id)
    )
    schedule(plan, max(today, last or today) + timedelta(days=1), at)


async def rest(session: AsyncSession, plan: CheckInPlan, status: PlanStatus, reason: str, at: datetime) -> None:
    """Stop a plan: what it owes up to today is made, forecasts are taken back, what is open stays."""
    await settle(session, plan, recurrence.local_date(at, plan.zone), at)
    await _take_back(session, plan, CheckIn.opens_at > at)
    plan.status, plan.status_reason = status, reason
    plan.next_on = plan.next_due_at = None


async def _take_back(session: AsyncSession, plan: CheckInPlan, which: object) -> None:
    await session.execute(
        delete(CheckIn)
        .where(
            CheckIn.clinic_id == plan.clinic_id,
            CheckIn.plan_id == plan.id,
            CheckIn.status == CheckInStatus.DUE,
            CheckIn.session_id.is_(None),
            which,  # type: ignore[arg-type]
        )
        .execution_options(synchronize_session=False)
    )


# ------------------------------------------------------------------ rows
async def _zone_of(session: AsyncSession, clinic_id: UUID, patient_id: UUID) -> str:
    query = select(Patient.zone).where(Patient.clinic_id == clinic_id, Patient.id == patient_id)
    return (await session.scalars(query)).one()


async def _held_still(session: AsyncSession, actor: Actor, plan_id: UUID) -> EpisodeStatus | None:
    """Give the status of the plan's episode, which cannot be held or discharged until the transaction ends.

    The episode is locked before the plan, as a hold does; one that is under way is waited for.
    """
    query = (
        select(Episode.status)
        .join(CheckInPlan, (CheckInPlan.clinic_id == Episode.clinic_id) & (CheckInPlan.episode_id == Episode.id))
        .where(CheckInPlan.clinic_id == actor.clinic_id, CheckInPlan.id == plan_id)
    )
    return await session.scalar(query.with_for_update(read=True, of=Episode))


async def _changing(session: AsyncSession, actor: Actor, plan_id: UUID, version: int, at: datetime) -> CheckInPlan:
    plan = await access.subject(session, actor, Action.PLAN_CHECK_INS, CheckInPlan, plan_id, at=at, lock=True)
    if plan.version != version:
        raise Stale(plan.version)
    return plan


async def _record(session: AsyncSession, actor: Actor, verb: str, plan: CheckInPlan, at: datetime) -> None:
    await audit.record(
        session,
        actor,
        f"check_in_plan.{verb}",
        subject=("check_in_plan", plan.id),
        patient_id=plan.patient_id,
        at=at,
    )
