"""What an endpoint may ask for: a session, the caller, the time.

The session is one transaction: committed after the endpoint, before the answer leaves; rolled back on any error, except
that a refusal which says so (`keeps_effects`) leaves what was done before it.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from api import idempotency
from api.state import state_of
from core import clock
from core.database import CLINIC, driver
from core.errors import Refusal, Unauthenticated, Unavailable
from services import access, authentication

_SAFE = frozenset({"GET", "HEAD"})

# An audited look that is lost with the machine in the last instant was never answered to anybody who could act on it;
# a change waits for the disk. A lock is waited for shortly, then the client is told to come back.
_LOOK = "SET LOCAL app.clinic_id = '{}'; SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '2s'"
_CHANGE = "SET LOCAL app.clinic_id = '{}'; SET LOCAL lock_timeout = '2s'"


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    sessions = state_of(request).sessions
    if sessions is None:
        raise Unavailable
    async with sessions() as session:  # an error leaves here without a commit, and the transaction is rolled back
        try:
            await session.connection()
        except OSError as error:  # the socket is not there; every other failure carries PostgreSQL's reason
            raise Unavailable from error
        try:
            yield session
        except Refusal as refusal:
            if refusal.keeps_effects:  # a counted attempt, a revoked sign-in
                await session.commit()
            raise
        await session.commit()


Session = Annotated[AsyncSession, Depends(_session, scope="function")]
"""One transaction, bound to the caller's clinic once `Caller` is known."""


async def _now() -> datetime:
    return clock.now()


Now = Annotated[datetime, Depends(_now)]
"""The moment of the request; services never ask the clock."""


async def _caller(request: Request, session: Session, now: Now) -> access.Actor:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated
    kept = request.scope["state"]
    actor = await authentication.caller(
        session, token.strip(), tokens=state_of(request).tokens, at=now, request_id=kept["request_id"]
    )
    operation = request.scope["route"].unique_id
    access.require(actor, access.OPERATIONS[operation])
    safe = request.method in _SAFE
    session.info[CLINIC] = actor.clinic_id
    connection = await driver(session)
    await connection.execute((_LOOK if safe else _CHANGE).format(actor.clinic_id))
    if request.method == "POST":
        body = kept.get("body")
        kept["claim"] = await idempotency.claim(session, actor, request, operation, body, at=now)
    return actor


Caller = Annotated[access.Actor, Depends(_caller)]
"""Who asks: signed in (else 401), in a role that may do this (else 403). Binds the session to the caller's clinic."""
