"""Reading the exercise library: lists, one exercise, in the caller's language."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Integer, Text, and_, cast, func, or_, select
from sqlalchemy.dialects.postgresql import JSONPATH
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.education import language_rank
from core.errors import NotFound
from models.exercises import Exercise, ExerciseScope
from models.identity import Role
from schemas.exercises import ExerciseFilter, ExerciseRead
from schemas.pages import Page, Paged, fetch
from services.access import Action, Actor, require

TRANSLATED = ("name", "instructions", "cues", "precautions")
"""What a translation says in another language."""

ALIKE = 0.4
"""How alike a word and a part of the name must be (0 to 1, by their trigrams): a letter left out, doubled or swapped."""

NOTHING = "none"
"""Says, in place of a piece of equipment, that an exercise must need none."""

EXACT = 1_000
"""The likeness of a word that stands in the name as it was typed, in thousandths."""


async def browse(session: AsyncSession, actor: Actor, wanted: ExerciseFilter, page: Page) -> Paged[ExerciseRead]:
    """Exercises that the caller may use, by name; of a search the best match first. Patients see no therapist's own."""
    require(actor, Action.READ_EXERCISES)
    query = select(Exercise).where(visible(actor))
    if not wanted.retired:
        query = query.where(Exercise.retired_at.is_(None))
    if wanted.offered:
        query = query.where(Exercise.offered_at.is_not(None))
    if wanted.region is not None:
        query = query.where(
            or_(Exercise.target_region == wanted.region, Exercise.body_regions.contains([wanted.region]))
        )
    for column, value in (
        (Exercise.scope, wanted.scope),
        (Exercise.type, wanted.type),
        (Exercise.phase, wanted.phase),
        (Exercise.difficulty, wanted.difficulty),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.position is not None:
        query = query.where(Exercise.position.icontains(wanted.position, autoescape=True))
    if wanted.equipment is not None:
        needs = Exercise.equipment.contains([wanted.equipment])
        query = query.where(func.cardinality(Exercise.equipment) == 0 if wanted.equipment == NOTHING else needs)
    keys: tuple[Any, ...] = (Exercise.name, Exercise.id)
    if wanted.search is not None:
        words = [_likeness(word) for word in wanted.search.lower().split()[:8]]
        query = query.where(*(word >= round(ALIKE * EXACT) for word in words))
        keys = (sum(-word for word in words), *keys)
    paged = await fetch(session, query, page, keys=keys)
    return Paged(await shown(session, actor, paged.items, wanted.languages), paged.next_cursor)


async def get(session: AsyncSession, actor: Actor, exercise_id: UUID, *, languages: Sequence[str] = ()) -> ExerciseRead:
    """One exercise, retired or not, in the first of these languages or the nearest there is. Raises NotFound."""
    require(actor, Action.READ_EXERCISES)
    found = await session.scalar(select(Exercise).where(visible(actor), Exercise.id == exercise_id))
    if found is None:
        raise NotFound
    (exercise,) = await shown(session, actor, [found], languages)
    return exercise


async def by_code(session: AsyncSession, actor: Actor, codes: Collection[str], ids: Collection[UUID]) -> list[Exercise]:
    """Exercises that the caller may use, by code or id, retired ones included; unknown ones are not among them."""
    query = select(Exercise).where(usable(actor), or_(Exercise.code.in_(codes), Exercise.id.in_(ids)))
    return list(await session.scalars(query))


def usable(actor: Actor) -> ColumnElement[bool]:
    """Say which exercises the caller may prescribe, link to or build on: the shared ones, and his own."""
    own = and_(Exercise.scope == ExerciseScope.OWN, Exercise.owner_id == actor.therapist_id)
    shared = Exercise.scope.in_([ExerciseScope.LIBRARY, ExerciseScope.CLINIC])
    return and_(Exercise.clinic_id == actor.clinic_id, shared if actor.therapist_id is None else or_(shared, own))


def visible(actor: Actor) -> ColumnElement[bool]:
    """Say which exercises the caller may see; to an admin also those that are offered to the clinic."""
    if actor.role is not Role.CLINIC_ADMIN:
        return usable(actor)
    return or_(usable(actor), and_(Exercise.clinic_id == actor.clinic_id, Exercise.offered_at.is_not(None)))


async def shown(
    session: AsyncSession, actor: Actor, rows: Collection[Exercise], languages: Sequence[str]
) -> list[ExerciseRead]:
    """Shape exercises for the caller, each with the harder ones that he may use."""
    harder: dict[str, list[str]] = {row.code: [] for row in rows}
    links = select(Exercise.progression_of, Exercise.code).where(
        usable(actor), Exercise.progression_of.in_(harder), Exercise.retired_at.is_(None)
    )
    for easier, code in await session.execute(links.order_by(Exercise.code)):
        harder[str(easier)].append(code)
    return [_shown(row, harder[row.code], languages) for row in rows]


def localized(row: Exercise, languages: Sequence[str]) -> Mapping[str, Any]:
    """Give all columns of an exercise, its texts in the first of these languages, or the nearest, that is up to date.

    Of equals the original; without a language, the original.
    """
    columns = {name: getattr(row, name) for name in Exercise.__mapper__.column_attrs.keys()}  # noqa: SIM118 - no dict
    best = row.language
    if languages:
        current = [row.language, *(each for each in row.translations if not _outdated(row, each))]
        best = min(current, key=lambda each: (language_rank(languages, each), each != row.language, each))
    texts = {} if best == row.language else {name: row.translations[best][name] for name in TRANSLATED}
    return {**columns, **texts, "shown_in": best}


def fingerprint(texts: Mapping[str, Any]) -> str:
    """Give the fingerprint of the texts that a translation translates."""
    return hashlib.sha256(orjson.dumps([texts[name] for name in TRANSLATED])).hexdigest()[:16]


def _outdated(row: Exercise, language: str) -> bool:
    original = fingerprint({name: getattr(row, name) for name in TRANSLATED})
    return bool(row.translations[language]["of"] != original)


def _shown(row: Exercise, harder: Iterable[str], languages: Sequence[str]) -> ExerciseRead:
    translations = {name: {**said, "outdated": _outdated(row, name)} for name, said in row.translations.items()}
    whole = {**localized(row, languages), "translations": translations, "regression_of": list(harder)}
    return ExerciseRead.model_validate({name: whole[name] for name in ExerciseRead.model_fields})


def _likeness(word: str) -> ColumnElement[int]:
    """Say how well a word fits the names of an exercise, in thousandths.

    No index could answer this: row-level security lets none look for what is alike before it knows whose row it is. So
    the few hundred exercises of one clinic are compared, which takes milliseconds.
    """
    translated = cast(func.jsonb_path_query_array(Exercise.translations, cast("$.*.name", JSONPATH)), Text)
    names = func.lower(func.concat(Exercise.name, " ", translated))
    alike = cast(func.word_similarity(word, names) * (EXACT - 1), Integer)
    return func.greatest(alike, cast(names.contains(word, autoescape=True), Integer) * EXACT, type_=Integer())
