"""`physio jobs …`, run as an operator runs it, on a database where nobody works: what waits is seen all the same."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest

from core.database import make_engine, make_sessions
from models.notifications import NotificationPreference
from services import notifications
from services.timetable import TIMETABLE
from tests import nursery
from tests.conftest import Database
from tests.live import environment
from tests.services.caring import care

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def jobs(fresh_database: Database, tmp_path: Path) -> Run:
    """Run a command of `physio jobs`."""

    def run(*words: str) -> "subprocess.CompletedProcess[str]":
        return nursery.run("jobs", *words, env=environment(fresh_database, tmp_path))

    return run


def owe(database: Database, *, late: timedelta) -> UUID:
    """Owe alice a letter since so long; give the clinic."""

    async def make() -> UUID:
        engine = make_engine(database.api, pool_size=2)
        ward = await care(make_sessions(engine), now=datetime.now(UTC))
        async with ward.sessions.begin() as session:
            await ward.open(session)
            never = time(0)
            session.add(
                NotificationPreference(
                    clinic_id=ward.clinic_id, account_id=ward.alice.account_id, quiet_from=never, quiet_until=never
                )
            )  # the tests run at any hour
            await notifications.owe(
                session,
                clinic_id=ward.clinic_id,
                template="check_in_reminder",
                channel="email",
                dedupe_key="one",
                due_at=datetime.now(UTC) - late,
                account_id=ward.alice.account_id,
            )
        await engine.dispose()
        return ward.clinic_id

    return asyncio.run(make())


def read(database: Database, sql: str) -> Any:
    with psycopg.connect(database.superuser.replace("+asyncpg", ""), autocommit=True) as owner:
        done = owner.execute(sql)
        return done.fetchall() if done.description else None


def test_what_waits_too_long_is_seen_where_no_worker_runs_and_monitoring_is_told(
    jobs: Run, fresh_database: Database, tmp_path: Path
) -> None:
    fine = jobs("list", "--check")
    assert fine.returncode == 0, fine.stderr
    assert [line.split()[0] for line in fine.stdout.splitlines()[1:]] == [entry.job for entry in TIMETABLE]
    owe(fresh_database, late=timedelta(minutes=11))
    late = jobs("list", "--check")
    (line,) = [each for each in late.stdout.splitlines() if each.startswith("notifications.deliver")]
    assert (late.returncode, "OVERDUE" in line, late.stdout.count("OVERDUE")) == (1, True, 1)
    found = json.loads(jobs("list", "--json").stdout)
    (delivery,) = [each for each in found["items"] if each["job"] == "notifications.deliver"]
    assert (found["overdue"], delivery["overdue"], delivery["backlog"]) == (True, True, 1)
    assert 660 <= delivery["oldest_age_seconds"] < 900

    watched = jobs("run", "jobs.watch", "--json")
    assert json.loads(watched.stdout)["counts"] == {"overdue": 1, "told": 1}
    assert "jobs_overdue" in watched.stdout + watched.stderr
    assert json.loads(jobs("run", "jobs.watch", "--json").stdout)["counts"]["told"] == 0, "once in an hour"

    would = jobs("run", "notifications.deliver", "--dry-run")
    assert "owed=2" in would.stdout
    assert "sent=2" in jobs("run", "notifications.deliver").stdout
    letters = [file.read_text() for file in (tmp_path / "mail").glob("*.eml")]
    assert len(letters) == 2
    assert any("scheduled work is late" in each for each in letters)
    assert jobs("list", "--check").returncode == 0
    ran = json.loads(jobs("runs", "notifications.deliver", "--json").stdout)
    assert [each["counts"] for each in ran] == [{"sent": 2, "failed": 0, "refused": 0}]
    assert "sent=2" in jobs("runs").stdout


def test_a_job_that_is_none_and_an_id_that_is_none_are_refused(jobs: Run) -> None:
    for words, said in (
        (("run", "nothing"), "no such job: nothing"),
        (("replay",), "give one id, or --all"),
        (("replay", "nonsense"), "ids are UUIDs"),
    ):
        refused = jobs(*words)
        assert (refused.returncode, said in refused.stderr) == (2, True), refused.stderr
    absent = jobs("replay", "0198c0de-7a11-7000-8000-000000000001")
    assert (absent.returncode, "no such thing" in absent.stderr) == (1, True)
    assert jobs("replay", "queue-17").returncode == 1


def test_a_job_that_somebody_holds_up_says_so_in_a_sentence(jobs: Run, fresh_database: Database) -> None:
    with psycopg.connect(fresh_database.superuser.replace("+asyncpg", "")) as owner:
        owner.execute("LOCK TABLE consents")
        held = jobs("run", "consents.expire")
    assert (held.returncode, "Traceback" in held.stderr) == (1, False), held.stderr
    assert "physio: somebody else held for too long what this needs" in held.stderr
    assert read(fresh_database, "SELECT status FROM job_runs") == [("failed",)]


def test_a_run_in_which_a_clinic_failed_says_so_in_a_sentence(jobs: Run, fresh_database: Database) -> None:
    owe(fresh_database, late=timedelta(minutes=1))
    read(
        fresh_database,
        """CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''anything''; END';
        CREATE TRIGGER fail BEFORE UPDATE ON notifications FOR EACH ROW EXECUTE FUNCTION fail()""",
    )
    failed = jobs("run", "notifications.deliver")
    assert (failed.returncode, "Traceback" in failed.stderr, "anything" in failed.stderr) == (1, False, False), (
        failed.stderr
    )
    assert "physio: some clinics failed, the first with " in failed.stderr
    assert "clinics_failed=1" in failed.stderr


def test_dead_letters_are_seen_and_tried_again_without_anybodys_address(jobs: Run, fresh_database: Database) -> None:
    clinic_id = owe(fresh_database, late=timedelta())
    read(fresh_database, "UPDATE notifications SET status = 'dropped', attempts = 8, last_error = '451'")
    read(
        fresh_database,
        "INSERT INTO procrastinate.procrastinate_jobs (queue_name, task_name, status, attempts, queueing_lock)"
        " VALUES ('default', 'licenses.expire', 'failed', 5, 'licenses.expire')",
    )
    shown = jobs("dead")
    assert shown.returncode == 0, shown.stderr
    assert "451" in shown.stdout
    assert str(clinic_id) in shown.stdout
    assert "@" not in shown.stdout
    job, letter = json.loads(jobs("dead", "--json").stdout)
    assert (job["kind"], job["name"], letter["kind"], letter["name"]) == (
        "job",
        "licenses.expire",
        "notification",
        "check_in_reminder",
    )
    assert "1 will be" in jobs("replay", letter["id"]).stderr
    assert "0 will be" in jobs("replay", letter["id"]).stderr, "safe to repeat"
    assert read(fresh_database, "SELECT status, attempts FROM notifications") == [("owed", 0)]
    assert "1 will be" in jobs("replay", job["id"]).stderr
    assert "1 will be" in jobs("replay", job["id"]).stderr, "safe to repeat"
    (waits,) = read(fresh_database, "SELECT status::text FROM procrastinate.procrastinate_jobs")
    assert waits == ("todo",)
    assert read(fresh_database, "SELECT role, action FROM audit_events WHERE action = 'notification.replay'") == [
        ("operator", "notification.replay")
    ]
    read(fresh_database, "UPDATE notifications SET status = 'refused', last_error = '550'")
    again = json.loads(jobs("replay", "--all", "--json").stdout)
    assert [each["status"] for each in again] == ["owed"]
    assert json.loads(jobs("dead", "--json").stdout) == []
