"""Pools of connections to twins on loopback, and what the logs say meanwhile."""

import io
import logging
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
import structlog

from core import logs
from integrations.http import open_guarded_pool, open_pool


@pytest.fixture
async def pool() -> AsyncIterator[httpx.AsyncClient]:
    async with open_pool() as client:
        yield client


@pytest.fixture
async def guarded() -> AsyncIterator[httpx.AsyncClient]:
    async with open_guarded_pool(loopback=True) as client:
        yield client


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """Whatever the most talkative configuration writes."""
    root, out = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr("sys.stderr", out)
    logs.configure("DEBUG")
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
