"""The page about the sandbox does what it says, on a demo clinic whose clock nobody else needs."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from core.settings import Settings
from dev import demo
from dev.cluster import Cluster
from tests.conftest import clone
from tests.docs.pages import ROOT, printed, run
from tests.live import serving

PAGE = (ROOT / "docs" / "sandbox.md").read_text(encoding="utf-8")


@pytest.fixture
def sandbox(server: Cluster, tmp_path: Path) -> Iterator[str]:
    """Give the address of a live sandbox with a small demo clinic."""
    database = clone(server)
    with psycopg.connect(database.superuser.replace("+asyncpg", ""), autocommit=True) as owner:
        owner.execute("INSERT INTO sandbox_clock DEFAULT VALUES")
    known = Settings.model_validate({"environment": "test", "api_database_url": database.api, "sandbox": True})
    with ThreadPoolExecutor(1) as thread:  # its event loop is its own
        thread.submit(lambda: asyncio.run(demo.fill(known, weeks=1, patients=3))).result()
    (tmp_path / "server").mkdir()
    with serving(database, tmp_path / "server", sandbox="true") as live:
        yield live.url
    server.drop_database(database.name)


def test_every_block_prints_what_the_page_says(sandbox: str, tmp_path: Path) -> None:
    assert run(PAGE, sandbox, tmp_path) == [expected or "" for _, expected in printed(PAGE)]
