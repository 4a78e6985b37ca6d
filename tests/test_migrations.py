"""Revisions run up and down, leave nothing behind, and give what the models say."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory

from cli import migrations
from core import revisions
from dev import squawk
from dev.cluster import Cluster
from tests.conftest import Database

ROOT = Path(__file__).parents[1]

OBJECTS = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND c.relname NOT LIKE 'alembic_version%'
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = c.oid AND d.deptype = 'e')
UNION SELECT n.nspname || '.' || p.proname FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = p.oid AND d.deptype = 'e')
UNION SELECT nspname FROM pg_namespace WHERE nspname IN ('identity', 'procrastinate')
UNION SELECT typname FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE n.nspname = 'public' AND t.typtype IN ('e', 'd')
"""


@pytest.fixture
def empty(server: Cluster) -> Iterator[Database]:
    """Give a database that no revision has touched."""
    name = f"physio_revisions_{uuid4().hex[:8]}"  # several workers share the server
    server.create_database(name)
    yield Database(server, name)
    server.drop_database(name)


def alembic(database: Database, verb: Callable[..., Any], *arguments: Any, **options: Any) -> None:
    """Run a command of Alembic, in a thread: it brings an event loop of its own."""
    config = migrations.config(database.owner)
    with ThreadPoolExecutor(1) as thread:
        thread.submit(verb, config, *arguments, **options).result()


async def objects(database: Database) -> set[str]:
    connection = await asyncpg.connect(database.superuser.replace("+asyncpg", ""))
    rows = await connection.fetch(OBJECTS)
    await connection.close()
    return {row[0] for row in rows}


async def rights(database: Database) -> set[tuple[Any, ...]]:
    """Give every grant and policy: what comes back after a way down and up must be the same."""
    connection = await asyncpg.connect(database.superuser.replace("+asyncpg", ""))
    rows = await connection.fetch(
        "SELECT 'table', c.oid::regclass::text, c.relacl::text FROM pg_class c"
        " WHERE c.relnamespace IN ('public'::regnamespace, 'identity'::regnamespace) AND c.relkind = 'r'"
        " UNION SELECT 'column', a.attrelid::regclass || '.' || a.attname, a.attacl::text FROM pg_attribute a"
        " JOIN pg_class c ON c.oid = a.attrelid AND c.relnamespace = 'public'::regnamespace WHERE a.attacl IS NOT NULL"
        " UNION SELECT 'policy', tablename || '.' || policyname, roles::text || cmd || qual || coalesce(with_check, '')"
        " FROM pg_policies"
    )
    await connection.close()
    return {tuple(row) for row in rows}


async def test_every_revision_runs_up_and_down_and_up_again(empty: Database) -> None:
    before = await objects(empty)
    alembic(empty, command.upgrade, "head")
    first, granted = await objects(empty), await rights(empty)
    assert {"public.patients", "identity.accounts", "procrastinate.procrastinate_jobs"} <= first
    for _ in scripts().walk_revisions():  # one by one: each revision undoes what it did
        alembic(empty, command.downgrade, "-1")
    assert await objects(empty) == before
    alembic(empty, command.upgrade, "head")
    assert await objects(empty) == first
    assert await rights(empty) == granted


ESCALATED = """
INSERT INTO clinics (id, name, country, zone) VALUES ('{id}'::uuid, 'Riverside', 'DE', 'Europe/Berlin');
INSERT INTO patients (clinic_id, id, record_number, given_name, family_name, birth_date, zone)
VALUES ('{id}'::uuid, '{id}'::uuid, '1', 'Alice', 'Example', '1980-01-01', 'UTC');
INSERT INTO alerts (clinic_id, id, patient_id, rule_id, rule_version, level, source_type, raised_at, respond_by)
VALUES ('{id}'::uuid, '{id}'::uuid, '{id}'::uuid, 'ES03', 'v', 'high', 'check_in', now(), now());
INSERT INTO alert_events (clinic_id, alert_id, kind, at)
SELECT '{id}'::uuid, '{id}'::uuid, kind, now()
FROM unnest(ARRAY['raised', 'overdue', 'escalated', 'handed_back', 'reopened']) kind
"""


async def test_going_down_takes_the_events_with_it_that_were_not_known_before(empty: Database) -> None:
    alembic(empty, command.upgrade, "0016")
    connection = await asyncpg.connect(empty.superuser.replace("+asyncpg", ""))
    await connection.execute(ESCALATED.format(id=uuid4()))
    alembic(empty, command.downgrade, "0015")
    kinds = await connection.fetch("SELECT kind FROM alert_events ORDER BY kind")
    assert [row["kind"] for row in kinds] == ["overdue", "raised"]
    await connection.execute("ALTER TABLE alert_events VALIDATE CONSTRAINT ck_alert_events_kind")
    forced = "SELECT relforcerowsecurity FROM pg_class WHERE oid = 'alert_events'::regclass"
    assert await connection.fetchval(forced)
    await connection.close()


async def test_running_the_revisions_again_changes_nothing(empty: Database) -> None:
    alembic(empty, command.upgrade, "head")
    with ThreadPoolExecutor(1) as thread:
        thread.submit(migrations.upgrade, empty.owner).result()
    connection = await asyncpg.connect(empty.superuser.replace("+asyncpg", ""))
    assert await connection.fetchval("SELECT version_num FROM alembic_version") == revisions.head()
    await connection.close()


async def test_a_revision_that_is_cut_off_between_its_transactions_can_be_run_again(empty: Database) -> None:
    several = [each for each in scripts().walk_revisions() if "autocommit_block" in written(each)]
    assert len(several) > 3
    for each in reversed(several):
        alembic(empty, command.upgrade, each.revision)
        alembic(empty, command.stamp, str(each.down_revision))  # killed just before it was written down
        alembic(empty, command.upgrade, each.revision)


def test_the_models_say_what_the_revisions_built(database: Database) -> None:
    alembic(database, command.check)


def scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(Config(toml_file=ROOT / "pyproject.toml"))


def written(revision: Script) -> str:
    return Path(revision.path).read_text(encoding="utf-8")


def test_the_revisions_stand_in_one_line() -> None:
    assert len(scripts().get_heads()) == 1
    assert len(scripts().get_bases()) == 1
    assert revisions.head() == scripts().get_current_head()


def test_revisions_lean_on_no_model_and_say_what_they_do() -> None:
    for revision in scripts().walk_revisions():
        text = written(revision)
        assert "from models" not in text, revision.path
        assert "import models" not in text, revision.path
        assert revision.doc, revision.path


def test_squawk_finds_nothing_that_would_hurt_a_running_clinic(capfd: pytest.CaptureFixture[str]) -> None:
    status = squawk.main()
    assert status == 0, capfd.readouterr().out
