"""Programs to begin from, over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.program_templates import ProgramTemplate, TemplateScope
from schemas.base import Listing
from schemas.pages import Paged
from schemas.program_templates import (
    ProgramTemplateCreate,
    ProgramTemplateRead,
    ProgramTemplateSummary,
    ProgramTemplateUpdate,
    ProgramTemplateUse,
)
from schemas.programs import ProgramRead
from services import program_templates

router = Router("/v1", tags=["programs"])


@router.get("/program-templates", response_model=Listing[ProgramTemplateSummary])
async def list_program_templates(
    session: Session,
    actor: Caller,
    page: Page,
    scope: TemplateScope | None = None,
    retired: Annotated[bool, Query(description="With those that are not for new use")] = False,  # noqa: FBT002
) -> Paged[ProgramTemplate]:
    """List the templates that you may use, by name."""
    return await program_templates.browse(session, actor, page, scope=scope, retired=retired)


@router.post("/program-templates", status_code=201)
async def create_program_template(
    session: Session, actor: Caller, form: ProgramTemplateCreate, now: Now, response: Response
) -> ProgramTemplateRead:
    """Keep a program to begin from, on your own shelf or the clinic's."""
    template = await program_templates.create(session, actor, form, at=now)
    created(response, f"/v1/program-templates/{template.id}", template.version)
    return template


@router.get("/program-templates/{template_id}")
async def get_program_template(
    session: Session, actor: Caller, template_id: UUID, response: Response
) -> ProgramTemplateRead:
    """Read a template."""
    template = await program_templates.get(session, actor, template_id)
    etag(response, template.version)
    return template


@router.patch("/program-templates/{template_id}")
async def update_program_template(
    session: Session,
    actor: Caller,
    template_id: UUID,
    form: ProgramTemplateUpdate,
    expected: IfMatch,
    now: Now,
    response: Response,
) -> ProgramTemplateRead:
    """Change or retire a template; programs that were made from it stay as they are."""
    template = await program_templates.update(session, actor, template_id, form, expected=expected, at=now)
    etag(response, template.version)
    return template


@router.post("/episodes/{episode_id}/programs/from-template", status_code=201)
async def create_program_from_template(
    session: Session, actor: Caller, episode_id: UUID, form: ProgramTemplateUse, now: Now, response: Response
) -> ProgramRead:
    """Write a draft from a template; exercises that are not for new use, or not for this patient, are refused."""
    program = await program_templates.use(session, actor, episode_id, form, at=now)
    created(response, f"/v1/programs/{program.id}", program.version)
    return program
