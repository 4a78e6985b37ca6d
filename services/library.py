"""Brings shipped exercises and articles onto a clinic's own shelf. What was prescribed or given is pinned, so it is safe."""

from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Table, case, func, null, or_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from models.articles import Article, ArticleScope, ArticleStatus
from models.exercises import Exercise, ExerciseScope

CONTENT = (
    "name",
    "target_region",
    "body_regions",
    "type",
    "phase",
    "difficulty",
    "position",
    "equipment",
    "default_dosage",
    "instructions",
    "cues",
    "contraindications",
    "precautions",
    "progression_of",
    "tags",
)

ARTICLE_CONTENT = ("title", "topic", "reading_level", "concepts", "body", "sources", "check_question")

SHELF: Table = Exercise.metadata.tables[Exercise.__tablename__]
ARTICLES: Table = Article.metadata.tables[Article.__tablename__]


async def sync(session: AsyncSession, clinic_id: UUID) -> int:
    """Write what is shipped into the clinic by its code; return how many exercises and articles were new or changed.

    Safe to repeat: what is the same is not touched, so its version and moment of change stay. A clinic's or
    therapist's own under the same code is never overwritten.
    """
    return await _exercises(session, clinic_id) + await _articles(session, clinic_id)


async def _exercises(session: AsyncSession, clinic_id: UUID) -> int:
    rows = [{"clinic_id": clinic_id, **row} for row in _rows()]
    statement = insert(SHELF)
    new = statement.excluded
    upsert = statement.on_conflict_do_update(
        index_elements=[Exercise.clinic_id, Exercise.code],
        set_={
            **{name: getattr(new, name) for name in CONTENT},
            "version": Exercise.version + 1,
            "updated_at": func.now(),
        },
        where=(Exercise.scope == ExerciseScope.LIBRARY)
        & or_(*(getattr(Exercise, name).is_distinct_from(getattr(new, name)) for name in CONTENT)),
    )
    # Rows as parameters: the statement is compiled once, not anew with seventy rows of VALUES for every clinic.
    return len((await session.execute(upsert.returning(SHELF.c.id), rows)).all())


async def _articles(session: AsyncSession, clinic_id: UUID) -> int:
    """Write the shipped articles. One whose text has changed waits for approval again; a retired one stays retired."""
    statement = insert(ARTICLES)
    new = statement.excluded
    upsert = statement.on_conflict_do_update(
        index_elements=[Article.clinic_id, Article.code, Article.language],
        set_={
            **{name: getattr(new, name) for name in ARTICLE_CONTENT},
            "status": case((Article.status == ArticleStatus.RETIRED, Article.status), else_=ArticleStatus.DRAFT),
            "approved_at": null(),
            "approved_by_id": null(),
            "version": Article.version + 1,
            "updated_at": func.now(),
        },
        where=(Article.scope == ArticleScope.LIBRARY)
        & or_(*(getattr(Article, name).is_distinct_from(getattr(new, name)) for name in ARTICLE_CONTENT)),
    )
    rows = [{"clinic_id": clinic_id, **row} for row in _article_rows()]
    return len((await session.execute(upsert.returning(ARTICLES.c.id), rows)).all())


@cache
def _article_rows() -> list[dict[str, Any]]:
    shelf = load().education_file
    return [
        {
            "scope": ArticleScope.LIBRARY,
            "language": shelf.language,
            "reading_level": shelf.reading_level,
            "check_question": article.check.model_dump(mode="json"),
            **article.model_dump(mode="json", exclude={"check"}),
        }
        for article in shelf.articles
    ]


@cache
def _rows() -> list[dict[str, Any]]:
    contents = {code: exercise.model_dump(mode="json") for code, exercise in load().exercises.items()}
    return [
        {"scope": ExerciseScope.LIBRARY, "code": code, **{name: content[name] for name in CONTENT}}
        for code, content in contents.items()
    ]
