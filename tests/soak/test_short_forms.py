"""The short forms of `make soak`: the same tests with small numbers, against real processes and real kills."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from dev.postgres import EmbeddedPostgres
from tests.conftest import Database, migrate
from tests.soak import figures
from tests.soak.trials import TRIALS, Stage


def quiet(_text: str, _share: float) -> None:
    pass


@pytest.fixture
def mortal() -> Iterator[EmbeddedPostgres]:
    """Give a server that may be killed, and that keeps what it acknowledged."""
    server = EmbeddedPostgres(Path(tempfile.gettempdir()) / f"physio-test-{secrets.token_hex(4)}")
    server.start()
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)
    shutil.rmtree(server.sockets, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in TRIALS if name != "postgres"])
def test_nothing_is_lost_or_doubled(name: str, fresh_database: Database, tmp_path: Path) -> None:
    found = TRIALS[name](Stage(fresh_database, tmp_path / "house", quiet, seed=7), short=True)
    assert figures.broken(found) == []
    assert any(each.goal for each in found)


@pytest.mark.slow
def test_the_api_survives_the_end_of_its_database(mortal: EmbeddedPostgres, tmp_path: Path) -> None:
    migrate(mortal.url("physio_owner"))
    stage = Stage(Database(mortal.cluster, "physio"), tmp_path / "house", quiet, seed=7, server=mortal)
    assert figures.broken(TRIALS["postgres"](stage, short=True)) == []


def test_what_does_not_hold_is_said_plainly() -> None:
    out = StringIO()
    found = [figures.told("outbox", "kills", 200), figures.none("outbox", "letters lost", 2, "1, 7")]
    figures.show(found, Console(file=out, width=150))
    assert "Broken: outbox: letters lost 2 (promised: 0) 1, 7" in out.getvalue()
