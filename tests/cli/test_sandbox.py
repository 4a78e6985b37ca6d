"""A database is made as a sandbox, before anything is in it, or never is one; settings and database must agree."""

import subprocess
from pathlib import Path

import psycopg
import pytest

from cli import sandbox
from core.settings import Settings
from dev.cluster import Cluster
from tests import nursery
from tests.conftest import Database
from tests.live import environment, working


def physio(database: Database, folder: Path, *words: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return nursery.run(*words, env=environment(database, folder, database_url=database.owner, **settings))


@pytest.fixture
def empty(server: Cluster) -> Database:
    server.drop_database("physio_sandbox")
    server.create_database("physio_sandbox")
    return Database(server, "physio_sandbox")


def test_an_empty_database_becomes_a_sandbox_and_is_served_as_nothing_else(empty: Database, tmp_path: Path) -> None:
    migrated = physio(empty, tmp_path, "db", "migrate", sandbox="true")
    assert migrated.returncode == 0, migrated.stderr
    assert sandbox.is_sandbox(empty.api)
    for command in (("serve",), ("worker",), ("db", "check")):
        refused = physio(empty, tmp_path, *command)
        assert (refused.returncode, "this database is a sandbox" in refused.stderr) == (78, True), refused.stderr
    with psycopg.connect(empty.superuser.replace("+asyncpg", ""), autocommit=True) as owner:
        owner.execute("UPDATE sandbox_clock SET ahead_seconds = 86400 * 30")
    clinic = (
        "users",
        "create-clinic",
        "Sunrise",
        "--email",
        "dana@example.org",
        "--password",
        "a short sentence is good",
    )
    made = physio(empty, tmp_path, *clinic)
    assert made.returncode == 0, made.stderr
    scoped = physio(empty, tmp_path, "users", "create-service", made.stdout.strip(), "clock", "--scope", "sandbox")
    assert scoped.returncode == 0, scoped.stderr
    with (
        working(empty, tmp_path, sandbox="true") as worker,
        psycopg.connect(empty.superuser.replace("+asyncpg", "")) as rows,
    ):
        ahead = "SELECT count(*) FROM job_runs WHERE started_at > now() + interval '29 days'"
        while rows.execute(ahead).fetchone() == (0,):
            assert worker.process.poll() is None, worker.said
            rows.commit()


def test_a_database_that_holds_something_never_becomes_one(fresh_database: Database, tmp_path: Path) -> None:
    assert physio(fresh_database, tmp_path, "db", "migrate", sandbox="true").returncode == 0
    assert not sandbox.is_sandbox(fresh_database.api)
    for command in (("serve",), ("worker",)):
        refused = physio(fresh_database, tmp_path, *command, sandbox="true")
        assert (refused.returncode, "was not made as a sandbox" in refused.stderr) == (78, True), refused.stderr


def test_production_is_no_sandbox(fresh_database: Database, tmp_path: Path) -> None:
    refused = physio(fresh_database, tmp_path, "serve", environment="production", sandbox="true", secret_key="k" * 40)
    assert (refused.returncode, "PHYSIO_SANDBOX" in refused.stderr) == (78, True)


def test_a_database_that_is_away_is_no_mismatch() -> None:
    assert sandbox.mismatch(Settings(_env_file=None), "postgresql://nobody@127.0.0.1:1/x") is None
