"""Targets for habits, held against what check-ins tell."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import habits
from clinical.library import load
from clinical.recurrence import local_date
from core.errors import Conflict, Invalid, Problem, Stale
from models.episodes import Episode
from models.lifestyle import LifestyleKind, LifestyleTarget
from schemas.lifestyle import (
    HabitPoint,
    HabitProgress,
    HabitTrend,
    LifestyleTargetChange,
    LifestyleTargetCreate,
    LifestyleTargetRead,
)
from schemas.pages import Page, Paged, fetch
from services import access, audit, daily_measures, episode_gate, goal_progress
from services.access import Action, Actor
from services.daily_measures import Answered


class LifestyleTargetRefused(Invalid):
    """The target does not fit its kind."""


class LifestyleTargetStands(Conflict):
    """There is a target of this kind already: change it, or end it first."""


class LifestyleTargetEnded(Conflict):
    """This target is ended: set a new one."""


async def browse(
    session: AsyncSession, actor: Actor, episode_id: UUID, page: Page, *, at: datetime
) -> Paged[LifestyleTargetRead]:
    """List an episode's targets and how they go, oldest first. Raises NotFound."""
    episode = await access.subject(session, actor, Action.READ_RECORD, Episode, episode_id, at=at)
    query = select(LifestyleTarget).where(
        LifestyleTarget.clinic_id == actor.clinic_id, LifestyleTarget.episode_id == episode.id
    )
    subject = ("lifestyle_target", None)
    await audit.record(session, actor, "lifestyle_target.list", subject=subject, patient_id=episode.patient_id, at=at)
    found = await fetch(session, query, page, keys=(LifestyleTarget.created_at, LifestyleTarget.id))
    return Paged(await _read(session, found.items, at), found.next_cursor)


async def create(
    session: AsyncSession, actor: Actor, episode_id: UUID, form: LifestyleTargetCreate, *, at: datetime
) -> LifestyleTargetRead:
    """Set a target for a habit. Raises NotFound, EpisodeClosed, LifestyleTargetRefused, LifestyleTargetStands."""
    episode = await access.subject(session, actor, Action.SET_GOALS, Episode, episode_id, at=at, lock=True)
    episode_gate.require_open(episode)
    _refuse(form.kind, form.target)
    standing = select(LifestyleTarget.id).where(
        LifestyleTarget.clinic_id == actor.clinic_id,
        LifestyleTarget.episode_id == episode.id,
        LifestyleTarget.kind == form.kind,
        LifestyleTarget.ended_at.is_(None),
    )
    if await session.scalar(standing) is not None:
        raise LifestyleTargetStands
    patient = await goal_progress.patient_of(session, actor.clinic_id, episode.patient_id)
    row = LifestyleTarget(
        clinic_id=actor.clinic_id,
        patient_id=episode.patient_id,
        episode_id=episode.id,
        kind=form.kind,
        target=Decimal(str(form.target)),
        starts_on=local_date(at, patient.zone),
        created_at=at,
    )
    session.add(row)
    await session.flush()
    subject = ("lifestyle_target", row.id)
    await audit.record(session, actor, "lifestyle_target.create", subject=subject, patient_id=row.patient_id, at=at)
    return (await _read(session, [row], at))[0]


async def update(
    session: AsyncSession, actor: Actor, target_id: UUID, change: LifestyleTargetChange, *, version: int, at: datetime
) -> LifestyleTargetRead:
    """Change or end a target. Raises NotFound, LifestyleTargetEnded, Stale, LifestyleTargetRefused."""
    row = await access.subject(session, actor, Action.SET_GOALS, LifestyleTarget, target_id, at=at, lock=True)
    if row.version != version:
        raise Stale(row.version)
    if row.ended_at is not None:
        raise LifestyleTargetEnded
    values = change.model_dump(exclude_unset=True)
    if "target" in values:
        _refuse(row.kind, values["target"])
        row.target = Decimal(str(values["target"]))
    if values.get("ended"):
        patient = await goal_progress.patient_of(session, row.clinic_id, row.patient_id)
        row.ended_at, row.ended_on = at, max(local_date(at, patient.zone), row.starts_on)
    await session.flush()
    subject = ("lifestyle_target", row.id)
    await audit.record(session, actor, "lifestyle_target.update", subject=subject, patient_id=row.patient_id, at=at)
    return (await _read(session, [row], at))[0]


def _refuse(kind: LifestyleKind, target: float) -> None:
    allowed, decimals = load().habits.lifestyle[kind.value], habits.question_of(kind.value).decimals or 0
    if not allowed.min <= target <= allowed.max:
        message = f"For this habit a target is from {allowed.min} to {allowed.max}."
        raise LifestyleTargetRefused(Problem("/target", "out_of_range", message))
    if round(target, decimals) != target:
        raise LifestyleTargetRefused(Problem("/target", "too_fine", "Nobody can answer so finely."))


async def _read(session: AsyncSession, rows: Sequence[LifestyleTarget], at: datetime) -> list[LifestyleTargetRead]:
    """Give targets of one patient with how they go: one statement for all of them."""
    if not rows:
        return []
    patient = await goal_progress.patient_of(session, rows[0].clinic_id, rows[0].patient_id)
    today = local_date(at, patient.zone)
    spans = [_span(row, today) for row in rows]
    codes = sorted({row.kind.value for row in rows})
    first, last = min(span[0] for span in spans), max(span[1] for span in spans)
    answers = await daily_measures.of_patient(session, patient.clinic_id, patient.id, codes, first, last)
    return [_target(row, answers[row.kind.value], span) for row, span in zip(rows, spans, strict=True)]


def _span(row: LifestyleTarget, today: date) -> tuple[date, date]:
    """Give the two windows that a target is looked at over: they may begin before it was set."""
    measure = habits.measure_of(row.kind.value)
    assert measure is not None
    last = today if row.ended_on is None else min(row.ended_on, today)
    return last - timedelta(days=2 * measure.window_days - 1), last


def _target(row: LifestyleTarget, answers: Sequence[Answered], span: tuple[date, date]) -> LifestyleTargetRead:
    measure = habits.measure_of(row.kind.value)
    assert measure is not None
    first, last = span
    own = [each for each in answers if first <= each.on <= last]
    days = daily_measures.by_day(own)
    trend, reached = habits.trend(measure, days, last), habits.reached(measure, days, row.target, last)
    progress = HabitProgress(
        window_days=measure.window_days,
        days_answered=reached.answered,
        days_reached=reached.reached,
        reached=None if trend.recent is None else habits.meets(measure, trend.recent, row.target),
        trend=HabitTrend.model_validate(trend),
        points=[HabitPoint.model_validate(each) for each in own],
    )
    computed = {
        "unit": habits.question_of(measure.code).unit or "",
        "lower_is_better": measure.lower_is_better,
        "progress": progress,
    }
    plain = LifestyleTargetRead.model_fields.keys() - computed.keys()
    return LifestyleTargetRead.model_validate({name: getattr(row, name) for name in plain} | computed)
