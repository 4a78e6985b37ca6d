"""What an endpoint may ask for: a session, the caller, the time.

The session is one transaction: committed after the endpoint, before the answer leaves; rolled back on any error, except
that a refusal which says so (`keeps_effects`) leaves what was done before it.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from api import idempotency
from api.front import CALLER_IS_KNOWN
from api.state import state_of
from core import clock
from core.database import begin_bound, idle, lend
from core.errors import Unauthenticated, Unavailable
from services import access, authentication

LINE_SECONDS = 1.5
"""How long a request waits for a connection."""

_SAFE = frozenset({"GET", "HEAD"})

# An audited look that is lost with the machine in the last instant was never answered to anybody who could act on it;
# a change waits for the disk. A lock is waited for shortly, then the client is told to come back.
_LOOK = ("synchronous_commit = off", "lock_timeout = '2s'")
_CHANGE = ("lock_timeout = '2s'",)


class in_line:  # noqa: N801 - reads as a phrase: async with in_line(request)
    """Wait for one of the places that have a connection. Raises Unavailable after LINE_SECONDS."""

    def __init__(self, request: Request) -> None:
        self.gate = state_of(request).gate

    async def __aenter__(self) -> None:
        if not self.gate.locked():
            await self.gate.acquire()
            return
        try:
            async with asyncio.timeout(LINE_SECONDS):
                await self.gate.acquire()
        except TimeoutError:
            raise Unavailable from None

    async def __aexit__(self, *_error: object) -> None:
        self.gate.release()


async def open_session(request: Request) -> AsyncSession:
    """Open the request's one session; its connection is there, its transaction begins with the caller or first use.

    `give_back` ends it. Raises Unavailable, and what the pool raises when it is full.
    """
    sessions = state_of(request).sessions
    if sessions is None:
        raise Unavailable
    session = sessions()
    try:
        await lend(session)
    except OSError as error:  # the socket is not there; every other failure carries PostgreSQL's reason
        raise Unavailable from error
    request.scope["state"]["session"] = session
    return session


async def session_of(request: Request) -> AsyncSession:
    """Give the request's session."""
    session = request.scope["state"]["session"]
    assert isinstance(session, AsyncSession)
    return session


Session = Annotated[AsyncSession, Depends(session_of)]
"""One transaction, bound to the caller's clinic once `Caller` is known; `api.routes` opens, commits and closes it."""


async def moment_of(request: Request) -> datetime:
    """Give the moment of the request: the same, whoever asks."""
    kept = request.scope["state"]
    if "moment" not in kept:
        if state_of(request).settings.sandbox:  # its clock may have been moved by another process
            await _see_the_clock(request)
        kept["moment"] = clock.now()
    moment = kept["moment"]
    assert isinstance(moment, datetime)
    return moment


async def _see_the_clock(request: Request) -> None:
    connection = await idle(await session_of(request))
    seconds = await connection.fetchval("SELECT ahead_seconds FROM sandbox_clock")
    clock.move(None if seconds is None else timedelta(seconds=seconds))


Now = Annotated[datetime, Depends(moment_of)]
"""The moment of the request; services never ask the clock."""


async def caller_of(request: Request) -> access.Actor:
    """Tell who asks, and whether this role may. Raises Unauthenticated, Forbidden."""
    kept = request.scope["state"]
    if "caller" in kept:
        known = kept["caller"]
        assert isinstance(known, access.Actor)
        return known
    session, now = await session_of(request), await moment_of(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated
    actor = await authentication.caller(
        session, token.strip(), tokens=state_of(request).tokens, at=now, request_id=kept["request_id"]
    )
    kept[CALLER_IS_KNOWN] = True
    operation = request.scope["route"].unique_id
    access.require(actor, access.OPERATIONS[operation])
    safe = request.method in _SAFE
    await begin_bound(session, actor.clinic_id, *(_LOOK if safe else _CHANGE))
    if request.method == "POST":
        body = kept.get("body")
        kept["claim"] = await idempotency.claim(session, actor, request, operation, body, at=now)
    kept["caller"] = actor
    return actor


Caller = Annotated[access.Actor, Depends(caller_of)]
"""Who asks: signed in (else 401), in a role that may do this (else 403). Binds the session to the caller's clinic."""
