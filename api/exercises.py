"""The exercise library over HTTP."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Response

from api.bodies import Upload
from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.negotiation import AcceptLanguage, told_in
from api.pages import Page
from api.routes import Router
from models.exercises import ExerciseScope
from schemas.base import Line, Listing
from schemas.exercise_files import CSV_EXAMPLE, YAML_EXAMPLE, ExerciseImport, FileFormat
from schemas.exercises import (
    Code,
    Difficulty,
    Equipment,
    ExerciseCreate,
    ExerciseFilter,
    ExerciseMerge,
    ExerciseRead,
    ExerciseType,
    ExerciseUpdate,
    Phase,
)
from schemas.pages import Paged
from schemas.patients import Language
from services import exercises

MEDIA_TYPES: Mapping[FileFormat, str] = {"yaml": "application/yaml", "csv": "text/csv; charset=utf-8"}

_FILE = {"type": "string"}
_EXPORT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file",
        "content": {"application/yaml": {"schema": {}}, "text/csv": {"schema": _FILE}},
    }
}
_IMPORT = {
    "requestBody": {
        "required": True,
        "content": {
            "application/yaml": {"schema": _FILE, "example": YAML_EXAMPLE},
            "text/csv": {"schema": _FILE, "example": CSV_EXAMPLE},
        },
    }
}

router = Router("/v1", tags=["exercises"])

Shown = Annotated[
    Language | None,
    Query(description="Texts in this language or the nearest there is; else `Accept-Language` decides"),
]


async def _wanted(
    accepted: AcceptLanguage,
    scope: ExerciseScope | None = None,
    region: Code | None = None,
    type: ExerciseType | None = None,  # noqa: A002 - the word of the API
    phase: Phase | None = None,
    position: Annotated[
        Annotated[str, Line(100)] | None, Query(description="A part of the position: `lying`, `lying on back`")
    ] = None,
    difficulty: Difficulty | None = None,
    equipment: Annotated[
        Equipment | None, Query(description="One thing that it needs, as it is called there; `none`: nothing at all")
    ] = None,
    search: Annotated[
        Annotated[str, Line(80)] | None, Query(description="Words of the name, perhaps misspelled; best match first")
    ] = None,
    language: Shown = None,
    offered: Annotated[bool, Query(description="Only what therapists offer to the clinic")] = False,  # noqa: FBT002
    retired: Annotated[bool, Query(description="With those that are not for new use")] = False,  # noqa: FBT002
) -> ExerciseFilter:
    return ExerciseFilter(
        scope=scope,
        region=region,
        type=type,
        phase=phase,
        position=position,
        difficulty=difficulty,
        equipment=equipment,
        search=search,
        languages=accepted if language is None else (language,),
        offered=offered,
        retired=retired,
    )


@router.get("/exercises", response_model=Listing[ExerciseRead])
async def list_exercises(
    session: Session,
    actor: Caller,
    page: Page,
    wanted: Annotated[ExerciseFilter, Depends(_wanted)],
    response: Response,
) -> Paged[ExerciseRead]:
    """Browse the exercises that you may use."""
    paged = await exercises.browse(session, actor, wanted, page)
    told_in(response, (one.shown_in for one in paged.items))
    return paged


@router.post("/exercises", status_code=201)
async def create_exercise(
    session: Session, actor: Caller, form: ExerciseCreate, now: Now, response: Response
) -> ExerciseRead:
    """Add an exercise to your own shelf, or to the clinic's."""
    exercise = await exercises.create(session, actor, form, at=now)
    created(response, f"/v1/exercises/{exercise.id}", exercise.version)
    return exercise


@router.get("/exercise-files", response_class=Response, responses=_EXPORT)
async def export_exercises(
    session: Session,
    actor: Caller,
    now: Now,
    format: Annotated[FileFormat, Query(description="YAML to write, CSV for a spreadsheet")] = "yaml",  # noqa: A002
    scope: ExerciseScope | None = None,
) -> Response:
    """Write the exercises that you may use to a file, retired ones included; read in again, it changes nothing."""
    text = await exercises.export(session, actor, format, scope=scope, at=now)
    headers = {"Content-Disposition": f'attachment; filename="exercises.{format}"'}
    return Response(text, media_type=MEDIA_TYPES[format], headers=headers)


@router.post("/exercise-files", openapi_extra=_IMPORT)
async def import_exercises(
    session: Session,
    actor: Caller,
    now: Now,
    file: Upload,
    dry_run: Annotated[bool, Query(description="Write nothing: tell what would happen, and all that is wrong")] = False,  # noqa: FBT002
) -> ExerciseImport:
    """Add and change exercises by a file, by their codes: all of them, or none."""
    return await exercises.load(session, actor, file.kind, file.text, dry_run=dry_run, at=now)


@router.get("/exercises/{exercise_id}")
async def get_exercise(
    session: Session,
    actor: Caller,
    exercise_id: UUID,
    accepted: AcceptLanguage,
    response: Response,
    language: Shown = None,
) -> ExerciseRead:
    """Look at one exercise."""
    languages = accepted if language is None else (language,)
    exercise = await exercises.get(session, actor, exercise_id, languages=languages)
    told_in(response, [exercise.shown_in])
    etag(response, exercise.version, exercise)
    return exercise


@router.patch("/exercises/{exercise_id}")
async def update_exercise(
    session: Session,
    actor: Caller,
    exercise_id: UUID,
    form: ExerciseUpdate,
    expected: IfMatch,
    now: Now,
    response: Response,
) -> ExerciseRead:
    """Change, offer or retire an exercise of yours, or translate any; programs in force keep what they prescribed."""
    exercise = await exercises.update(session, actor, exercise_id, form, expected=expected, at=now)
    etag(response, exercise.version)
    return exercise


@router.post("/exercises/{exercise_id}/promote")
async def promote_exercise(
    session: Session, actor: Caller, exercise_id: UUID, expected: IfMatch, now: Now, response: Response
) -> ExerciseRead:
    """Make an exercise that a therapist offers the clinic's, as you have read it."""
    exercise = await exercises.promote(session, actor, exercise_id, expected=expected, at=now)
    etag(response, exercise.version)
    return exercise


@router.post("/exercises/{exercise_id}/merge")
async def merge_exercise(
    session: Session,
    actor: Caller,
    exercise_id: UUID,
    form: ExerciseMerge,
    expected: IfMatch,
    now: Now,
    response: Response,
) -> ExerciseRead:
    """Retire a duplicate in favour of another exercise; programs in force keep what they prescribed."""
    exercise = await exercises.merge(session, actor, exercise_id, form, expected=expected, at=now)
    etag(response, exercise.version)
    return exercise
