import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import Database
from tests.journeys.people import PASSWORD
from tests.live import ROOT, Live


@pytest.fixture
def live(fresh_database: Database, tmp_path: Path) -> Iterator[Live]:
    """Give an installation of processes over an empty database."""
    made = Live(fresh_database, tmp_path)
    yield made
    made.stop_all()


@pytest.fixture
def client(live: Live) -> Iterator[httpx.Client]:
    """Give a client of the live server, with a clinic whose admin is dana."""
    live.clock.write_text("0")
    place = ["--country", "US", "--zone", "America/New_York"]
    admin = ["--email", "dana@example.org", "--password", PASSWORD]
    said = subprocess.run(
        [sys.executable, "-m", "cli", "users", "create-clinic", "Riverside Physiotherapy", *admin, *place],
        cwd=ROOT,
        env={**os.environ, **live.environment},
        check=False,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 0, said.stderr
    live.start_api()
    with httpx.Client(base_url=live.url, timeout=20) as made:
        yield made
