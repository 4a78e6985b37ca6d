"""Episodes of care over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.episodes import Episode, EpisodeStatus
from schemas.base import Listing
from schemas.episodes import EpisodeChange, EpisodeCreate, EpisodeDetail, EpisodeRead, EpisodeReason
from schemas.pages import Paged
from services import episodes

router = Router("/v1", tags=["episodes"])


@router.get("/patients/{patient_id}/episodes", response_model=Listing[EpisodeRead])
async def list_episodes(
    session: Session,
    actor: Caller,
    patient_id: UUID,
    page: Page,
    now: Now,
    status: Annotated[EpisodeStatus | None, Query(description="Only episodes in this status")] = None,
) -> Paged[Episode]:
    """List a patient's episodes, newest first."""
    return await episodes.browse(session, actor, patient_id, page, status=status, at=now)


@router.post("/patients/{patient_id}/episodes", status_code=201, response_model=EpisodeRead)
async def create_episode(
    session: Session, actor: Caller, patient_id: UUID, form: EpisodeCreate, now: Now, response: Response
) -> Episode:
    """Open an episode of care, at intake or as referred."""
    row = await episodes.create(session, actor, patient_id, form, at=now)
    created(response, f"/v1/episodes/{row.id}", row.version)
    return row


@router.get("/episodes/{episode_id}")
async def get_episode(session: Session, actor: Caller, episode_id: UUID, now: Now, response: Response) -> EpisodeDetail:
    """Give an episode with its assessments."""
    read = await episodes.get(session, actor, episode_id, at=now)
    etag(response, read.version, read)
    return read


@router.patch("/episodes/{episode_id}", response_model=EpisodeRead)
async def update_episode(
    session: Session,
    actor: Caller,
    episode_id: UUID,
    change: EpisodeChange,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> Episode:
    """Change an episode's title, region, codes or onset, or move it on."""
    row = await episodes.update(session, actor, episode_id, change, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/episodes/{episode_id}/hold", response_model=EpisodeRead)
async def hold_episode(
    session: Session,
    actor: Caller,
    episode_id: UUID,
    form: EpisodeReason,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> Episode:
    """Hold an episode; its program and check-in plans are paused."""
    row = await episodes.hold(session, actor, episode_id, form, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/episodes/{episode_id}/discharge", response_model=EpisodeRead)
async def discharge_episode(
    session: Session,
    actor: Caller,
    episode_id: UUID,
    form: EpisodeReason,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> Episode:
    """Discharge: episode, program and check-in plans end; refused while a warning sign waits for a clinician."""
    row = await episodes.discharge(session, actor, episode_id, form, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/episodes/{episode_id}/reopen", response_model=EpisodeRead)
async def reopen_episode(
    session: Session,
    actor: Caller,
    episode_id: UUID,
    form: EpisodeReason,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> Episode:
    """Make a held or discharged episode active again; program and check-in plans wait to be resumed."""
    row = await episodes.reopen(session, actor, episode_id, form, version=if_match, at=now)
    etag(response, row.version)
    return row
