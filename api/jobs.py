"""Jobs over HTTP: for schedulers outside, and for a look at what the clock did.

A scheduler wants to know whether it was done: so a run is over when its answer comes, and what fails is no 2xx. The work
is done in transactions of its own, and the request holds no connection meanwhile.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Annotated

from fastapi import Body, Path, Query, Request
from sqlalchemy.ext.asyncio import AsyncSession

from api import idempotency
from api.dependencies import Caller, Now, Session, in_line
from api.pages import Page
from api.routes import Router
from api.state import state_of
from core.database import give_back
from integrations.channels import Channels, open_channels
from schemas.base import Listing
from schemas.jobs import DeadLetter, DeadLetterKind, JobList, JobRunOut, RunIn
from schemas.pages import Paged
from services import dead_letters, job_board, jobs
from services.access import Actor

router = Router("/v1/jobs", tags=["jobs"])

PATIENCE_SECONDS = 30.0
"""After so long no further letter is begun: a gateway in front may not wait much longer. The rest stays owed."""

DeadLetterId = Annotated[
    str,
    Path(
        pattern=r"^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|queue-[0-9]{1,15})$",
        description="Id in the list of dead letters",
        examples=["0198c0de-7a11-7000-8000-000000000001"],
    ),
]

JobName = Annotated[str, Path(max_length=40, description="Name in the timetable", examples=["check-ins.dispatch"])]


HOW = RunIn()


@router.post("/{job}/runs", status_code=201)
async def run_job(
    job: JobName, request: Request, session: Session, actor: Caller, now: Now, form: Annotated[RunIn, Body()] = HOW
) -> JobRunOut:
    """Run a job for the caller's clinic, now, and answer when it is done; safe to repeat."""
    async with apart(request, session, actor, now), open_channels(state_of(request).settings) as channels:
        return await jobs.start(actor, job, _reach(request, actor, channels), at=now, dry_run=form.dry_run)


@router.get("")
async def list_jobs(session: Session, actor: Caller, now: Now) -> JobList:
    """Give the timetable, each job's last run, and what waits."""
    return await job_board.browse(session, actor, at=now)


@router.get("/dead-letters", response_model=Listing[DeadLetter])
async def list_dead_letters(
    session: Session,
    actor: Caller,
    page: Page,
    kind: Annotated[DeadLetterKind, Query(description="Letters, or jobs of the queue")] = DeadLetterKind.NOTIFICATION,
) -> Paged[DeadLetter]:
    """List what was given up: letters that were dropped or refused, or failed jobs of the queue."""
    return await dead_letters.browse(session, actor, page, kind=kind)


@router.post("/dead-letters/{dead_letter_id}/replay")
async def replay_dead_letter(dead_letter_id: DeadLetterId, session: Session, actor: Caller, now: Now) -> DeadLetter:
    """Send a letter again, or let the queue run a job again; safe to repeat."""
    return await dead_letters.replay(session, actor, dead_letter_id, at=now)


@asynccontextmanager
async def apart(request: Request, session: AsyncSession, actor: Actor, now: datetime) -> AsyncIterator[None]:
    """Give the request's connection and its place in line back while the work is done.

    Its Idempotency-Key is claimed anew afterwards. Of two with the same key that come at once both may work, which does
    no harm, and both are given the answer of the first that is done.
    """
    kept, gate = request.scope["state"], state_of(request).gate
    kept["claim"] = None
    await give_back(session)
    gate.release()
    try:
        yield
    finally:
        await asyncio.shield(gate.acquire())  # also for a request that is cut off: its place is given back once more
    operation = request.scope["route"].unique_id
    kept["claim"] = await idempotency.claim(session, actor, request, operation, kept["body"], at=now)


def _reach(request: Request, actor: Actor, channels: Channels) -> jobs.Reach:
    state = state_of(request)
    assert state.sessions is not None, "the caller was read from the database"
    settings = state.settings
    return jobs.Reach(
        sweeper=state.sessions,
        worker=state.sessions,
        sender=channels.email,
        sms=channels.sms,
        push=channels.push,
        web_push=channels.web_push,
        public_url=settings.public_url,
        clinic_id=actor.clinic_id,
        key=state.tokens.key,
        turn=partial(in_line, request),
        patience=PATIENCE_SECONDS,
    )
