"""Schedulers outside: a run is over when its answer comes, whatever the size of the pool and however long it takes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from api import jobs as door
from api.app import create_app
from core.database import Sessions, bind_clinic, make_engine, make_sessions
from core.settings import Settings
from integrations.channels import Channels
from integrations.delivery import Accepted, Failed, Outcome
from integrations.email import Letter
from models.identity import Role
from services import jobs, notifications
from services.timetable import TIMETABLE
from tests.conftest import Database
from tests.factories import bearer, make_actor, sign_in
from tests.services.caring import Care, care


@dataclass
class Post:
    """A mail server that does as it is told before it takes a letter."""

    taken: list[Letter]
    before: Callable[[], Any]

    async def deliver(self, letter: Letter) -> Outcome:
        outcome = await self.before()
        self.taken.append(letter)
        return outcome or Accepted()


@dataclass
class Scheduler:
    """A service account of a clinic at an API that has one connection."""

    app: FastAPI
    client: AsyncClient
    ward: Care
    headers: Mapping[str, str]
    post: Post

    async def run(self, job: str, body: Any = None, **headers: str) -> Any:
        return await self.client.post(f"/v1/jobs/{job}/runs", json=body, headers={**self.headers, **headers})

    async def last_run(self, job: str) -> Any:
        listed = (await self.client.get("/v1/jobs", headers=self.headers)).json()["items"]
        return {one["job"]: one["last_run"] for one in listed}[job]


async def nothing() -> None:
    """Do nothing."""


@pytest.fixture
async def scheduler(
    database: Database, sessions: Sessions, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Scheduler]:
    ward = await care(sessions, now=datetime.now(UTC))
    async with sessions.begin() as session:
        await bind_clinic(session, ward.clinic_id)
        service = await make_actor(session, ward.clinic_id, Role.SERVICE, scopes=["*"])
        headers = bearer(await sign_in(session, service))
        await notifications.owe(
            session,
            clinic_id=ward.clinic_id,
            template="device_added",
            channel="email",
            dedupe_key="one",
            due_at=datetime.now(UTC),
            account_id=ward.alice.account_id,
        )
    post = Post([], nothing)
    channels = Channels(post, None, None, None, None, ())
    monkeypatch.setattr(door, "open_channels", lambda _: nullcontext(channels))
    engine = make_engine(database.api, pool_size=1, pool_timeout=0.2)
    app = create_app(settings.model_copy(update={"pool_size": 1}), sessions=make_sessions(engine))
    transport = ASGITransport(app, raise_app_exceptions=False)
    async with AsyncClient(transport=transport, base_url="http://physio.test") as client:
        yield Scheduler(app, client, ward, headers, post)
    await engine.dispose()


async def test_every_job_runs_over_a_pool_of_one_and_without_a_body(scheduler: Scheduler) -> None:
    for entry in TIMETABLE:
        ran = await scheduler.run(entry.job)
        assert (ran.status_code, ran.json()["status"]) == (201, "succeeded"), ran.text
        assert (await scheduler.last_run(entry.job))["id"] == ran.json()["id"]
    assert len(scheduler.post.taken) == 1


async def test_while_a_letter_is_on_its_way_others_are_served(scheduler: Scheduler) -> None:
    asked: list[int] = []

    async def ask() -> None:
        asked.append((await scheduler.client.get("/v1/jobs", headers=scheduler.headers)).status_code)

    scheduler.post.before = ask
    ran = await scheduler.run("notifications.deliver", {})
    assert (ran.status_code, ran.json()["counts"]["sent"], asked) == (201, 1, [200])


async def test_what_fails_is_no_success_and_stands_in_the_timetable(
    scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_args: Any, **_options: Any) -> Any:
        raise ZeroDivisionError("a text that may hold anything")

    monkeypatch.setitem(jobs.JOBS, "licenses.expire", fail)
    failed = await scheduler.run("licenses.expire")
    assert (failed.status_code, failed.json()["code"]) == (500, "internal_error")
    assert "anything" not in failed.text
    last = await scheduler.last_run("licenses.expire")
    assert (last["status"], last["error"]) == ("failed", "ZeroDivisionError")
    assert (await scheduler.run("check-ins.close")).status_code == 201  # nothing is left behind


async def test_a_letter_that_fails_is_counted_and_the_run_goes_on(scheduler: Scheduler) -> None:
    async def refuse() -> Outcome:
        return Failed("451")

    scheduler.post.before = refuse
    ran = await scheduler.run("notifications.deliver")
    assert (ran.status_code, ran.json()["counts"]) == (201, {"sent": 0, "failed": 1, "refused": 0})


async def test_a_run_under_a_key_is_answered_once_and_replayed(scheduler: Scheduler) -> None:
    key = {"Idempotency-Key": "tonight"}
    first = await scheduler.run("housekeeping", {}, **key)
    again = await scheduler.run("housekeeping", {}, **key)
    other = await scheduler.run("housekeeping", {"dry_run": True}, **key)
    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert again.headers["Idempotent-Replay"] == "true"
    assert again.content == first.content


async def test_two_with_the_same_key_at_once_get_the_same_answer(scheduler: Scheduler) -> None:
    both = asyncio.Barrier(2)

    async def meet() -> None:
        await both.wait()

    scheduler.post.before = meet
    async with scheduler.ward.sessions.begin() as session:
        await bind_clinic(session, scheduler.ward.clinic_id)
        await notifications.owe(
            session,
            clinic_id=scheduler.ward.clinic_id,
            template="device_added",
            channel="email",
            dedupe_key="two",
            due_at=datetime.now(UTC),
            account_id=scheduler.ward.alice.account_id,
        )
    key = {"Idempotency-Key": "at-once"}
    first, second = await asyncio.gather(*(scheduler.run("notifications.deliver", {}, **key) for _ in range(2)))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert len(scheduler.post.taken) == 2


async def test_a_key_is_not_kept_for_a_run_that_failed(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_args: Any, **_options: Any) -> Any:
        raise ZeroDivisionError

    key = {"Idempotency-Key": "once-more"}
    with monkeypatch.context() as broken:
        broken.setitem(jobs.JOBS, "licenses.expire", fail)
        assert (await scheduler.run("licenses.expire", {}, **key)).status_code == 500
    mended = await scheduler.run("licenses.expire", {}, **key)
    assert (mended.status_code, "Idempotent-Replay" in mended.headers) == (201, False)


@pytest.mark.parametrize(("job", "who", "status"), [("nothing", "service", 404), ("check-ins.close", "bob", 403)])
async def test_who_may_not_or_asks_for_no_job_is_refused(scheduler: Scheduler, job: str, who: str, status: int) -> None:
    headers = scheduler.headers if who == "service" else scheduler.ward.world.headers[who]
    refused = await scheduler.client.post(f"/v1/jobs/{job}/runs", headers=headers)
    assert refused.status_code == status
    unknown = await scheduler.run("check-ins.close", {"dry": True})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "invalid")
