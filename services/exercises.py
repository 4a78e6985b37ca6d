"""The exercise library: browse it, add to it, change what is yours."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from core.constraints import violated
from core.errors import Conflict, Forbidden, Invalid, NotFound, Problem, Stale
from models.exercises import Exercise, ExerciseScope
from models.identity import Role
from schemas.exercises import ExerciseCreate, ExerciseFilter, ExerciseUpdate, retired_at
from schemas.pages import Page, Paged, fetch
from services import audit
from services.access import Action, Actor, require

CODE_IS_UNIQUE = "uq_exercises_code"
"""The index that lets a code stand once in a clinic."""


class CodeTaken(Conflict):
    """There is an exercise of this code already."""


class ExerciseRefused(Invalid):
    """The exercise breaks a rule of the library."""


class ShippedExercise(Conflict):
    """A shipped exercise cannot be changed: make one of your own from it."""


async def browse(session: AsyncSession, actor: Actor, wanted: ExerciseFilter, page: Page) -> Paged[Exercise]:
    """Exercises that the caller may use, by name. Patients see the shipped ones and the clinic's."""
    require(actor, Action.READ_EXERCISES)
    query = select(Exercise).where(_visible(actor))
    if not wanted.retired:
        query = query.where(Exercise.retired_at.is_(None))
    if wanted.scope is not None:
        query = query.where(Exercise.scope == wanted.scope)
    if wanted.region is not None:
        query = query.where(
            or_(Exercise.target_region == wanted.region, Exercise.body_regions.contains([wanted.region]))
        )
    for column, value in (
        (Exercise.type, wanted.type),
        (Exercise.phase, wanted.phase),
        (Exercise.position, wanted.position),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.equipment is not None:
        query = query.where(Exercise.equipment.contains([wanted.equipment]))
    if wanted.search is not None:
        query = query.where(
            *(func.lower(Exercise.name).contains(word, autoescape=True) for word in _words(wanted.search))
        )
    return await fetch(session, query, page, keys=(Exercise.name, Exercise.id))


async def get(session: AsyncSession, actor: Actor, exercise_id: UUID) -> Exercise:
    """One exercise, retired or not. Raises NotFound."""
    require(actor, Action.READ_EXERCISES)
    found = await session.scalar(select(Exercise).where(_visible(actor), Exercise.id == exercise_id))
    if found is None:
        raise NotFound
    return found


async def create(session: AsyncSession, actor: Actor, form: ExerciseCreate, *, at: datetime) -> Exercise:
    """Add an exercise to the clinic's shelf (admin) or to the therapist's own. Raises CodeTaken, ExerciseRefused."""
    require(actor, Action.MANAGE_EXERCISES)
    scope = ExerciseScope(form.scope)
    if (scope is ExerciseScope.CLINIC) != (actor.role is Role.CLINIC_ADMIN):
        raise Forbidden
    await _check(session, actor, form.model_dump(), form.progression_of)
    row = Exercise(
        clinic_id=actor.clinic_id,
        owner_id=actor.therapist_id if scope is ExerciseScope.OWN else None,
        **_content(form.model_dump(mode="json")),
    )
    row.scope = scope
    try:
        async with session.begin_nested():
            session.add(row)
            await session.flush()
    except IntegrityError as error:
        if violated(error) != CODE_IS_UNIQUE:
            raise
        raise CodeTaken(Problem("/code", "code_taken", "This code is in use.")) from error
    await audit.record(session, actor, "exercise.create", subject=("exercise", row.id), at=at)
    return row


async def update(
    session: AsyncSession, actor: Actor, exercise_id: UUID, form: ExerciseUpdate, *, expected: int, at: datetime
) -> Exercise:
    """Change or retire an exercise of one's own or of the clinic. Raises NotFound, ShippedExercise, Stale."""
    require(actor, Action.MANAGE_EXERCISES)
    row = await session.scalar(select(Exercise).where(_visible(actor), Exercise.id == exercise_id).with_for_update())
    if row is None:
        raise NotFound
    if row.scope is ExerciseScope.LIBRARY:
        raise ShippedExercise
    if row.scope is ExerciseScope.CLINIC and actor.role is not Role.CLINIC_ADMIN:
        raise Forbidden
    if row.version != expected:
        raise Stale(row.version)
    content = form.model_dump(mode="json")
    changes = {name: content[name] for name in form.model_fields_set}
    await _check(session, actor, changes, None)
    row.retired_at = retired_at(changes.pop("retired", None), row.retired_at, at)
    for name, value in _content(changes).items():
        setattr(row, name, value)
    await session.flush()
    await audit.record(session, actor, "exercise.update", subject=("exercise", row.id), at=at)
    return row


async def by_code(session: AsyncSession, actor: Actor, codes: Collection[str], ids: Collection[UUID]) -> list[Exercise]:
    """Exercises that the caller may use, by code or id, retired ones included; unknown ones are not among them."""
    query = select(Exercise).where(_visible(actor), or_(Exercise.code.in_(codes), Exercise.id.in_(ids)))
    return list(await session.scalars(query))


def _visible(actor: Actor) -> ColumnElement[bool]:
    own = and_(Exercise.scope == ExerciseScope.OWN, Exercise.owner_id == actor.therapist_id)
    shared = Exercise.scope.in_([ExerciseScope.LIBRARY, ExerciseScope.CLINIC])
    return and_(Exercise.clinic_id == actor.clinic_id, shared if actor.therapist_id is None else or_(shared, own))


async def _check(session: AsyncSession, actor: Actor, content: dict[str, Any], progression_of: str | None) -> None:
    library = load()
    problems = [
        Problem(f"/contraindications/{place}/code", "unknown_contraindication", "This code is not in the vocabulary.")
        for place, one in enumerate(content.get("contraindications") or ())
        if one["code"] not in library.contraindications
    ]
    dosage = content.get("default_dosage")
    if dosage is not None:
        moving = dosage["reps"] is not None or dosage["hold_seconds"] is not None
        if moving == (dosage["duration_seconds"] is not None):
            problems.append(
                Problem("/default_dosage", "dosage_amount", "Give reps, a hold, or a duration: one of them.")
            )
    if progression_of is not None and not await by_code(session, actor, [progression_of], []):
        problems.append(Problem("/progression_of", "unknown_exercise", "There is no exercise of this code."))
    if problems:
        raise ExerciseRefused(*problems)


def _content(form: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in form.items() if value is not None and name != "scope"}


def _words(search: str) -> list[str]:
    return search.lower().split()[:8]
