"""docker-compose.yml: no engine runs it here, so what can be known without one is checked."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from cli.__main__ import app
from core.settings import Settings

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
OURS = {name: service for name, service in COMPOSE["services"].items() if service.get("build")}


def test_the_services_are_those_of_the_plan() -> None:
    assert COMPOSE["services"].keys() == {"postgres", "pgbouncer", "roles", "migrate", "api", "worker", "mail"}
    assert OURS.keys() == {"roles", "migrate", "api", "worker"}


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_command_is_one_of_ours(name: str) -> None:
    command: Any = typer.main.get_command(app)
    for word in OURS[name]["command"]:
        assert word in command.commands, word
        command = command.commands[word]
    assert not hasattr(command, "commands"), "a group does nothing by itself"


@pytest.mark.parametrize("name", sorted(OURS))
def test_every_variable_is_a_setting_and_production_accepts_them(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given = {key: filled(value) for key, value in OURS[name]["environment"].items()}
    admin = given.pop("PHYSIO_ADMIN_DATABASE_URL", None)
    assert (admin is not None) == (name == "roles")
    known = {f"PHYSIO_{field.upper()}" for field in Settings.model_fields}
    assert given.keys() <= known
    for key, value in given.items():
        monkeypatch.setenv(key, value)
    monkeypatch.chdir(tmp_path)
    assert Settings().environment == "production"


def filled(value: str) -> str:
    """Put a password for each secret and its default for everything else."""
    return re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)\}", lambda found: found[1] or "x" * 40, value)


def test_no_secret_has_a_default() -> None:
    secrets = re.findall(r"\$\{(\w*(?:PASSWORD|SECRET)\w*)([^}]*)\}", TEXT)
    assert {name for name, _ in secrets} == {
        "POSTGRES_PASSWORD",
        "PHYSIO_SECRET_KEY",
        *(f"PHYSIO_{role}_PASSWORD" for role in ("OWNER", "API", "WORKER", "SWEEPER")),
    }
    assert all(rest.startswith(":?") for _, rest in secrets)


def test_only_those_who_change_the_schema_know_its_owner() -> None:
    knowing = {name for name, service in OURS.items() if "PHYSIO_DATABASE_URL" in service["environment"]}
    assert knowing == {"roles", "migrate"}


def test_whatever_stays_up_says_whether_it_is_well() -> None:
    for name, service in COMPOSE["services"].items():
        assert ("healthcheck" in service) == (service["restart"] != "no"), name


def test_nothing_listens_beyond_this_host() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_pooler_keeps_prepared_statements_and_knows_only_the_api() -> None:
    configs = COMPOSE["configs"]
    assert "pool_mode = transaction" in configs["pgbouncer_ini"]["content"]
    assert "max_prepared_statements = 200" in configs["pgbouncer_ini"]["content"]
    assert re.findall(r'^"(\w+)"', configs["pgbouncer_users"]["content"], re.MULTILINE) == ["physio_api"]


def test_the_image_holds_every_room_the_program_has() -> None:
    copied = set(re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"alembic"}
    assert copied == rooms - {"tests", "benchmarks"}
