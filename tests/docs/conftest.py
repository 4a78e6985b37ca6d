import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from core.settings import Settings
from dev import demo
from dev.cluster import Cluster
from tests.conftest import clone
from tests.live import serving


@pytest.fixture(scope="session")
def clinic(server: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a live server with a small demo clinic: six patients, two weeks."""
    database = clone(server)
    known = Settings.model_validate({"environment": "test", "api_database_url": database.api})
    with ThreadPoolExecutor(1) as thread:  # its event loop is its own
        thread.submit(lambda: asyncio.run(demo.fill(known, weeks=2, patients=6))).result()
    with serving(database, tmp_path_factory.mktemp("clinic")) as live:
        yield live.url
    server.drop_database(database.name)
