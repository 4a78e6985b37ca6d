"""What one process of the API holds between requests."""

import asyncio
from dataclasses import dataclass, field

from fastapi import FastAPI, Request
from sqlalchemy.ext.asyncio import AsyncEngine

from api.live import Live
from core.database import Sessions
from core.settings import Settings
from services.authentication import Tokens


@dataclass
class State:
    """Made by `create_app`; engine and sessions are there once the app has started."""

    settings: Settings
    engine: AsyncEngine | None = None
    sessions: Sessions | None = None
    tokens: Tokens = field(kw_only=True)
    """How access and refresh tokens are made and known."""
    gate: asyncio.Semaphore = field(kw_only=True)
    """As many requests at once as there are connections; the others wait in line, first come, first served.

    The pool itself lets a newcomer pass those who wait, so under load some would wait until their time is up.
    """
    live: Live = field(init=False)
    """Who listens to live updates."""
    page_key: bytes = b""
    """Signs the cursors of lists."""
    head: str | None = None
    """The database revision this code expects; None if it cannot tell."""
    draining: bool = False
    """Set before the process stops: `/readyz` then sends new work elsewhere."""
    readiness: tuple[str | None, float] = (None, float("-inf"))
    """What `/readyz` found last, and when on the monotonic clock."""
    punctuality: tuple[str | None, float] = (None, float("-inf"))
    """The same for its detail about the jobs."""

    def __post_init__(self) -> None:
        """Let nobody listen yet."""
        self.live = Live(lambda: self.sessions, self.gate, self.tokens.key)


def state_of(request: Request) -> State:
    """Give the state of the app that serves this request."""
    return of(request.app)


def of(app: FastAPI) -> State:
    """Give the state of an app."""
    state = app.state.physio
    assert isinstance(state, State)
    return state
