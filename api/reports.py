"""Reports over HTTP: as JSON, or as the PDF that is sent."""

from functools import partial
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.negotiation import JSON, PDF, Accept, Drawn, choose
from api.routes import Router
from schemas.reports import NarrativeUpdate, ReportCreate, ReportRead
from services import documents, reports

router = Router("/v1", tags=["reports"])

_FORMS: dict[int | str, dict[str, Any]] = {
    200: {"content": {PDF: {"schema": {"type": "string", "format": "binary"}}}, "description": "The report"}
}


@router.post("/episodes/{episode_id}/reports", status_code=201, response_model=ReportRead)
async def create_report(
    session: Session, actor: Caller, episode_id: UUID, form: ReportCreate, now: Now, response: Response
) -> ReportRead:
    """Build a report over a period as a draft, and freeze what it says about it."""
    made = await reports.create(session, actor, episode_id, form, at=now)
    created(response, f"/v1/reports/{made.id}", made.version)
    return made


@router.get("/reports/{report_id}", response_model=ReportRead, responses=_FORMS)
async def get_report(
    session: Session,
    actor: Caller,
    report_id: UUID,
    now: Now,
    accept: Accept,
    response: Response,
    paper: Annotated[documents.Paper | None, Query(description="For PDF; by default the clinic's paper")] = None,
) -> ReportRead | Response:
    """Give a report as JSON or PDF, by Accept; patients see signed ones only."""
    if choose(accept, [JSON, PDF]) == PDF:
        made, used = await reports.printed(session, actor, report_id, paper=paper, at=now)
        headers = {
            "ETag": f'"{made.version}-{used}"',
            "Vary": "Accept",
            "Content-Disposition": f'inline; filename="report-{made.id}.pdf"',
        }
        return Drawn(partial(documents.progress_report, made.snapshot, paper=used), PDF, headers)
    read = await reports.get(session, actor, report_id, at=now)
    etag(response, read.version)
    response.headers["Vary"] = "Accept"
    return read


@router.patch("/reports/{report_id}", response_model=ReportRead)
async def update_report(
    session: Session,
    actor: Caller,
    report_id: UUID,
    change: NarrativeUpdate,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> ReportRead:
    """Change the narrative of a draft, part by part: null empties one, the others stay."""
    made = await reports.update(session, actor, report_id, change, version=if_match, at=now)
    etag(response, made.version)
    return made


@router.post("/reports/{report_id}/sign", response_model=ReportRead)
async def sign_report(
    session: Session, actor: Caller, report_id: UUID, if_match: IfMatch, now: Now, response: Response
) -> ReportRead:
    """Sign a draft, for good."""
    made = await reports.sign(session, actor, report_id, version=if_match, at=now)
    etag(response, made.version)
    return made
