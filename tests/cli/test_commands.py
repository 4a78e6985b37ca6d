"""The command line, run as an operator runs it: another process, its exit status, what it says."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from cli.serving import unsafe
from dev.cluster import SUPERUSER
from dev.ground import Runner, find_binaries
from dev.postgres import EmbeddedPostgres
from tests import nursery

ROOT = Path(__file__).parents[2]


def surroundings(home: Path | str, settings: Mapping[str, str]) -> dict[str, str]:
    """Give the environment of a command with nothing but these settings."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith("PHYSIO_")}
    given = {f"PHYSIO_{name.upper()}": value for name, value in settings.items()}
    return {**keep, "PHYSIO_DATA_DIR": str(home), "NO_COLOR": "1", "COLUMNS": "200", **given}


def physio(*words: str, home: Path | str = "/nowhere", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command with nothing but these settings."""
    return nursery.run(*words, env=surroundings(home, settings))


def cold(*words: str, home: Path | str = "/nowhere", **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a process that has loaded nothing yet, as a shell does."""
    command, env = [sys.executable, "-m", "cli", *words], surroundings(home, settings)
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A server that plays the one an operator brings along."""
    folder = Path(tempfile.gettempdir()) / f"physio-bare-{os.getpid()}"  # short, and passable for the server's account
    with EmbeddedPostgres(folder, durable=False) as server:
        yield server
    subprocess.run(["rm", "-rf", str(folder)], check=True)


def test_help_names_every_command() -> None:
    said = cold("--help").stdout
    for word in ("up", "serve", "worker", "demo", "db", "users", "library"):
        assert re.search(rf"\b{word}\b", said), word


def test_an_operators_own_server_gets_roles_then_a_schema_then_a_clinic(bare: EmbeddedPostgres) -> None:
    bare.create_database("brought")
    admin = bare.cluster.url(SUPERUSER, "brought")
    made = cold("db", "roles", database_url=admin, secret_key="k" * 40)
    assert made.returncode == 0, made.stderr
    known = dict(line.removeprefix("PHYSIO_").split("=", 1) for line in made.stdout.splitlines())
    assert known.keys() == {"DATABASE_URL", "API_DATABASE_URL", "WORKER_DATABASE_URL", "SWEEPER_DATABASE_URL"}
    given: dict[str, str] = {name.lower(): url for name, url in known.items()}

    migrated = cold("db", "migrate", **given)
    assert (migrated.returncode, migrated.stdout) == (0, "")
    assert "the schema is at" in migrated.stderr

    clinic = physio(
        "users", "create-clinic", "Sunrise", "--email", "dana@example.org", "--password", "correct-horse-9", **given
    )
    assert clinic.returncode == 0, clinic.stderr
    token = physio("users", "create-service", clinic.stdout.strip(), "scheduler", "--scope", "*", **given)
    assert token.returncode == 0, token.stderr
    assert len(token.stdout.strip()) > 20
    assert "0 exercises" in physio("library", "sync", **given).stderr


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("--email", "dana"), "not an e-mail address"),
        (("--zone", "Mars/Base"), "IANA time zone"),
        (("--country", "XX"), "not a country"),
    ],
)
def test_a_clinic_that_cannot_be_is_refused_before_it_is_made(changed: tuple[str, str], said: str) -> None:
    right = ("--email", "dana@example.org", "--password", "correct-horse-9")
    refused = physio("users", "create-clinic", "Sunrise", *right, *changed)
    assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr


def test_a_service_for_a_job_that_is_not_there_is_refused() -> None:
    refused = physio(
        "users", "create-service", "01a1fceb-39c2-7df5-a00c-fbedcd55f3b5", "nightly", "--scope", "nonsense"
    )
    assert (refused.returncode, "no such job: nonsense" in refused.stderr) == (2, True), refused.stderr


def test_a_database_that_is_not_there_or_empty_is_a_message(bare: EmbeddedPostgres) -> None:
    bare.cluster.prepare()  # a test before gave the roles other passwords
    bare.create_database("empty")
    right = (
        "users",
        "create-clinic",
        "Sunrise",
        "--email",
        "dana@example.org",
        "--password",
        "correct-horse-9 of mine",
    )
    empty = physio(*right, database_url=bare.url("physio_owner", "empty"), api_database_url=bare.url("physio_api", "empty"),
                   worker_database_url=bare.url("physio_worker", "empty"),
                   sweeper_database_url=bare.url("physio_sweeper", "empty"))  # fmt: skip
    assert (empty.returncode, "physio: the database has no tables yet" in empty.stderr) == (1, True), empty.stderr
    away = physio(*right, database_url="postgresql://a:b@127.0.0.1:1/x")
    assert (away.returncode, "physio: cannot use the database" in away.stderr) == (1, True), away.stderr
    assert "Traceback" not in away.stderr


def test_given_passwords_are_kept(bare: EmbeddedPostgres) -> None:
    bare.create_database("given")
    addresses = {
        f"{name}database_url": f"postgresql+asyncpg://physio_{role}:a%2Fb@/given?host={quote(bare.cluster.socket_folder)}"
        for name, role in {"": "owner", "api_": "api", "worker_": "worker", "sweeper_": "sweeper"}.items()
    }
    made = physio("db", "roles", admin_database_url=bare.cluster.admin_url("given"), **addresses)
    assert (made.returncode, made.stdout) == (0, ""), made.stderr
    with psycopg.connect(addresses["api_database_url"].replace("+asyncpg", "")) as api:
        assert api.execute("SELECT current_user").fetchone() == ("physio_api",)
    bare.cluster.prepare()  # the other tests' passwords again


def test_a_refusing_administrator_is_a_message_not_a_traceback(bare: EmbeddedPostgres) -> None:
    refused = physio("db", "roles", database_url=bare.cluster.url("physio_api"))
    assert refused.returncode == 1
    assert refused.stderr.startswith("physio: the administrator's database refused:")


def test_without_an_address_roles_says_what_is_missing() -> None:
    refused = physio("db", "roles")
    assert (refused.returncode, "PHYSIO_DATABASE_URL is not set" in refused.stderr) == (1, True)


def test_a_data_folder_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refused = physio("db", "migrate", home=tmp_path / "file" / "data")
    assert refused.returncode == 1
    assert refused.stderr.startswith("physio: ")
    assert "Traceback" not in refused.stderr


# ------------------------------------------------------------------ a start that would be unsafe is refused

SAFE_KEY = "k" * 40


def spoil(database: Any, *statements: str) -> None:
    with psycopg.connect(database.superuser.replace("+asyncpg", ""), autocommit=True) as admin:
        for statement in statements:
            admin.execute(statement.format(name=database.name))


@pytest.mark.parametrize(
    ("role", "spoiled", "said"),
    [
        ("postgres", "SELECT 1", "superuser or bypasses"),
        ("physio_owner", "SELECT 1", "owns the tables"),
        ("physio_api", "ALTER TABLE patients NO FORCE ROW LEVEL SECURITY", "not forced on: patients"),
        ("physio_api", "ALTER TABLE patients DISABLE ROW LEVEL SECURITY", "not forced on: patients"),
        ("physio_api", "ALTER DATABASE {name} SET synchronous_commit = off", "synchronous_commit is off"),
        ("physio_api", "SELECT 1", "fsync is off"),
        ("physio_api", "SELECT 1", "full_page_writes is off"),
    ],
)
def test_an_unsafe_database_is_not_served_from(fresh_database: Any, role: str, spoiled: str, said: str) -> None:
    spoil(fresh_database, spoiled)
    refused = physio("serve", api_database_url=fresh_database.url(role), database_url=fresh_database.owner)
    assert refused.returncode == 78
    assert said in refused.stderr


def test_missing_checksums_are_not_served_from() -> None:
    folder = Path(tempfile.gettempdir()) / f"physio-sums-{os.getpid()}"
    server = EmbeddedPostgres(folder, durable=False)
    server.start()
    server.stop()
    runner = Runner.choose(server.data)
    program = find_binaries(folder, runner) / "pg_checksums"
    subprocess.run(
        [program, "--disable", "-D", server.data], check=True, capture_output=True, cwd="/", **runner.credentials
    )
    with server:
        checked = physio(
            "db", "check", api_database_url=server.url("physio_api"), database_url=server.url("physio_owner")
        )
    subprocess.run(["rm", "-rf", str(folder)], check=True)
    assert checked.returncode == 78
    assert "checksums are off" in checked.stderr


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"environment": "production"}, "PHYSIO_SECRET_KEY"),
        ({"environment": "production", "secret_key": "short"}, "PHYSIO_SECRET_KEY"),
        ({"environment": "production", "secret_key": SAFE_KEY}, "PHYSIO_API_DATABASE_URL"),
        ({"environment": "production", "secret_key": SAFE_KEY, "api_database_url": "postgresql://a:b@db/p"}, "TLS"),
        ({"environment": "debug"}, "PHYSIO_ENVIRONMENT"),
        ({"demo": "true", "host": "0.0.0.0"}, "PHYSIO_DEMO"),
    ],
)
def test_unsafe_settings_do_not_start(settings: dict[str, str], said: str) -> None:
    refused = physio("serve", **settings)
    assert (refused.returncode, "Traceback" in refused.stderr) == (78, False)
    assert said in refused.stderr


def test_the_demo_clinic_does_not_listen_to_the_world() -> None:
    refused = physio("up", host="0.0.0.0")
    assert refused.returncode == 1
    assert "loopback only" in refused.stderr


def test_a_safe_database_has_nothing_to_complain_of(fresh_database: Any) -> None:
    assert asyncio.run(unsafe(fresh_database.api, durable=False)) == []


def test_old_time_zone_rules_are_a_warning_that_says_what_to_do(fresh_database: Any) -> None:
    addresses = {"api_database_url": fresh_database.api, "database_url": fresh_database.owner}
    assert "time zone" not in physio("db", "check", **addresses).stderr
    spoil(fresh_database, "UPDATE time_zones SET release = '2001.1'")
    warned = " ".join(physio("db", "check", **addresses).stderr.split())
    assert "warning: the database has the time zone rules of 2001.1" in warned
    assert "run `physio db migrate`" in warned
    assert physio("db", "migrate", database_url=fresh_database.owner).returncode == 0
    assert "time zone" not in physio("db", "check", **addresses).stderr
