"""Brings the shipped exercise library into a clinic's own shelf. A program pins what it prescribed, so this is safe."""

from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import Table, func, or_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from models.exercises import Exercise, ExerciseScope

CONTENT = (
    "name",
    "target_region",
    "body_regions",
    "type",
    "phase",
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

SHELF: Table = Exercise.metadata.tables[Exercise.__tablename__]


async def sync(session: AsyncSession, clinic_id: UUID) -> int:
    """Write the shipped exercises into the clinic by their code; return how many were new or changed.

    Safe to repeat: an exercise that is the same is not touched, so its version and moment of change stay. A clinic's or
    therapist's own exercise under the same code is never overwritten.
    """
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


@cache
def _rows() -> list[dict[str, Any]]:
    contents = {code: exercise.model_dump(mode="json") for code, exercise in load().exercises.items()}
    return [
        {"scope": ExerciseScope.LIBRARY, "code": code, **{name: content[name] for name in CONTENT}}
        for code, content in contents.items()
    ]
