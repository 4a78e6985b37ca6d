"""Writing exercises: one's own, the clinic's, and what a clinic adds to the shipped ones."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.ladders import circle
from clinical.library import load
from core.constraints import violated
from core.errors import Conflict, Forbidden, Invalid, NotFound, Problem, Stale
from models.exercises import Exercise, ExerciseScope
from models.identity import Role
from schemas.exercises import LANGUAGES, ExerciseCreate, ExerciseRead, ExerciseUpdate, retired_at
from services import audit
from services.access import Action, Actor, require
from services.exercises.reading import TRANSLATED, by_code, fingerprint, shown, visible

CODE_IS_UNIQUE = "uq_exercises_code"
"""The index that lets a code stand once in a clinic."""

ADDED = frozenset({"translations", "media"})
"""What a clinic adds to a shipped exercise."""


class CodeTaken(Conflict):
    """There is an exercise of this code already."""


class ExerciseRefused(Invalid):
    """The exercise breaks a rule of the library."""


class ShippedExercise(Conflict):
    """A shipped exercise cannot be changed: make one of your own from it."""


async def create(session: AsyncSession, actor: Actor, form: ExerciseCreate, *, at: datetime) -> ExerciseRead:
    """Add an exercise to the clinic's shelf (admin) or to the therapist's own. Raises CodeTaken, ExerciseRefused."""
    require(actor, Action.MANAGE_EXERCISES)
    scope = ExerciseScope(form.scope)
    if (scope is ExerciseScope.CLINIC) != (actor.role is Role.CLINIC_ADMIN):
        raise Forbidden
    content = form.model_dump(mode="json", exclude={"scope"})
    problems = problems_of(content, form.language)
    if form.progression_of is not None:
        problems += await _link(session, actor, form.code, form.progression_of)
    if problems:
        raise ExerciseRefused(*problems)
    row = Exercise(clinic_id=actor.clinic_id, scope=scope)
    row.owner_id = actor.therapist_id if scope is ExerciseScope.OWN else None
    write(row, content)
    try:
        async with session.begin_nested():
            session.add(row)
            await session.flush()
    except IntegrityError as error:
        if violated(error) != CODE_IS_UNIQUE:
            raise
        raise CodeTaken(Problem("/code", "code_taken", "This code is in use.")) from error
    await audit.record(session, actor, "exercise.create", subject=("exercise", row.id), at=at)
    return await told(session, actor, row)


async def update(
    session: AsyncSession, actor: Actor, exercise_id: UUID, form: ExerciseUpdate, *, expected: int, at: datetime
) -> ExerciseRead:
    """Change, offer or retire an exercise of one's own or of the clinic, or add to a shipped one.

    Raises NotFound, Forbidden, ShippedExercise, Stale, ExerciseRefused.
    """
    require(actor, Action.MANAGE_EXERCISES)
    changes = form.model_dump(mode="json", include=form.model_fields_set)
    if changes.get("progression_of") is not None:
        await take_turns(session, actor.clinic_id)
    row = await session.scalar(select(Exercise).where(visible(actor), Exercise.id == exercise_id).with_for_update())
    if row is None:
        raise NotFound
    require_mine(actor, row, changes)
    if row.version != expected:
        raise Stale(row.version)
    problems = problems_of(changes, row.language)
    offered, retired = changes.pop("offered", None), changes.pop("retired", None)
    if changes.get("progression_of") is not None:
        problems += await _link(session, actor, row.code, changes["progression_of"])
    if offered and row.scope is not ExerciseScope.OWN:
        problems.append(Problem("/offered", "not_own", "This is no exercise of your own."))
    if problems:
        raise ExerciseRefused(*problems)
    row.retired_at = retired_at(retired, row.retired_at, at)
    settle(row, offered=offered, at=at)
    if "translations" in changes:
        changes["translations"] = _translations(row, changes["translations"])
    write(row, changes)
    await session.flush()
    await audit.record(session, actor, "exercise.update", subject=("exercise", row.id), at=at)
    return await told(session, actor, row)


def settle(row: Exercise, *, offered: bool | None, at: datetime) -> None:
    """Let what is in use replaced by nothing, and what is not in use offered to nobody."""
    if row.retired_at is None:
        row.replaced_by = None
    if offered is False or row.retired_at is not None:
        row.offered_at = None
    elif offered:
        row.offered_at = row.offered_at or at


def _translations(row: Exercise, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Give all translations, those that are sent in place of what was there. Raises ExerciseRefused."""
    whole = {**row.translations, **sent}
    left = {language: said for language, said in whole.items() if said is not None}
    if len(left) > LANGUAGES:
        raise ExerciseRefused(Problem("/translations", "too_long", f"At most {LANGUAGES} languages."))
    return left


def require_mine(actor: Actor, row: Exercise, changed: Collection[str]) -> None:
    """Refuse what the caller may not change of an exercise that he sees. Raises ShippedExercise, Forbidden."""
    admin = actor.role is Role.CLINIC_ADMIN
    if row.scope is ExerciseScope.LIBRARY and not (admin and ADDED.issuperset(changed)):
        raise ShippedExercise
    if row.scope is ExerciseScope.CLINIC and not admin:
        raise Forbidden
    if row.scope is ExerciseScope.OWN and row.owner_id != actor.therapist_id:
        raise Forbidden


def problems_of(content: Mapping[str, Any], language: str) -> list[Problem]:
    """Say what is wrong with an exercise, or with a part of it, that its form cannot say."""
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
    if (content.get("translations") or {}).get(language) is not None:
        message = "The exercise itself is in this language."
        problems.append(Problem(f"/translations/{language}", "language_is_own", message))
    return problems


def write(row: Exercise, content: Mapping[str, Any]) -> None:
    """Set columns. A translation that does not name the text it is of (`of`) belongs to the text as it is now."""
    for name, value in content.items():
        if name != "translations":
            setattr(row, name, "" if name == "position" and value is None else value)
    if "translations" in content:
        now = fingerprint({name: getattr(row, name) for name in TRANSLATED})
        row.translations = {language: {"of": now, **said} for language, said in content["translations"].items()}


# ------------------------------------------------------------------ from easier to harder


async def take_turns(session: AsyncSession, clinic_id: UUID) -> None:
    """Wait until nobody else changes what follows what in this clinic: two changes together could make a circle."""
    key = func.hashtextextended(f"exercises of {clinic_id}", 0)
    await session.execute(select(func.pg_advisory_xact_lock(key)))


async def ladder(session: AsyncSession, clinic_id: UUID) -> dict[str, str | None]:
    """Give what follows what in a clinic, retired exercises included; take turns first."""
    links = select(Exercise.code, Exercise.progression_of).where(Exercise.clinic_id == clinic_id)
    return {row.code: row.progression_of for row in await session.execute(links)}


def circle_problem(way: Collection[str]) -> Problem:
    """Say where a chain would run in a circle."""
    return Problem("/progression_of", "progression_circle", f"This would run in a circle: {' → '.join(way)}.")


async def _link(session: AsyncSession, actor: Actor, code: str, easier: str) -> list[Problem]:
    """Say what speaks against letting `code` follow `easier`, and keep others from changing that."""
    await take_turns(session, actor.clinic_id)
    if easier != code and not await by_code(session, actor, [easier], []):
        return [Problem("/progression_of", "unknown_exercise", "There is no exercise of this code.")]
    way = circle({**await ladder(session, actor.clinic_id), code: easier}, code)
    return [circle_problem(way)] if way else []


async def told(session: AsyncSession, actor: Actor, row: Exercise) -> ExerciseRead:
    """Shape one exercise for whoever changed it, as it was written."""
    (exercise,) = await shown(session, actor, [row], ())
    return exercise
