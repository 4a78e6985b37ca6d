"""Brings the shipped exercise library into a clinic's own shelf. A program pins what it prescribed, so this is safe."""

from typing import Any
from uuid import UUID

from sqlalchemy import func, literal_column, or_
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


async def sync(session: AsyncSession, clinic_id: UUID) -> int:
    """Write the shipped exercises into the clinic by their code; return how many were new or changed.

    Safe to repeat: an exercise that is the same is not touched, so its version and moment of change stay. A clinic's or
    therapist's own exercise under the same code is never overwritten.
    """
    rows = [_row(clinic_id, exercise) for exercise in load().exercises.values()]
    statement = insert(Exercise).values(rows)
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
    return len((await session.execute(upsert.returning(literal_column("1")))).all())


def _row(clinic_id: UUID, exercise: Any) -> dict[str, Any]:
    content = exercise.model_dump(mode="json")
    return {
        "clinic_id": clinic_id,
        "scope": ExerciseScope.LIBRARY,
        "code": exercise.code,
        **{name: content[name] for name in CONTENT},
    }
