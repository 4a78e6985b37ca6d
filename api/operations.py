"""Probes: whether the process is alive, and whether it may be given work."""

import asyncio
import time
from enum import StrEnum
from typing import Annotated, Literal

import sqlalchemy.exc
from fastapi import Query, Request, Response
from sqlalchemy import text

from api.routes import Router
from api.state import State, state_of
from core import clock
from core.database import TROUBLE
from schemas.base import Out
from services import backlogs

PING_SECONDS = 0.25
"""How long the database may take to answer before we are not ready."""

CACHE_SECONDS = 1.0
"""How long a finding stands, so that probes cost nothing."""

router = Router("", tags=["operations"])


class Reason(StrEnum):
    """Why the process should be given no work."""

    DRAINING = "draining"
    DATABASE = "database"
    MIGRATIONS = "migrations"


class Alive(Out):
    """The process answers."""

    status: Literal["alive"]


class Punctuality(StrEnum):
    """Whether what starts by the clock is done in time, all clinics together."""

    ON_TIME = "on_time"
    OVERDUE = "overdue"
    SILENT = "silent"


class Readiness(Out):
    """Whether the process can do its work; `reason` is null when it can.

    `jobs` stands there when `detail` is asked for: `overdue` when a row that is due has waited for more than ten minutes,
    `silent` when nobody has looked for as long, so no worker runs. Neither is a reason to send requests elsewhere.
    """

    status: Literal["ready", "not_ready"]
    reason: Reason | None
    jobs: Punctuality | None


@router.get("/livez")
async def livez() -> Alive:
    """Tell that the process is alive; asks nobody else."""
    return Alive(status="alive")


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Send work elsewhere for now"}})
async def readyz(
    request: Request,
    response: Response,
    detail: Annotated[bool, Query(description="Tell about the jobs, too")] = False,  # noqa: FBT002 - a query's
) -> Readiness:
    """Tell whether the process can reach a database at the schema it was written for."""
    state = state_of(request)
    reason = Reason.DRAINING if state.draining else await _reason(state)
    if reason is not None:
        response.status_code = 503
        response.headers["Retry-After"] = "1"
        return Readiness(status="not_ready", reason=reason, jobs=None)
    return Readiness(status="ready", reason=None, jobs=await _jobs(state) if detail else None)


async def _jobs(state: State) -> Punctuality | None:
    found, at = state.punctuality
    now = time.monotonic()
    if now - at > CACHE_SECONDS:
        found = await _ask_about_jobs(state)
        state.punctuality = (found, now)
    return Punctuality(found) if found else None


async def _ask_about_jobs(state: State) -> str | None:
    assert state.sessions is not None, "the process is ready"
    try:
        async with asyncio.timeout(PING_SECONDS), state.sessions() as session:
            return await backlogs.punctuality(session, at=clock.now())
    except TROUBLE:
        return None


async def _reason(state: State) -> Reason | None:
    found, at = state.readiness
    now = time.monotonic()
    if now - at > CACHE_SECONDS:
        found = await _look(state)
        state.readiness = (found, now)
    return Reason(found) if found else None


async def _look(state: State) -> str | None:
    if state.sessions is None:
        return Reason.DATABASE
    try:
        async with asyncio.timeout(PING_SECONDS), state.sessions() as session:
            if state.head is None:
                await session.execute(text("SELECT 1"))
                return None
            present = await session.scalar(text("SELECT version_num FROM alembic_version"))
    except sqlalchemy.exc.ProgrammingError:
        return Reason.MIGRATIONS  # there is no such table yet
    except TROUBLE:
        return Reason.DATABASE
    return None if present == state.head else Reason.MIGRATIONS
