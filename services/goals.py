"""Goals: in the patient's words, and held against a measure where there is one."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import library
from clinical.forms import Instrument
from clinical.recurrence import local_date
from core.errors import Conflict, Invalid, Problem, Stale
from models.episodes import Episode
from models.goals import Goal, GoalStatus
from models.patients import Patient
from schemas.goals import GoalChange, GoalCreate, GoalRead
from schemas.pages import Page, Paged, fetch
from services import access, audit, episode_gate, outcomes
from services.access import Action, Actor

LATEST = timedelta(days=5 * 366)
"""How far ahead a goal may lie."""


class GoalRefused(Invalid):
    """The goal does not fit its measure, or its day."""


class GoalClosed(Conflict):
    """This goal is closed: it can only be made active again."""


async def browse(
    session: AsyncSession, actor: Actor, episode_id: UUID, page: Page, *, status: GoalStatus | None, at: datetime
) -> Paged[Goal]:
    """List an episode's goals, oldest first. Raises NotFound."""
    episode = await access.subject(session, actor, Action.READ_RECORD, Episode, episode_id, at=at)
    query = select(Goal).where(Goal.clinic_id == actor.clinic_id, Goal.episode_id == episode.id)
    if status is not None:
        query = query.where(Goal.status == status)
    await audit.record(session, actor, "goal.list", subject=("goal", None), patient_id=episode.patient_id, at=at)
    return await fetch(session, query, page, keys=(Goal.created_at, Goal.id))


async def create(session: AsyncSession, actor: Actor, episode_id: UUID, form: GoalCreate, *, at: datetime) -> Goal:
    """Set a goal in an episode that is not discharged. Raises NotFound, EpisodeClosed, GoalRefused."""
    episode = await access.subject(session, actor, Action.SET_GOALS, Episode, episode_id, at=at)
    episode_gate.require_open(episode)
    values = form.model_dump()
    problems = _measured(values) or await _activity(session, episode, form)
    _refuse([*problems, *_due(form.due_on, await _today(session, episode.clinic_id, episode.patient_id, at))])
    row = Goal(
        clinic_id=actor.clinic_id,
        patient_id=episode.patient_id,
        episode_id=episode.id,
        status=GoalStatus.ACTIVE,
        **_stored(values),
    )
    session.add(row)
    await session.flush()
    await audit.record(session, actor, "goal.create", subject=("goal", row.id), patient_id=row.patient_id, at=at)
    return row


async def update(
    session: AsyncSession, actor: Actor, goal_id: UUID, change: GoalChange, *, version: int, at: datetime
) -> Goal:
    """Change or close an active goal, or make a closed one active. Raises NotFound, GoalClosed, Stale, GoalRefused."""
    row = await access.subject(session, actor, Action.SET_GOALS, Goal, goal_id, at=at, lock=True)
    values = change.model_dump(exclude_unset=True)
    status = values.pop("status", row.status)
    if row.status is not GoalStatus.ACTIVE and (status is not GoalStatus.ACTIVE or values):
        raise GoalClosed
    if row.version != version:
        raise Stale(row.version)
    held = GoalRead.model_validate(row).model_dump(include={"measure", "activity_id", "baseline", "target"})
    problems = _measured(held | values)
    problems += [
        Problem(f"/{name}", "null_refused", "This cannot be empty.")
        for name, value in (("statement", values.get("statement", "")), ("status", status))
        if value is None
    ]
    if values.get("due_on") is not None:
        problems += _due(values["due_on"], await _today(session, row.clinic_id, row.patient_id, at))
    _refuse(problems)
    for name, value in _stored(values).items():
        setattr(row, name, value)
    if status is not row.status:
        row.status, row.closed_at = status, None if status is GoalStatus.ACTIVE else at
    await session.flush()
    await audit.record(session, actor, "goal.update", subject=("goal", row.id), patient_id=row.patient_id, at=at)
    return row


async def _today(session: AsyncSession, clinic_id: UUID, patient_id: UUID, at: datetime) -> date:
    zone = await session.scalar(select(Patient.zone).where(Patient.clinic_id == clinic_id, Patient.id == patient_id))
    assert zone is not None
    return local_date(at, zone)


async def _activity(session: AsyncSession, episode: Episode, form: GoalCreate) -> list[Problem]:
    """Tell whether the patient has named no such activity in his answers in this episode."""
    if form.measure is None or form.activity_id is None:
        return []
    if form.activity_id in await outcomes.activities(session, episode.clinic_id, episode.id, form.measure):
        return []
    return [Problem("/activity_id", "activity_unknown", "The patient's answers in this episode name no such activity.")]


def _refuse(problems: list[Problem]) -> None:
    if problems:
        raise GoalRefused(*problems)


def _due(day: date | None, today: date) -> list[Problem]:
    if day is not None and day < today:
        return [Problem("/due_on", "in_the_past", "The day has passed.")]
    if day is not None and day > today + LATEST:
        return [Problem("/due_on", "too_far_ahead", "The day lies within five years.")]
    return []


def _measured(values: Mapping[str, Any]) -> list[Problem]:
    """Tell what does not fit: the measure, the activity that one measure needs, the values."""
    if values["measure"] is None:
        return [
            Problem(f"/{name}", "measure_missing", "This needs a measure.")
            for name in ("activity_id", "baseline", "target")
            if values[name] is not None
        ]
    instrument = library.load().measures.get(values["measure"])
    if instrument is None:
        return [Problem("/measure", "measure_unknown", "There is no such instrument.")]
    if instrument.repeated is None and values["activity_id"] is not None:
        return [Problem("/activity_id", "activity_refused", "This measure has no activities.")]
    if instrument.repeated is not None and values["activity_id"] is None:
        return [Problem("/activity_id", "activity_missing", "Say which activity of the patient is meant.")]
    if values["target"] is None:
        return [Problem("/target", "target_missing", "A measured goal has a target.")]
    return _scored(instrument, values["baseline"], values["target"])


def _scored(instrument: Instrument, baseline: float | None, target: float) -> list[Problem]:
    """Tell which value is no score of the instrument, and whether the target is not better than the baseline."""
    rule = instrument.primary
    # One activity is rated in whole numbers; only the mean of several has decimals.
    decimals = 0 if instrument.repeated is not None else rule.decimals
    problems = []
    for name, value in (("baseline", baseline), ("target", target)):
        if value is not None and not rule.range[0] <= value <= rule.range[1]:
            problems.append(Problem(f"/{name}", "out_of_range", "The measure has no such score."))
        elif value is not None and round(value, decimals) != value:
            problems.append(Problem(f"/{name}", "too_fine", "The measure has no scores in between."))
    if baseline is not None:
        gain = baseline - target if rule.lower_is_better else target - baseline
        if gain <= 0:
            problems.append(Problem("/target", "not_better", "The target is not better than the baseline."))
    return problems


def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: Decimal(str(value)) if isinstance(value, float) else value for name, value in values.items()}
