"""Milestones on the way to a goal: set by therapist or patient, reached by answers or by word."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.recurrence import local_date
from core.errors import Invalid, Problem, Stale
from models.episodes import Episode
from models.goals import Goal, GoalStatus, Milestone
from models.identity import Role
from schemas.goals import MilestoneChange, MilestoneCreate, MilestoneRead
from schemas.pages import Page, Paged, fetch
from services import access, audit, episode_gate, goal_progress, goals
from services.access import Action, Actor


class MilestoneRefused(Invalid):
    """The milestone does not fit its goal, its day, or who sets it."""


async def browse(
    session: AsyncSession, actor: Actor, goal_id: UUID, page: Page, *, at: datetime
) -> Paged[MilestoneRead]:
    """List a goal's milestones, oldest first. Raises NotFound."""
    goal = await access.subject(session, actor, Action.READ_RECORD, Goal, goal_id, at=at)
    query = select(Milestone).where(Milestone.clinic_id == actor.clinic_id, Milestone.goal_id == goal.id)
    subject = ("milestone", None)
    await audit.record(session, actor, "milestone.list", subject=subject, patient_id=goal.patient_id, at=at)
    found = await fetch(session, query, page, keys=(Milestone.created_at, Milestone.id))
    return Paged(await _read(session, goal, found.items, at), found.next_cursor)


async def create(
    session: AsyncSession, actor: Actor, goal_id: UUID, form: MilestoneCreate, *, at: datetime
) -> MilestoneRead:
    """Set a milestone on the way to an active goal. Raises NotFound, EpisodeClosed, GoalClosed, MilestoneRefused."""
    goal = await access.subject(session, actor, Action.SET_MILESTONES, Goal, goal_id, at=at)
    episode = select(Episode).where(Episode.clinic_id == actor.clinic_id, Episode.id == goal.episode_id)
    episode_gate.require_open((await session.scalars(episode)).one())
    if goal.status is not GoalStatus.ACTIVE:
        raise goals.GoalClosed
    today = await _today(session, goal, at)
    _refuse([*_target(actor, goal, form.target), *goals.due(form.due_on, today)])
    row = Milestone(
        clinic_id=actor.clinic_id,
        patient_id=goal.patient_id,
        goal_id=goal.id,
        set_by=actor.account_id,
        created_at=at,
        **goals.stored(form.model_dump()),
    )
    session.add(row)
    await session.flush()
    subject = ("milestone", row.id)
    await audit.record(session, actor, "milestone.create", subject=subject, patient_id=row.patient_id, at=at)
    return (await _read(session, goal, [row], at))[0]


async def update(
    session: AsyncSession, actor: Actor, milestone_id: UUID, change: MilestoneChange, *, version: int, at: datetime
) -> MilestoneRead:
    """Change a milestone, say that it is reached, or drop it.

    A patient changes what he set himself, and of the others he may say that they are reached.
    Raises NotFound, Stale, MilestoneRefused.
    """
    row = await access.subject(session, actor, Action.SET_MILESTONES, Milestone, milestone_id, at=at, lock=True)
    if row.version != version:
        raise Stale(row.version)
    query = select(Goal).where(Goal.clinic_id == actor.clinic_id, Goal.id == row.goal_id)
    goal = (await session.scalars(query)).one()
    values = change.model_dump(exclude_unset=True)
    _refuse(_problems(actor, goal, row, values, await _today(session, goal, at)))
    dropped = values.pop("dropped", row.dropped_at is not None)
    if dropped is not (row.dropped_at is not None):
        row.dropped_at = at if dropped else None
    for name, value in goals.stored(values).items():
        setattr(row, name, value)
    await session.flush()
    subject = ("milestone", row.id)
    await audit.record(session, actor, "milestone.update", subject=subject, patient_id=row.patient_id, at=at)
    return (await _read(session, goal, [row], at))[0]


def _problems(actor: Actor, goal: Goal, row: Milestone, values: dict[str, Any], today: date) -> list[Problem]:
    problems = []
    if actor.role is Role.PATIENT and row.set_by != actor.account_id:
        problems += [
            Problem(f"/{name}", "not_yours", "Your therapist has set this.") for name in values.keys() - {"reached_on"}
        ]
    if "target" in values:
        problems += _target(actor, goal, values["target"])
        if row.target is None:
            problems.append(Problem("/target", "in_words", "A milestone in words gets no target later."))
    elif values.get("dropped") is False and row.dropped_at is not None and row.target is not None:
        problems += _beyond(goal, float(row.target), "/dropped")  # the goal may have moved meanwhile
    if "reached_on" in values and row.target is not None:
        problems.append(Problem("/reached_on", "measured", "The answers say when this is reached."))
    elif values.get("reached_on") is not None and values["reached_on"] > today:
        problems.append(Problem("/reached_on", "in_the_future", "The day is not here yet."))
    if values.get("due_on") is not None:
        problems += goals.due(values["due_on"], today)
    return problems


def _target(actor: Actor, goal: Goal, target: float | None) -> list[Problem]:
    """Tell what is wrong with a target: it lies on the goal's way, and a therapist sets it."""
    if target is None:
        return []
    if actor.role is Role.PATIENT:
        return [Problem("/target", "target_refused", "Only a therapist sets a target.")]
    if goal.measure is None or goal.target is None:
        return [Problem("/target", "measure_missing", "The goal has no measure.")]
    scale = goals.Scale.of(goal.measure)
    problems = goals.scored(scale, None if goal.baseline is None else float(goal.baseline), target)
    return problems + _beyond(goal, target, "/target")


def _beyond(goal: Goal, target: float, place: str) -> list[Problem]:
    assert goal.measure is not None
    assert goal.target is not None
    if goals.Scale.of(goal.measure).better(target, float(goal.target)):
        return [Problem(place, "beyond_goal", "The goal itself asks for less.")]
    return []


def _refuse(problems: Sequence[Problem]) -> None:
    if problems:
        raise MilestoneRefused(*sorted(problems, key=lambda each: (each.pointer, each.code)))


async def _today(session: AsyncSession, goal: Goal, at: datetime) -> date:
    return local_date(at, (await goal_progress.patient_of(session, goal.clinic_id, goal.patient_id)).zone)


async def _read(session: AsyncSession, goal: Goal, rows: Sequence[Milestone], at: datetime) -> list[MilestoneRead]:
    patient = await goal_progress.patient_of(session, goal.clinic_id, goal.patient_id)
    today = local_date(at, patient.zone)
    measured = any(row.target is not None for row in rows)
    readings = await goal_progress.readings_of(session, patient, goal.episode_id, [goal] if measured else [], today)
    plain = MilestoneRead.model_fields.keys() - {"percent", "reached_on"}
    made = []
    for row in rows:
        reached_on, percent = row.reached_on, None
        if row.target is not None:
            found = goal_progress.of_goal(goal, readings, patient.zone, today, target=row.target)
            reached_on, percent = found.reached_on, found.percent
        values = {name: getattr(row, name) for name in plain}
        made.append(MilestoneRead.model_validate({**values, "reached_on": reached_on, "percent": percent}))
    return made
