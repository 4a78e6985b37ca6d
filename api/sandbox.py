"""The clock of a sandbox over HTTP. Everywhere else there is nothing here: 404."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Annotated

from fastapi import Depends, Request, Response, status

from api.dependencies import Caller, Now, Session
from api.jobs import apart
from api.routes import Router
from api.state import state_of
from core import clock
from core.database import make_engine, make_sessions
from core.errors import NotFound
from core.settings import Settings
from integrations.channels import open_channels
from schemas.sandbox import ClockMove, ClockMoved, ClockOut
from services import jobs, sandbox
from services.authentication import Tokens

router = Router("/v1/sandbox", tags=["sandbox"])

PATIENCE_SECONDS = 45.0
"""After so long no further instant is begun; the answer says how far the clock has come."""


async def _settings(request: Request, session: Session, actor: Caller) -> Settings:
    """Give the settings of a sandbox, to those who may move its clock. Raises NotFound, Forbidden."""
    settings = state_of(request).settings
    if not settings.sandbox or await sandbox.ahead(session) is None:
        raise NotFound
    sandbox.check(actor)
    return settings


Sandbox = Annotated[Settings, Depends(_settings)]


@router.get("/clock")
async def get_sandbox_clock(_settings: Sandbox, now: Now) -> ClockOut:
    """Tell what the clock of the sandbox shows."""
    ahead = now - clock.real()
    return ClockOut(now=now, ahead_seconds=max(0, round(ahead / timedelta(seconds=1))))


@router.post("/clock", responses={202: {"model": ClockMoved, "description": "On the way: send the same `to` again"}})
async def move_sandbox_clock(
    form: ClockMove, request: Request, session: Session, actor: Caller, now: Now, settings: Sandbox, response: Response
) -> ClockMoved:
    """Move the clock of all clinics of the sandbox ahead, and let happen in order what would have happened."""
    async with apart(request, session, actor, now), _reach(settings, state_of(request).tokens) as reach:
        hands = sandbox.Hands(clock.real, clock.move, PATIENCE_SECONDS)
        moved = await sandbox.move(actor, form, reach, hands)
    response.status_code = status.HTTP_200_OK if moved.reached else status.HTTP_202_ACCEPTED
    return moved


@asynccontextmanager
async def _reach(settings: Settings, tokens: Tokens) -> AsyncIterator[jobs.Reach]:
    """Give what a worker works with: a sandbox's API knows the addresses of its roles."""
    assert settings.sweeper_database_url is not None, "PHYSIO_SWEEPER_DATABASE_URL"
    assert settings.worker_database_url is not None, "PHYSIO_WORKER_DATABASE_URL"
    sweeper = make_engine(
        settings.sweeper_database_url.get_secret_value(), pool_size=2, application_name="physio-clock"
    )
    worker = make_engine(settings.worker_database_url.get_secret_value(), pool_size=1, application_name="physio-clock")
    channels = open_channels(settings)
    try:
        yield jobs.Reach(
            sweeper=make_sessions(sweeper),
            worker=make_sessions(worker),
            sender=channels.email,
            sms=channels.sms,
            push=channels.push,
            web_push=channels.web_push,
            public_url=settings.public_url,
            key=tokens.key,
        )
    finally:
        await channels.close()
        await sweeper.dispose()
        await worker.dispose()
