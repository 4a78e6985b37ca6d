"""Wires the HTTP side; the only place that does."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from api import docs, errors, openapi
from api.front import Front, Limiter
from api.routers import COMPLETE, ROUTERS
from api.routes import PUBLIC, Route, at_once
from api.state import State
from clinical import consents, library
from core import revisions
from core.crypto import derive_key
from core.database import Sessions, make_engine, make_sessions
from core.settings import Settings
from services import access, documents
from services.authentication import tokens_of
from services.notifications import texts


class NotWired(Exception):  # noqa: N818 - it says what the state is
    """Routes and access table do not agree; the server does not start."""


def create_app(
    settings: Settings,
    *,
    sessions: Sessions | None = None,
    engine: AsyncEngine | None = None,
    routers: Sequence[APIRouter] = ROUTERS,
) -> FastAPI:
    """Make the application. Without `sessions` or `engine` it makes its own engine when it starts, and closes it.

    Raises NotWired when a route has no row in the access table, or a row has no route.
    """
    secret = settings.secret_key.get_secret_value()
    tokens = tokens_of(secret, settings.access_minutes * 60)
    gate = asyncio.Semaphore(settings.pool_size)
    state = State(settings, engine, sessions, tokens=tokens, gate=gate, page_key=derive_key(secret, "pages").secret)
    if engine is not None and sessions is None:
        state.sessions = make_sessions(engine)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        state.head = revisions.head()
        library.load()  # a broken file stops the start, with its name and line
        consents.load()
        texts.load()
        own = None
        if state.sessions is None:
            if settings.api_database_url is None:
                raise NotWired("PHYSIO_API_DATABASE_URL is not set, and no engine was given")
            own = state.engine = make_engine(
                settings.api_database_url.get_secret_value(),
                pool_size=settings.pool_size,
                statement_cache=settings.statement_cache,
                application_name="physio-api",
            )
            state.sessions = make_sessions(own)
        yield
        state.draining = True
        await state.live.stop()
        await documents.close()
        if own is not None:
            await own.dispose()

    app = FastAPI(
        title=openapi.TITLE,
        version=openapi.VERSION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        middleware=_middleware(settings),
        telemetry={"tracing": False, "metrics": False, "logs": False},  # paths hold ids: they go nowhere by themselves
    )
    app.state.physio = state
    # Routes stand flat in one list: an included router would be searched twice for every request.
    app.router.routes.extend(openapi.routes_of(routers))
    app.router.middleware_stack = at_once(app.routes, app.router.middleware_stack)  # type: ignore[assignment]
    check(app, complete=COMPLETE and routers is ROUTERS)
    docs.install(app, openapi.of_house if routers is ROUTERS else lambda: openapi.document(app.routes))
    errors.install(app)
    return app


def _middleware(settings: Settings) -> list[Middleware]:
    limiter = Limiter(settings.rate_per_second, settings.rate_burst) if settings.rate_per_second else None
    layers = [Middleware(Front, limiter=limiter)]
    if settings.cors_origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "If-Match",
                "If-None-Match",
                "Idempotency-Key",
                "Last-Event-ID",
                "X-Request-Id",
            ],
            expose_headers=["ETag", "Location", "Retry-After", "Idempotent-Replay", "X-Request-Id", "RateLimit"],
            max_age=600,
        )
        layers.append(cors)
    return [*layers, errors.last_resort()]


def check(app: FastAPI, *, complete: bool) -> None:
    """Compare routes and access table. complete: every row must have its route, too. Raises NotWired."""
    names: set[str] = set()
    wrong: list[str] = []
    for route in app.routes:
        if not isinstance(route, APIRoute):
            continue
        name = route.unique_id
        if not isinstance(route, Route):
            wrong.append(f"{name}: make its router with api.routes.Router")
        if name in names:
            wrong.append(f"{name}: two routes have this name")
        if (name in PUBLIC) == (name in access.OPERATIONS):
            wrong.append(f"{name}: must be either public or have a row in access.OPERATIONS")
        names.add(name)
    if complete:
        wrong.extend(f"{name}: has a row, but no route" for name in sorted((PUBLIC | access.OPERATIONS.keys()) - names))
    if wrong:
        raise NotWired("; ".join(wrong))
