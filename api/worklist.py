"""The therapist's caseload over HTTP, and the filters he keeps for it."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.alerts import AlertLevel
from models.episodes import EpisodeStatus
from models.worklist_views import WorklistView
from schemas.base import Listing
from schemas.pages import Paged
from schemas.worklist import BodyRegion, Reason, WorklistEntry, WorklistFilters
from schemas.worklist_views import WorklistViewChange, WorklistViewCreate, WorklistViewRead
from services import worklist, worklist_views

router = Router("/v1/worklist", tags=["worklist"])


async def _wanted(
    reason: Annotated[list[Reason], Query(max_length=len(Reason), description="With one of these reasons")] = [],  # noqa: B006
    level: Annotated[
        list[AlertLevel], Query(max_length=len(AlertLevel), description="With an unresolved alert of such a level")
    ] = [],  # noqa: B006
    episode_status: Annotated[
        list[EpisodeStatus], Query(max_length=len(EpisodeStatus), description="Whose episode is in such a status")
    ] = [],  # noqa: B006
    body_region: Annotated[
        list[BodyRegion], Query(max_length=40, description="Whose episode is about such a region")
    ] = [],  # noqa: B006
    lead_only: Annotated[bool, Query(description="Only those whom you lead")] = False,  # noqa: FBT002
    overdue_only: Annotated[  # noqa: FBT002
        bool, Query(description="Only those with an alert that nobody acknowledged in time")
    ] = False,
) -> WorklistFilters:
    return WorklistFilters(
        reason=reason,
        level=level,
        episode_status=episode_status,
        body_region=body_region,
        lead_only=lead_only,
        overdue_only=overdue_only,
    )


@router.get("", response_model=Listing[WorklistEntry])
async def list_worklist(
    session: Session,
    actor: Caller,
    page: Page,
    now: Now,
    wanted: Annotated[WorklistFilters, Depends(_wanted)],
    search: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=100,
            pattern=r"^[^\x00-\x1f\x7f]+$",
            description="The beginning of the family or given name in any case, or a whole record number",
        ),
    ] = None,
) -> Paged[WorklistEntry]:
    """List your patients, the most urgent first, each with the reasons."""
    return await worklist.browse(session, actor, page, wanted=wanted, search=search, at=now)


@router.get("/views", response_model=Listing[WorklistViewRead])
async def list_worklist_views(session: Session, actor: Caller, page: Page) -> Paged[WorklistView]:
    """List the views you keep, oldest first."""
    return await worklist_views.browse(session, actor, page)


@router.post("/views", status_code=201, response_model=WorklistViewRead)
async def create_worklist_view(
    session: Session, actor: Caller, form: WorklistViewCreate, now: Now, response: Response
) -> WorklistView:
    """Keep filters of the worklist under a name, for yourself; at most 20."""
    row = await worklist_views.create(session, actor, form, at=now)
    created(response, "/v1/worklist/views", row.version)
    return row


@router.patch("/views/{view_id}", response_model=WorklistViewRead)
async def update_worklist_view(
    session: Session,
    actor: Caller,
    view_id: UUID,
    change: WorklistViewChange,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> WorklistView:
    """Change the name or the filters of a view you keep."""
    row = await worklist_views.update(session, actor, view_id, change, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.delete("/views/{view_id}", status_code=204)
async def delete_worklist_view(session: Session, actor: Caller, view_id: UUID, if_match: IfMatch, now: Now) -> None:
    """Remove a view you keep."""
    await worklist_views.remove(session, actor, view_id, version=if_match, at=now)
