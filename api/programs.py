"""Exercise programs over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.programs import Program
from schemas.base import Listing
from schemas.pages import Paged
from schemas.programs import (
    ProgramCreate,
    ProgramDiff,
    ProgramPauseIn,
    ProgramPhases,
    ProgramRead,
    ProgramReason,
    ProgramSummary,
    ProgramVersionCreate,
)
from services import program_phases, programs

router = Router("/v1", tags=["programs"])


@router.post("/episodes/{episode_id}/programs", status_code=201)
async def create_program(
    session: Session, actor: Caller, episode_id: UUID, form: ProgramCreate, now: Now, response: Response
) -> ProgramRead:
    """Write a program as a draft; doses that are left out come from the exercise library."""
    program = await programs.create(session, actor, episode_id, form, at=now)
    created(response, f"/v1/programs/{program.id}", program.version)
    return program


@router.get("/episodes/{episode_id}/programs", response_model=Listing[ProgramSummary])
async def list_programs(session: Session, actor: Caller, episode_id: UUID, page: Page, now: Now) -> Paged[Program]:
    """List an episode's programs, newest first."""
    return await programs.browse(session, actor, episode_id, page, at=now)


@router.get("/programs/{program_id}")
async def get_program(
    session: Session,
    actor: Caller,
    program_id: UUID,
    now: Now,
    response: Response,
    version: Annotated[int | None, Query(ge=1, le=1_000_000, description="Show this version in full")] = None,
) -> ProgramRead:
    """Read a program with its versions; while a red flag suspends it, patients read what to do instead."""
    program = await programs.get(session, actor, program_id, number=version, at=now)
    etag(response, program.version, program)
    return program


@router.get("/programs/{program_id}/diff")
async def compare_program(
    session: Session,
    actor: Caller,
    program_id: UUID,
    now: Now,
    from_: Annotated[
        int | None, Query(alias="from", ge=1, le=1_000_000, description="A version; left out, the one before `to`")
    ] = None,
    to: Annotated[int | None, Query(ge=1, le=1_000_000, description="A version; left out, the newest")] = None,
) -> ProgramDiff:
    """Tell what changed between two versions, field by field and in words for the patient."""
    return await programs.compare(session, actor, program_id, from_=from_, to=to, at=now)


@router.get("/programs/{program_id}/phases")
async def get_program_phases(session: Session, actor: Caller, program_id: UUID, now: Now) -> ProgramPhases:
    """Tell where a program stands: which criteria of its phase and of the next are met, and by what."""
    return await program_phases.get(session, actor, program_id, at=now)


@router.post("/programs/{program_id}/versions", status_code=201)
async def create_program_version(
    session: Session,
    actor: Caller,
    program_id: UUID,
    form: ProgramVersionCreate,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> ProgramRead:
    """Change what a program prescribes from a day on: a new version with its reason; earlier ones stay as they were."""
    program = await program_phases.create_version(session, actor, program_id, form, version=if_match, at=now)
    created(response, f"/v1/programs/{program_id}?version={program.versions[-1].number}", program.version)
    return program


@router.post("/programs/{program_id}/activate")
async def activate_program(
    session: Session, actor: Caller, program_id: UUID, if_match: IfMatch, now: Now, response: Response
) -> ProgramRead:
    """Put a draft into use; the refusal lists everything that is still missing."""
    program = await programs.activate(session, actor, program_id, version=if_match, at=now)
    etag(response, program.version)
    return program


@router.post("/programs/{program_id}/pause")
async def pause_program(
    session: Session,
    actor: Caller,
    program_id: UUID,
    form: ProgramPauseIn,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> ProgramRead:
    """Plan nothing from today until the program is resumed."""
    program = await programs.pause(session, actor, program_id, form, version=if_match, at=now)
    etag(response, program.version)
    return program


@router.post("/programs/{program_id}/resume")
async def resume_program(
    session: Session,
    actor: Caller,
    program_id: UUID,
    form: ProgramReason,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> ProgramRead:
    """Resume a paused program, or one that a red flag suspended once that is closed and a new screen is clear."""
    program = await programs.resume(session, actor, program_id, form, version=if_match, at=now)
    etag(response, program.version)
    return program


@router.post("/programs/{program_id}/complete")
async def complete_program(
    session: Session,
    actor: Caller,
    program_id: UUID,
    form: ProgramReason,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> ProgramRead:
    """End a program; what was done stays on record."""
    program = await programs.complete(session, actor, program_id, form, version=if_match, at=now)
    etag(response, program.version)
    return program
