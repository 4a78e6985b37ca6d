"""The exercise library over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.exercises import Exercise, ExerciseScope
from schemas.base import Line, Listing
from schemas.exercises import (
    Code,
    ExerciseCreate,
    ExerciseFilter,
    ExerciseRead,
    ExerciseType,
    ExerciseUpdate,
    Phase,
)
from schemas.pages import Paged
from services import exercises

router = Router("/v1/exercises", tags=["exercises"])


async def _wanted(
    scope: ExerciseScope | None = None,
    region: Code | None = None,
    type: ExerciseType | None = None,  # noqa: A002 - the word of the API
    phase: Phase | None = None,
    position: Annotated[str, Line(100)] | None = None,
    equipment: Code | None = None,
    search: Annotated[Annotated[str, Line(80)] | None, Query(description="Words of the name")] = None,
    retired: Annotated[bool, Query(description="With those that are not for new use")] = False,  # noqa: FBT002
) -> ExerciseFilter:
    return ExerciseFilter(
        scope=scope,
        region=region,
        type=type,
        phase=phase,
        position=position,
        equipment=equipment,
        search=search,
        retired=retired,
    )


@router.get("", response_model=Listing[ExerciseRead])
async def list_exercises(
    session: Session, actor: Caller, page: Page, wanted: Annotated[ExerciseFilter, Depends(_wanted)]
) -> Paged[Exercise]:
    """Browse the exercises that you may use."""
    return await exercises.browse(session, actor, wanted, page)


@router.post("", status_code=201, response_model=ExerciseRead)
async def create_exercise(
    session: Session, actor: Caller, form: ExerciseCreate, now: Now, response: Response
) -> Exercise:
    """Add an exercise to your own shelf, or to the clinic's."""
    row = await exercises.create(session, actor, form, at=now)
    created(response, f"/v1/exercises/{row.id}", row.version)
    return row


@router.get("/{exercise_id}", response_model=ExerciseRead)
async def get_exercise(session: Session, actor: Caller, exercise_id: UUID, response: Response) -> Exercise:
    """Look at one exercise."""
    row = await exercises.get(session, actor, exercise_id)
    etag(response, row.version)
    return row


@router.patch("/{exercise_id}", response_model=ExerciseRead)
async def update_exercise(
    session: Session,
    actor: Caller,
    exercise_id: UUID,
    form: ExerciseUpdate,
    expected: IfMatch,
    now: Now,
    response: Response,
) -> Exercise:
    """Change or retire an exercise of yours; programs in force keep what they prescribed."""
    row = await exercises.update(session, actor, exercise_id, form, expected=expected, at=now)
    etag(response, row.version)
    return row
