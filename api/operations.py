"""Probes: whether the process is alive, and whether it may be given work."""

import asyncio
import time
from enum import StrEnum
from typing import Literal

import asyncpg
import sqlalchemy.exc
from fastapi import Request, Response
from sqlalchemy import text

from api.routes import Router
from api.state import State, state_of
from schemas.base import Out

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


class Readiness(Out):
    """Whether the process can do its work; `reason` is null when it can."""

    status: Literal["ready", "not_ready"]
    reason: Reason | None


@router.get("/livez")
async def livez() -> Alive:
    """Tell that the process is alive; asks nobody else."""
    return Alive(status="alive")


@router.get("/readyz", responses={503: {"model": Readiness, "description": "Send work elsewhere for now"}})
async def readyz(request: Request, response: Response) -> Readiness:
    """Tell whether the process can reach a database at the schema it was written for."""
    state = state_of(request)
    reason = Reason.DRAINING if state.draining else await _reason(state)
    if reason is not None:
        response.status_code = 503
        response.headers["Retry-After"] = "1"
        return Readiness(status="not_ready", reason=reason)
    return Readiness(status="ready", reason=None)


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
    except (OSError, sqlalchemy.exc.SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return Reason.DATABASE
    return None if present == state.head else Reason.MIGRATIONS
