"""What was given up is found in ids and codes, and tried again by those who may; jobs that are late are seen."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from api.app import create_app
from api.state import of
from core.database import Sessions, bind_clinic, make_engine, make_sessions
from core.settings import Settings
from integrations.delivery import Accepted, Outcome, Reason, Refused
from integrations.email import Letter
from models.identity import Role
from services import backlogs, jobs, notifications
from tests.api.conftest import client_of
from tests.conftest import Database
from tests.factories import TOKENS, bearer, make_actor, sign_in
from tests.services.caring import Care, care


class Post:
    """A mail server that refuses everything, until it is told not to."""

    refusing = True

    async def deliver(self, letter: Letter) -> Outcome:  # noqa: ARG002 - all are treated alike
        return Refused(Reason.BLOCKED, "550") if self.refusing else Accepted()


@dataclass
class Office:
    """A clinic alone in its database, without a worker."""

    ward: Care
    app: FastAPI
    client: AsyncClient
    sessions: Sessions
    reach: jobs.Reach
    post: Post
    rows: "asyncpg.Connection[Any]"

    async def owe(self, key: str, *, late: timedelta = timedelta()) -> None:
        async with self.sessions.begin() as session:
            await self.ward.open(session)
            await notifications.owe(
                session,
                clinic_id=self.ward.clinic_id,
                template="device_added",
                channel="email",
                dedupe_key=key,
                due_at=datetime.now(UTC) - late,
                account_id=self.ward.alice.account_id,
            )

    async def service(self, *scopes: str) -> dict[str, str]:
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.ward.clinic_id)
            actor = await make_actor(session, self.ward.clinic_id, Role.SERVICE, scopes=list(scopes))
            return bearer(await sign_in(session, actor))

    async def fail(self) -> int:
        """Let a job of the queue fail for good, as its worker would."""
        job = await self.rows.fetchval(
            "INSERT INTO procrastinate.procrastinate_jobs (queue_name, task_name, status, attempts)"
            " VALUES ('default', 'licenses.expire', 'todo', 5) RETURNING id"
        )
        for status in ("doing", "failed"):
            await self.rows.execute(
                "UPDATE procrastinate.procrastinate_jobs SET status = $2::text::procrastinate.procrastinate_job_status"
                " WHERE id = $1", job, status
            )  # fmt: skip
        return int(job)

    @property
    def admin(self) -> dict[str, str]:
        return self.ward.world.headers["dana"]

    async def get(self, path: str) -> Any:
        answer = await self.client.get(path, headers=self.admin)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def replay(self, dead_id: str, headers: dict[str, str]) -> Any:
        return await self.client.post(f"/v1/jobs/dead-letters/{dead_id}/replay", headers=headers)


@pytest.fixture
async def office(fresh_database: Database, settings: Settings) -> AsyncIterator[Office]:
    engines = [make_engine(each) for each in (fresh_database.api, fresh_database.sweeper, fresh_database.worker)]
    api, sweeper, worker = map(make_sessions, engines)
    ward = await care(api, now=datetime.now(UTC))
    post = Post()
    reach = jobs.Reach(sweeper, worker, post, "https://app.example", key=TOKENS.key)
    rows = await asyncpg.connect(fresh_database.superuser.replace("+asyncpg", ""))
    app = create_app(settings, sessions=api)
    async with client_of(app) as client:
        yield Office(ward, app, client, api, reach, post, rows)
    await rows.close()
    for engine in engines:
        await engine.dispose()


async def test_a_refused_letter_is_listed_and_sent_again_once(office: Office) -> None:
    for key in ("one", "two", "three"):
        await office.owe(key)
    await jobs.run("notifications.deliver", office.reach, at=datetime.now(UTC))
    first = await office.get("/v1/jobs/dead-letters?limit=2")
    rest = await office.get(f"/v1/jobs/dead-letters?limit=2&cursor={first['next_cursor']}")
    listed = [*first["items"], *rest["items"]]
    assert (len(listed), rest["next_cursor"]) == (3, None)
    assert {(each["status"], each["error"], each["name"]) for each in listed} == {("refused", "550", "device_added")}
    assert "@" not in str(listed)
    (dead_id, *_) = (each["id"] for each in listed)
    again = await office.replay(dead_id, office.admin)
    assert (again.status_code, again.json()["status"], again.json()["attempts"]) == (200, "owed", 0)
    office.post.refusing = False
    assert (await jobs.run("notifications.deliver", office.reach, at=datetime.now(UTC))).counts["sent"] == 1
    repeated = await office.replay(dead_id, await office.service("notifications.deliver"))
    assert repeated.json()["status"] == "sent", "what was sent since is not sent again"
    assert len((await office.get("/v1/jobs/dead-letters"))["items"]) == 2
    assert (await office.ward.actions()).count("notification.replay") == 1


async def test_who_has_not_the_scope_replays_nothing(office: Office) -> None:
    await office.owe("one")
    await jobs.run("notifications.deliver", office.reach, at=datetime.now(UTC))
    (dead,) = (await office.get("/v1/jobs/dead-letters"))["items"]
    for headers in (await office.service("housekeeping"), office.ward.world.headers["bob"]):
        assert (await office.replay(dead["id"], headers)).status_code == 403
    neighbor = await care(office.sessions, now=datetime.now(UTC))
    assert (await office.replay(dead["id"], neighbor.world.headers["dana"])).status_code == 404
    assert (await office.replay("nonsense", office.admin)).status_code == 422


async def test_a_failed_job_of_the_queue_is_replayed_by_a_service_with_its_scope(office: Office) -> None:
    failed = await office.fail()
    (listed,) = (await office.get("/v1/jobs/dead-letters?kind=job"))["items"]
    assert (listed["id"], listed["name"], listed["clinic_id"]) == (f"queue-{failed}", "licenses.expire", None)
    service = await office.service("licenses.expire")
    assert (await office.replay(listed["id"], office.admin)).status_code == 403, "it works for all clinics"
    assert (await office.replay(listed["id"], await office.service("housekeeping"))).status_code == 403
    assert (await office.replay("queue-999999", service)).status_code == 404
    assert (await office.replay(listed["id"], service)).json()["status"] == "todo"
    assert (await office.replay(listed["id"], service)).json()["status"] == "todo"
    (retried,) = [each["retry"] for each in (await office.get("/v1/jobs"))["items"] if each["retry"]]
    assert retried["attempts"] == 6
    other = await office.fail()
    assert (await office.replay(f"queue-{other}", service)).json()["id"] == listed["id"], "one waits already"
    await jobs.run("licenses.expire", office.reach, at=datetime.now(UTC) + timedelta(seconds=1))
    assert (await office.get("/v1/jobs/dead-letters?kind=job"))["items"] == [], "it has succeeded since"


async def test_the_timetable_tells_of_failures_and_of_what_is_late(office: Office) -> None:
    now = datetime.now(UTC)
    await office.owe("one", late=timedelta(minutes=9))
    fine = await office.get("/v1/jobs")
    assert fine["overdue"] is False
    await office.rows.execute("UPDATE notifications SET due_at = due_at - interval '2 minutes'")
    await office.rows.execute(
        "INSERT INTO job_runs (job, started_at, finished_at, status) VALUES"
        " ('housekeeping', $1::timestamptz - interval '3 days', now(), 'succeeded'),"
        " ('housekeeping', $1::timestamptz - interval '2 days', now(), 'failed'),"
        " ('housekeeping', $1::timestamptz - interval '1 day', now(), 'failed')",
        now,
    )
    shown = await office.get("/v1/jobs")
    by_job = {each["job"]: each for each in shown["items"]}
    assert shown["overdue"] is True
    assert [name for name, each in by_job.items() if each["overdue"]] == ["notifications.deliver"]
    assert by_job["notifications.deliver"]["oldest_age_seconds"] >= 660
    tidy = by_job["housekeeping"]
    assert (tidy["failures_since_success"], tidy["last_run"]["status"]) == (2, "failed")
    assert datetime.fromisoformat(tidy["last_success_at"]) == now - timedelta(days=3)
    assert now < datetime.fromisoformat(tidy["next_start"]) <= now + timedelta(days=1)


async def test_a_probe_may_ask_about_the_jobs(office: Office) -> None:
    async def asked() -> Any:
        of(office.app).punctuality = (None, float("-inf"))
        return (await office.client.get("/readyz?detail=true")).json()["jobs"]

    assert await asked() == "silent"
    now = datetime.now(UTC)
    assert (await jobs.run("jobs.watch", office.reach, at=now)).counts == {"overdue": 0, "told": 0}
    assert await asked() == "on_time"
    await office.owe("one", late=timedelta(minutes=11))
    assert (await jobs.run("jobs.watch", office.reach, at=now, dry_run=True)).counts == {"overdue": 1, "told": 0}
    assert (await jobs.run("jobs.watch", office.reach, at=now + timedelta(seconds=1))).counts == {
        "overdue": 1,
        "told": 1,
    }
    assert await asked() == "overdue"
    assert (await office.client.get("/readyz?detail=true")).status_code == 200
    await office.rows.execute("UPDATE job_runs SET started_at = started_at - interval '11 minutes'")
    assert await asked() == "silent"


async def test_what_a_daily_job_has_left_is_late_only_after_its_hour(office: Office) -> None:
    await office.rows.execute("UPDATE licenses SET expires_on = '2026-03-01'")

    async def overdue(at: datetime) -> bool:
        async with office.reach.sweep() as session:
            late, clinics = await backlogs.watch(session, at=at)
            assert clinics == []
            return [each.job for each in late] == ["licenses.expire"]

    assert not await overdue(datetime(2026, 3, 2, 0, 15, tzinfo=UTC))
    assert await overdue(datetime(2026, 3, 2, 0, 21, tzinfo=UTC))
