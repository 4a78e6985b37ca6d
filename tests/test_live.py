"""The processes of the house start, answer, and stop when asked."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests import nursery
from tests.conftest import Database
from tests.live import environment, serving


def test_a_server_process_answers_and_stops_cleanly(fresh_database: Database, tmp_path: Path) -> None:
    with serving(fresh_database, tmp_path) as live:
        assert httpx.get(f"{live.url}/livez").json() == {"status": "alive"}
        assert httpx.get(f"{live.url}/v1/me").status_code == 401
        assert httpx.get(f"{live.url}/openapi.json").json()["info"]["title"] == "Physio"
    assert live.process.returncode == 0, live.said
    assert "Traceback" not in live.said


UNSAFE: dict[str, dict[str, Any]] = {
    "as the superuser": {"role": "superuser"},
    "as the owner of the tables": {"role": "owner"},
    "with the default key in production": {"environment": "production"},
    "with a short key in production": {"environment": "production", "secret_key": "short"},
    "as a demo for the whole network": {"demo": "true", "host": "0.0.0.0"},
    "as a demo in production": {"environment": "production", "demo": "true", "secret_key": "x" * 40},
    "where crashes lose data": {"environment": "development"},
    "with a setting that is no number": {"pool_size": "many"},
    "with a port that does not exist": {"port": 99999},
}


@pytest.mark.parametrize("how", UNSAFE)
def test_the_server_refuses_to_start(how: str, fresh_database: Database, tmp_path: Path) -> None:
    changes = dict(UNSAFE[how])
    role = changes.pop("role", None)
    if role is not None:
        changes["api_database_url"] = getattr(fresh_database, role)
    env = environment(fresh_database, tmp_path, **{"port": 1, **changes})
    refused = nursery.run("serve", env=env)
    assert refused.returncode != 0
    assert refused.stderr.strip()
    assert "Traceback" not in refused.stderr
    for secret in (fresh_database.cluster.passwords["physio_api"], "x" * 40):
        assert secret not in refused.stdout + refused.stderr
