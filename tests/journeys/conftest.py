import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import Database
from tests.journeys.installation import Installation
from tests.journeys.people import PASSWORD
from tests.live import ROOT, environment, serving


@pytest.fixture
def installation(fresh_database: Database, tmp_path: Path) -> Installation:
    """Give an installation over an empty database."""
    made = Installation(fresh_database, tmp_path)
    made.clock.write_text("0")
    return made


@pytest.fixture
def client(installation: Installation) -> Iterator[httpx.Client]:
    """Give a client of the live server, with a clinic whose admin is dana."""
    place = ["--country", "US", "--zone", "America/New_York"]
    admin = ["--email", "dana@example.org", "--password", PASSWORD]
    subprocess.run(
        [sys.executable, "-m", "cli", "users", "create-clinic", "Riverside Physiotherapy", *admin, *place],
        cwd=ROOT,
        env=environment(installation.database, installation.folder, clock_file=installation.clock),
        check=True,
    )
    with (
        serving(installation.database, installation.folder, clock_file=installation.clock) as live,
        httpx.Client(base_url=live.url, timeout=20) as made,
    ):
        yield made
