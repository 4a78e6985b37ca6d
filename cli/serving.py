"""The API process: refuses to start where it would be unsafe, then serves until it is told to stop."""

import asyncio
import gc
import signal
import sys
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from api.app import create_app
from api.state import of as state_of_app
from cli import sandbox
from core import clock, logs
from core.database import make_engine
from core.settings import UNSAFE, Settings, load
from services import time_zones

YOUNG = 10_000
"""How many new objects the garbage collector waits for; the default of 700 is reached by a single request."""

_FACTS = """
SELECT r.rolsuper OR r.rolbypassrls AS bypasses,
  EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
    AND c.relowner = r.oid) AS owns,
  (SELECT string_agg(c.relname, ', ') FROM pg_class c
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'clinic_id' AND NOT a.attisdropped
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> 'job_runs'
      AND NOT (c.relrowsecurity AND c.relforcerowsecurity)) AS open_tables,
  current_setting('fsync') AS fsync, current_setting('full_page_writes') AS full_page_writes,
  current_setting('synchronous_commit') AS synchronous_commit, current_setting('data_checksums') AS data_checksums
FROM pg_roles r WHERE r.rolname = current_user
"""


async def unsafe(url: str, *, durable: bool) -> list[str]:
    """Tell what makes the database at `url` unsafe to serve from. durable: whether settings that lose data count."""
    engine = make_engine(url, pool_size=1)
    try:
        async with engine.connect() as connection:
            facts = (await connection.execute(text(_FACTS))).one()
    finally:
        await engine.dispose()
    found = []
    if facts.bypasses:
        found.append("the API's database role is a superuser or bypasses row-level security: connect as physio_api")
    if facts.owns:
        found.append("the API's database role owns the tables: connect as physio_api")
    if facts.open_tables:
        found.append(f"row-level security is not forced on: {facts.open_tables}")
    if durable:
        found += [
            f"{name} is off: what was acknowledged could be lost"
            for name in ("fsync", "full_page_writes", "synchronous_commit")
            if getattr(facts, name) == "off"
        ]
        if facts.data_checksums == "off":
            found.append("data checksums are off: a damaged page would go unnoticed")
    return found


async def outdated(url: str) -> str | None:
    """Say what the database at `url` lacks that is no reason to refuse: the program's time zone rules."""
    engine = make_engine(url, pool_size=1)
    try:
        async with engine.connect() as connection:
            return await time_zones.differing(connection)
    finally:
        await engine.dispose()


def make_app() -> FastAPI:
    """Make the application of this process from the environment."""
    settings = load()
    logs.configure(settings.log_level)
    clock.steer(settings.clock_file)
    app = create_app(settings)
    _end_streams_first(app)
    _settle()
    return app


def _settle() -> None:
    """Spare the garbage collector what stays for the life of the process: it looks at every object it keeps."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)


def _end_streams_first(app: FastAPI) -> None:
    """Let SIGINT and SIGTERM end the live streams: the server waits for open answers, and these never end."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        before = signal.getsignal(number)

        def stop(signum: int, frame: FrameType | None, before: Any = before) -> None:
            loop.call_soon_threadsafe(state_of_app(app).live.close)
            before(signum, frame)

        signal.signal(number, stop)


def serve(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM: then finish what is under way, for at most 20 s. Raises SystemExit."""
    assert settings.api_database_url is not None
    url = settings.api_database_url.get_secret_value()
    try:
        found = asyncio.run(unsafe(url, durable=settings.environment != "test"))
        wrong = sandbox.mismatch(settings, url)
        found += [] if wrong is None else [wrong]
        warning = asyncio.run(outdated(url))
        if warning is not None:
            print(f"physio: warning: {warning}", file=sys.stderr)  # noqa: T201
    except (OSError, SQLAlchemyError) as error:
        print(f"physio: the database does not answer ({type(error).__name__})", file=sys.stderr)  # noqa: T201
        found = []  # it may come back; until then every request is answered 503
    if found:
        print("\n".join(f"physio: refusing to start: {each}" for each in found), file=sys.stderr)  # noqa: T201
        raise SystemExit(UNSAFE)
    uvicorn.run(
        "cli.serving:make_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        workers=settings.processes if settings.processes > 1 else None,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),  # else anybody's X-Forwarded-For would be taken for the truth
        forwarded_allow_ips=list(settings.trusted_proxies),
        limit_concurrency=1000,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=20,
        lifespan="on",
        env_file=None,
        backlog=2048,
    )
