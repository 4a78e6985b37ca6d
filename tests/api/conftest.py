"""The API under test: real requests against a real database, in process."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy import event

from api.app import create_app
from core.database import Sessions
from core.settings import Settings


def client_of(app: FastAPI) -> AsyncClient:
    """Give a client that talks to the app in this process."""
    return AsyncClient(transport=ASGITransport(app, raise_app_exceptions=True), base_url="http://physio.test")


@pytest.fixture(scope="session")
def settings() -> Settings:
    """Give settings under which nobody asks too often."""
    return Settings(environment="test", rate_per_second=0, api_database_url=None, _env_file=None)


@pytest.fixture
def app(settings: Settings, sessions: Sessions) -> FastAPI:
    return create_app(settings, sessions=sessions)


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[AsyncClient]:
    async with client_of(app) as client:
        yield client


@dataclass
class Statements:
    """What was sent to PostgreSQL, BEGIN and COMMIT left out: a multiple statement in one message counts once."""

    sent: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.sent)


@pytest.fixture
def count_statements(sessions: Sessions) -> Iterator[Callable[[], AbstractContextManager[Statements]]]:
    """Give a context manager that notes every statement of the API, whether SQLAlchemy or the driver sends it."""
    listening: list[Statements] = []
    engine = sessions.kw["bind"].sync_engine

    def note(sql: str) -> None:
        if sql.strip("; ") not in {"BEGIN", "COMMIT", "ROLLBACK"}:  # what begins a transaction and binds it counts
            for each in listening:
                each.sent.append(sql)

    def by_driver(query: Any) -> None:
        note(query.query)

    def by_sqlalchemy(_connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        note(sql)

    def borrowed(connection: Any, *_rest: Any) -> None:
        connection.driver_connection.add_query_logger(by_driver)

    def returned(connection: Any, *_rest: Any) -> None:
        if connection is not None:
            connection.driver_connection.remove_query_logger(by_driver)

    @contextmanager
    def counting() -> Iterator[Statements]:
        statements = Statements()
        listening.append(statements)
        yield statements
        listening.remove(statements)

    listeners = (("before_cursor_execute", by_sqlalchemy), ("checkout", borrowed), ("checkin", returned))
    for name, listener in listeners:
        event.listen(engine, name, listener)
    yield counting
    for name, listener in listeners:
        event.remove(engine, name, listener)
