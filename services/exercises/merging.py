"""From one therapist to all, and from two exercises to one."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.ladders import merged
from core.errors import Conflict, NotFound, Problem, Stale
from models.exercises import Exercise, ExerciseScope
from schemas.exercises import ExerciseMerge, ExerciseRead
from services import audit
from services.access import Action, Actor, require
from services.exercises.reading import usable, visible
from services.exercises.writing import ExerciseRefused, ladder, require_mine, take_turns, told


class NotOffered(Conflict):
    """This exercise was not offered to the clinic."""


async def promote(
    session: AsyncSession, actor: Actor, exercise_id: UUID, *, expected: int, at: datetime
) -> ExerciseRead:
    """Make an exercise that a therapist offers the clinic's, in the version that the admin has read.

    Raises NotFound, NotOffered, Stale, ExerciseRefused where it follows one that is not everybody's.
    """
    require(actor, Action.PROMOTE_EXERCISES)
    await take_turns(session, actor.clinic_id)
    row = await session.scalar(select(Exercise).where(visible(actor), Exercise.id == exercise_id).with_for_update())
    if row is None:
        raise NotFound
    if row.offered_at is None:
        raise NotOffered
    if row.version != expected:
        raise Stale(row.version)
    shared = select(Exercise.id).where(usable(actor), Exercise.code == row.progression_of)
    if row.progression_of is not None and await session.scalar(shared) is None:
        message = "What all may use cannot follow what one has: take that one first."
        raise ExerciseRefused(Problem("/progression_of", "not_shared", message))
    row.scope, row.owner_id, row.offered_at = ExerciseScope.CLINIC, None, None
    await session.flush()
    await audit.record(session, actor, "exercise.promote", subject=("exercise", row.id), at=at)
    return await told(session, actor, row)


async def merge(
    session: AsyncSession, actor: Actor, exercise_id: UUID, form: ExerciseMerge, *, expected: int, at: datetime
) -> ExerciseRead:
    """Retire a duplicate in favour of another exercise, which takes its place on the way from easier to harder.

    What was merged into the duplicate before points to the other one, too. Programs keep what they prescribed. Raises
    NotFound, Forbidden, ShippedExercise, Stale, ExerciseRefused.
    """
    require(actor, Action.MANAGE_EXERCISES)
    await take_turns(session, actor.clinic_id)
    row = await session.scalar(select(Exercise).where(usable(actor), Exercise.id == exercise_id).with_for_update())
    if row is None:
        raise NotFound
    require_mine(actor, row, {"replaced_by"})
    if row.version != expected:
        raise Stale(row.version)
    target = await _successor(session, actor, row, form.replaced_by)
    row.replaced_by, row.retired_at, row.offered_at = target.code, row.retired_at or at, None
    steps = merged(await ladder(session, actor.clinic_id), row.code, target.code)
    touched = select(Exercise).where(
        Exercise.clinic_id == actor.clinic_id,
        Exercise.scope != ExerciseScope.LIBRARY,
        or_(Exercise.replaced_by == row.code, Exercise.code.in_(steps)),
    )
    others = list(await session.scalars(touched.order_by(Exercise.id).with_for_update()))
    for other in others:
        other.progression_of = steps.get(other.code, other.progression_of)
        if other.replaced_by == row.code:
            other.replaced_by = target.code
    await session.flush()
    await audit.record(session, actor, "exercise.merge", subject=("exercise", row.id), at=at)
    for other in others:
        await audit.record(session, actor, "exercise.update", subject=("exercise", other.id), at=at)
    return await told(session, actor, row)


async def _successor(session: AsyncSession, actor: Actor, row: Exercise, code: str) -> Exercise:
    """Give the exercise that may take the place of `row`. Raises ExerciseRefused."""
    target = await session.scalar(select(Exercise).where(usable(actor), Exercise.code == code).with_for_update())
    if target is None:
        problem = Problem("/replaced_by", "exercise_unknown", "There is no such exercise.")
    elif target.id == row.id:
        problem = Problem("/replaced_by", "same_exercise", "An exercise cannot replace itself.")
    elif target.retired_at is not None:
        problem = Problem("/replaced_by", "exercise_retired", "This exercise is not for new use.")
    else:
        return target
    raise ExerciseRefused(problem)
