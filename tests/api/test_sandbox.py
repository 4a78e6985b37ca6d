"""The clock of a sandbox: it moves ahead, never back, and what would have happened has happened in order."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, TypeAlias
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from httpx import AsyncClient

from api import sandbox as door
from api.app import create_app
from clinical.library import load
from clinical.recurrence import instant
from core import clock
from core.database import Sessions, bind_clinic, make_engine, make_sessions
from core.settings import Settings
from integrations.channels import open_channels
from integrations.delivery import Accepted
from jobs import worker
from models.flares import Flare, FlareOpener
from models.identity import Role
from schemas.check_ins import PlanIn
from schemas.instrument_plans import InstrumentPlanCreate
from services import instrument_plans, notifications, sandbox
from services.check_ins import plans
from tests.api.conftest import client_of
from tests.conftest import Database
from tests.factories import bearer, make_actor, open_sign_in, sign_in
from tests.services.caring import Care, care

ZONE = ZoneInfo("Europe/Berlin")
Rows: TypeAlias = "asyncpg.Connection[Any]"


@pytest.fixture(autouse=True)
def put_right() -> Iterator[None]:
    """Leave no moved clock in this process."""
    yield
    clock.move(None)


def next_change(after: date) -> date:
    """Give the next day on which Berlin's clocks change."""
    day = after
    while True:
        noon, next_noon = (datetime.combine(each, time(12), ZONE) for each in (day, day + timedelta(days=1)))
        if noon.utcoffset() != next_noon.utcoffset():
            return day + timedelta(days=1)
        day += timedelta(days=1)


@dataclass
class Sandbox:
    """A sandbox whose clock shows a morning five days before Berlin's clocks change, and alice's clinic in it."""

    database: Database
    settings: Settings
    sessions: Sessions
    rows: Rows
    ward: Care
    start: datetime
    mail: Path
    clients: list[AsyncClient] = field(default_factory=list)

    async def plan(self, **more: Any) -> None:
        """Ask alice every morning at eight, while a program runs."""
        await self.ward.running(at=self.start)
        async with self.sessions.begin() as session:
            await self.ward.open(session)
            form = PlanIn.model_validate({"question_set": "daily", "frequency": "daily", "local_time": "08:00"} | more)
            await plans.create(session, self.ward.bob, self.ward.episode_id, form, at=self.start)

    async def headers(self, role: Role, *scopes: str) -> dict[str, str]:
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.ward.clinic_id)
            actor = await make_actor(session, self.ward.clinic_id, role, scopes=list(scopes))
            seconds = await self.rows.fetchval("SELECT ahead_seconds FROM sandbox_clock")
            at = datetime.now(UTC) + timedelta(seconds=seconds or 0)
            return bearer(await sign_in(session, actor, at=at))

    async def move(self, body: Any, client: AsyncClient, headers: dict[str, str] | None = None) -> Any:
        return await client.post(
            "/v1/sandbox/clock", json=body, headers=headers or await self.headers(Role.CLINIC_ADMIN)
        )


@pytest.fixture
async def box(fresh_database: Database, settings: Settings, tmp_path: Path) -> AsyncIterator[Sandbox]:
    today = datetime.now(UTC).date()
    start = instant(next_change(today + timedelta(days=50)) - timedelta(days=5), time(9), ZONE.key)
    rows = await asyncpg.connect(fresh_database.superuser.replace("+asyncpg", ""))
    ahead = (start - datetime.now(UTC)).total_seconds()
    await rows.execute("INSERT INTO sandbox_clock (ahead_seconds) VALUES ($1)", ahead)
    engine = make_engine(fresh_database.api)
    sessions = make_sessions(engine)
    known = Settings.model_validate(
        {
            **settings.model_dump(),
            "sandbox": True,
            "worker_database_url": fresh_database.worker,
            "sweeper_database_url": fresh_database.sweeper,
            "data_dir": tmp_path,
        }
    )
    ward = await care(sessions, now=start, zone=ZONE.key)
    yield Sandbox(fresh_database, known, sessions, rows, ward, start, tmp_path / "mail")
    await rows.close()
    await engine.dispose()


@pytest.fixture
async def client(box: Sandbox) -> AsyncIterator[AsyncClient]:
    async with client_of(create_app(box.settings, sessions=box.sessions)) as client:
        yield client


async def test_days_pass_in_order_over_a_change_of_the_clocks(box: Sandbox, client: AsyncClient) -> None:
    await box.plan()
    last_day = (box.start + timedelta(days=8)).date()
    await box.rows.execute(
        "UPDATE licenses SET expires_on = $1 WHERE therapist_id = $2", last_day, box.ward.world.bob.id
    )
    to = box.start + timedelta(days=12)
    for _ in range(20):  # a slow machine gets there in parts
        moved = await box.move({"to": to.isoformat()}, client)
        if moved.status_code != 202:
            break
    assert moved.status_code == 200, moved.text
    said = moved.json()
    assert said["reached"] is True
    assert datetime.fromisoformat(said["now"]) - to < timedelta(seconds=60)
    first = box.start.astimezone(ZONE).date() + timedelta(days=1)
    expected = [first + timedelta(days=number) for number in range(13)]

    asked = await box.rows.fetch("SELECT local_date, opens_at, status FROM check_ins ORDER BY opens_at")
    assert [row["local_date"] for row in asked] == expected
    assert {row["opens_at"].astimezone(ZONE).time() for row in asked} == {time(8)}
    assert len({row["opens_at"].astimezone(ZONE).utcoffset() for row in asked}) == 2, "both times of the year"
    assert [row["status"] for row in asked[-2:]] == ["open", "due"]

    raised = await box.rows.fetch(
        "SELECT rule_id, raised_at, overdue_at FROM alerts WHERE rule_id IN ('ES08', 'ES09') ORDER BY raised_at"
    )
    assert [row["rule_id"] for row in raised] == ["ES08", "ES09"], "three in a row, then five"
    closing = timedelta(hours=20)
    third, fifth = (instant(expected[number], time(8), ZONE.key) + closing for number in (2, 4))
    assert [row["raised_at"] for row in raised] == [third, fifth], "at the very minute"
    assert all(row["overdue_at"] is not None and row["overdue_at"] > row["raised_at"] for row in raised)

    expired = await box.rows.fetchrow(
        "SELECT l.status, (SELECT min(at) FROM audit_events WHERE action = 'license.expire') AS at FROM licenses l"
        " WHERE therapist_id = $1", box.ward.world.bob.id
    )  # fmt: skip
    assert expired is not None
    assert (expired["status"], expired["at"].date()) == ("expired", last_day + timedelta(days=1))
    program = await box.rows.fetchrow(
        "SELECT g.status, p.began_at FROM programs g JOIN program_pauses p ON p.program_id = g.id"
    )
    assert program is not None
    assert program["status"] == "paused"
    assert program["began_at"] == instant(last_day + timedelta(days=1), time(0), ZONE.key), "with its last day"
    later = [row["status"] for row in asked if row["local_date"] > last_day + timedelta(days=1)][:-2]
    assert set(later) == {"excused"}, "who has no program that runs has missed nothing"

    owed = await box.rows.fetch("SELECT due_at, sent_at, status FROM notifications ORDER BY created_at, due_at")
    assert [row["due_at"] for row in owed] == sorted(row["due_at"] for row in owed), "one after the other"
    assert {row["status"] for row in owed} == {"sent"}
    assert len(list(box.mail.glob("*.eml"))) == len(owed)
    runs = await box.rows.fetch("SELECT started_at FROM job_runs ORDER BY finished_at - started_at")
    assert len(runs) > 120


async def test_reminders_and_the_next_in_line_have_their_hour_too(box: Sandbox, client: AsyncClient) -> None:
    await box.plan(remind_after_hours=3)
    moved = await box.move({"advance": {"days": 9}}, client)
    assert moved.json()["reached"] is True
    reminders = await box.rows.fetch("SELECT sent_at FROM notifications WHERE template = 'check_in_reminder'")
    sent = Counter(row["sent_at"].astimezone(ZONE).time().replace(second=0, microsecond=0) for row in reminders)
    assert sent.keys() == {time(8), time(11)}, "three hours after eight; of what was missed at night, in the morning"
    assert sent[time(11)] == 8
    alerts = await box.rows.fetch(
        "SELECT rule_id, escalations, escalate_at FROM alerts WHERE rule_id <> 'ES10' ORDER BY raised_at"
    )
    assert [(row["rule_id"], row["escalations"], row["escalate_at"]) for row in alerts] == [
        ("ES08", 2, None),
        ("ES09", 2, None),
    ]


async def test_what_starts_every_few_minutes_has_its_instant_too(box: Sandbox, client: AsyncClient) -> None:
    today = box.start.astimezone(ZONE).date()
    midnight = instant(today + timedelta(days=1), time(0), ZONE.key)
    opened = box.start - timedelta(days=6)
    async with box.sessions.begin() as session:
        await box.ward.open(session)
        flare = Flare(
            clinic_id=box.ward.clinic_id, patient_id=box.ward.world.alice.id, episode_id=box.ward.episode_id,
            opened_via=FlareOpener.PATIENT, opened_by=box.ward.alice.account_id, rule_version="1",
            opened_at=opened, opened_on=opened.date(), step_at=opened, step_on=opened.date(),
            review_at=box.start + timedelta(minutes=7),
        )  # fmt: skip
        session.add(flare)
        ahead = timedelta(days=1 + load().administration.ahead_days)
        form = InstrumentPlanCreate(instrument="psfs", intake=False, report_on=today + ahead)
        await instrument_plans.create(session, box.ward.bob, box.ward.episode_id, form, at=box.start)
    await box.rows.execute("UPDATE consents SET expires_on = $1", today)
    moved = await box.move({"to": (midnight + timedelta(hours=2, minutes=30)).isoformat()}, client)
    assert moved.json()["reached"] is True
    seen = await box.rows.fetchrow(
        "SELECT (SELECT min(raised_at) FROM alerts WHERE rule_id = 'ES06') AS called,"
        " (SELECT at FROM audit_events WHERE action = 'consent.expire') AS expired,"
        " (SELECT started_at FROM job_runs WHERE job = 'instruments.remind' AND counts ->> 'reminded' = '1') AS reminded,"
        " (SELECT counts ->> 'overdue' FROM job_runs WHERE job = 'jobs.watch') AS overdue"
    )
    assert seen is not None
    assert midnight <= seen["called"] <= midnight + timedelta(hours=1), "on the seventh day, with the hour's look"
    assert (seen["expired"], seen["reminded"], seen["overdue"]) == (midnight, midnight, "0")


async def test_a_slow_mail_server_holds_no_transaction_open_and_the_rest_comes_with_the_next_call(
    box: Sandbox, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_for = 0.0

    class Slow:
        async def deliver(self, _letter: Any) -> Accepted:
            nonlocal open_for
            await asyncio.sleep(0.4)
            age = "SELECT extract(epoch FROM max(now() - xact_start))::float FROM pg_stat_activity"
            theirs = "WHERE usename LIKE 'physio%' AND datname = current_database()"
            open_for = max(open_for, await box.rows.fetchval(f"{age} {theirs}") or 0)
            return Accepted()

    async with box.sessions.begin() as session:
        await box.ward.open(session)
        for number in range(8):
            await notifications.owe(
                session, clinic_id=box.ward.clinic_id, template="device_added", channel="email", due_at=box.start,
                dedupe_key=str(number), account_id=box.ward.alice.account_id, patient_id=box.ward.world.alice.id,
            )  # fmt: skip
    channels = open_channels(box.settings)
    monkeypatch.setattr(door, "open_channels", lambda _settings: replace(channels, email=Slow()))
    monkeypatch.setattr(door, "PATIENCE_SECONDS", 0.5)
    to = {"to": (box.start + timedelta(hours=1)).isoformat()}
    first = await box.move(to, client)
    assert (first.status_code, first.json()["reached"]) == (202, False)
    for _ in range(10):
        if (await box.move(to, client)).status_code == 200:
            break
    sent = await box.rows.fetchval("SELECT count(*) FROM notifications WHERE status = 'sent'")
    assert sent == 8
    assert open_for < 0.3


async def test_the_clock_never_goes_back_nor_further_than_it_may(box: Sandbox, client: AsyncClient) -> None:
    to = box.start + timedelta(days=2)
    assert (await box.move({"to": to.isoformat()}, client)).json()["reached"]
    for body, code in (
        ({"to": (to - timedelta(hours=1)).isoformat()}, "clock_backwards"),
        ({"to": (to + timedelta(days=401)).isoformat()}, "clock_too_far"),
        ({"advance": {"days": 400, "hours": 24}}, "clock_too_far"),
        ({"advance": {"days": 401}}, "less_than_equal"),
        ({"advance": {"days": -1}}, "greater_than_equal"),
        ({}, "clock_move_form"),
        ({"advance": {"days": 1}, "to": to.isoformat()}, "clock_move_form"),
    ):
        refused = await box.move(body, client)
        assert refused.status_code == 422, refused.text
        assert [each["code"] for each in refused.json()["errors"]] == [code]
    shown = await client.get("/v1/sandbox/clock", headers=await box.headers(Role.CLINIC_ADMIN))
    now = datetime.fromisoformat(shown.json()["now"])
    assert to <= now < to + timedelta(minutes=2)
    assert abs(shown.json()["ahead_seconds"] - (now - datetime.now(UTC)).total_seconds()) < 5


async def test_it_moves_by_days_and_everybody_lives_by_it(box: Sandbox, client: AsyncClient) -> None:
    await box.plan()
    moved = await box.move({"advance": {"days": 2, "hours": 1}}, client)
    assert moved.status_code == 200, moved.text
    now = datetime.fromisoformat(moved.json()["now"])
    assert abs(now - box.start - timedelta(days=2, hours=1)) < timedelta(minutes=2)
    reviewed = await box.rows.fetchval("SELECT max(started_at) FROM job_runs WHERE job = 'flares.review'")
    assert abs(now - reviewed) < timedelta(minutes=2), "what is due every few minutes is not late where the clock stops"
    old = await client.get("/v1/me", headers=box.ward.world.headers["alice"])
    assert old.status_code == 401, "an access token lasts fifteen minutes, by the sandbox's clock"
    async with box.sessions.begin() as session:
        await bind_clinic(session, box.ward.clinic_id)
        signed = await open_sign_in(session, box.ward.alice, at=now)
    today = (await client.get("/v1/me/today", headers=bearer(signed.access_token))).json()
    assert today["on"] == str(now.astimezone(ZONE).date())
    clock.move(None)  # as another process, which learns it from the database
    async with worker.opened(box.settings, 2) as reach:
        await worker.see_the_clock(reach)
    assert abs(clock.now() - now) < timedelta(minutes=2)


async def test_a_long_way_is_gone_in_parts(box: Sandbox, client: AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    await box.plan()
    monkeypatch.setattr(door, "PATIENCE_SECONDS", 0.0)
    to = {"to": (box.start + timedelta(days=1)).isoformat()}
    shown = []
    for _ in range(100):
        part = await box.move(to, client)
        shown.append(datetime.fromisoformat(part.json()["now"]))
        if part.status_code == 200:
            break
        assert (part.status_code, part.json()["reached"]) == (202, False), part.text
    assert len(shown) > 3
    assert shown == sorted(shown)
    assert await box.rows.fetchval("SELECT count(*) FROM check_ins") == 2


async def test_one_moves_it_at_a_time(box: Sandbox, client: AsyncClient) -> None:
    async with box.rows.transaction():
        await box.rows.fetch("SELECT pg_advisory_xact_lock($1)", sandbox.MOVING)
        refused = await box.move({"advance": {"days": 1}}, client)
    assert (refused.status_code, refused.json()["code"], refused.json()["retryable"]) == (409, "clock_moving", True)
    assert (await box.move({"advance": {"days": 1}}, client)).status_code == 200


async def test_a_repeat_under_the_same_key_moves_nothing(box: Sandbox, client: AsyncClient) -> None:
    headers = {**await box.headers(Role.SERVICE, "sandbox"), "Idempotency-Key": "one-day"}
    first = await box.move({"advance": {"minutes": 5}}, client, headers)
    again = await box.move({"advance": {"minutes": 5}}, client, headers)
    assert (first.status_code, again.status_code, again.content == first.content) == (200, 200, True)


async def test_only_admins_and_services_with_the_scope_may(box: Sandbox, client: AsyncClient) -> None:
    body = {"advance": {"minutes": 1}}
    for who, status in (
        (box.ward.world.headers["alice"], 403),
        (box.ward.world.headers["bob"], 403),
        (await box.headers(Role.SERVICE, "*"), 403),
        (await box.headers(Role.SERVICE, "sandbox"), 200),
    ):
        assert (await box.move(body, client, who)).status_code == status
        assert (await client.get("/v1/sandbox/clock", headers=who)).status_code == status


async def test_elsewhere_there_is_no_such_clock(box: Sandbox) -> None:
    async with client_of(
        create_app(box.settings.model_copy(update={"sandbox": False}), sessions=box.sessions)
    ) as other:
        headers = await box.headers(Role.CLINIC_ADMIN)
        now = await other.get("/v1/sandbox/clock", headers={**headers})
        assert now.status_code == 404, "not without the setting"
    await box.rows.execute("DELETE FROM sandbox_clock")
    async with client_of(create_app(box.settings, sessions=box.sessions)) as other:
        refused = await box.move({"advance": {"days": 1}}, other)
        assert refused.status_code == 404, "not on a database that was not made as one"


async def test_nobody_makes_a_database_a_sandbox_later(box: Sandbox) -> None:
    await box.rows.execute("DELETE FROM sandbox_clock")
    for role in (box.database.api, box.database.worker, box.database.sweeper):
        connection = await asyncpg.connect(role.replace("+asyncpg", ""))
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("INSERT INTO sandbox_clock DEFAULT VALUES")
        await connection.close()
