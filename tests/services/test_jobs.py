import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from core.crypto import derive_key
from core.database import Sessions, as_identity, bind_clinic, make_engine, make_sessions
from core.errors import Forbidden, NotFound
from integrations.delivery import Accepted, Failed, Outcome, Reason, Refused
from integrations.email import Letter
from models.care_team import CareLink
from models.consents import Consent, ConsentStatus
from models.idempotency import IdempotencyKey
from models.identity import Role, Throttle
from models.jobs import JobRun
from models.notifications import Notification, NotificationStatus
from models.therapists import License, LicenseStatus
from services import alerts, check_ins, delivery, job_board, jobs, letters, notifications, throttling
from services.isolation import ClinicsFailed
from services.notifications import policy
from services.timetable import TIMETABLE
from tests.conftest import Database
from tests.factories import NOW, TOKENS, make_actor, sign_in
from tests.services.caring import Care, care
from tests.services.test_alerts import raise_


class Post:
    """A mail server that answers as it is told, and keeps what it took."""

    def __init__(self) -> None:
        self.taken: list[Letter] = []
        self.answer: Outcome = Accepted()

    async def deliver(self, letter: Letter) -> Outcome:
        if isinstance(self.answer, Accepted):
            self.taken.append(letter)
        return self.answer


@pytest.fixture
def post() -> Post:
    return Post()


@pytest.fixture
async def ward(sessions: Sessions) -> Care:
    return await care(sessions)


@pytest.fixture
def reach(ward: Care, sessions: Sessions, post: Post) -> jobs.Reach:
    """What a service account's run works with: everything as the API, bound to the clinic."""
    return jobs.Reach(sessions, sessions, post, "https://app.example", ward.clinic_id, key=TOKENS.key)


async def owe(ward: Care, key: str = "one", **changes: Any) -> None:
    values: dict[str, Any] = {
        "template": "check_in_reminder",
        "channel": "email",
        "due_at": NOW,
        "account_id": ward.alice.account_id,
    }
    async with ward.sessions.begin() as session:
        await ward.open(session)
        assert await notifications.owe(session, clinic_id=ward.clinic_id, dedupe_key=key, **values | changes)
        assert not await notifications.owe(session, clinic_id=ward.clinic_id, dedupe_key=key, **values | changes)


async def owed(ward: Care) -> list[Notification]:
    async with ward.sessions() as session:
        await ward.open(session)
        query = select(Notification).where(Notification.clinic_id == ward.clinic_id)
        return list(await session.scalars(query.order_by(Notification.dedupe_key)))


async def test_a_letter_is_sent_once_to_the_accounts_address_and_says_nothing(
    ward: Care, reach: jobs.Reach, post: Post
) -> None:
    await owe(ward)
    invited: dict[str, Any] = {"account_id": None, "address": "new@patients.example", "template": "invitation"}
    await owe(ward, "two", **invited, parameters={"invitation_id": str(ward.clinic_id), "seed": "00" * 32})
    await owe(ward, "later", due_at=NOW + timedelta(hours=1))
    assert (await jobs.run("notifications.deliver", reach, at=NOW, dry_run=True)).counts == {"owed": 2}
    done = await jobs.run("notifications.deliver", reach, at=NOW)
    assert (done.status, done.counts) == ("succeeded", {"sent": 2, "failed": 0, "refused": 0})
    assert (await jobs.run("notifications.deliver", reach, at=NOW)).counts["sent"] == 0
    assert sorted(letter.to.split(".")[0] for letter in post.taken) == ["alice", "new@patients"]
    for letter in post.taken:
        assert "Riverside Physiotherapy" in letter.subject
        assert "https://app.example" in letter.text
        assert "Alice" not in letter.subject + letter.text
    assert {one.dedupe_key: one.status for one in await owed(ward)} == {
        "later": NotificationStatus.OWED,
        "one": NotificationStatus.SENT,
        "two": NotificationStatus.SENT,
    }


async def test_a_failed_letter_is_tried_again_later_and_later_and_dropped_in_the_end(
    ward: Care, reach: jobs.Reach, post: Post
) -> None:
    await owe(ward)
    post.answer = Failed("451")
    at = NOW
    for attempt in range(1, notifications.ATTEMPTS + 1):
        assert (await jobs.run("notifications.deliver", reach, at=at)).counts["failed"] == 1
        (row,) = await owed(ward)
        assert (row.attempts, row.last_error) == (attempt, "451")
        at = row.due_at
    assert row.status is NotificationStatus.DROPPED
    assert (await jobs.run("notifications.deliver", reach, at=at)).counts["failed"] == 0


async def test_a_refused_letter_and_one_to_nobody_are_never_tried_again(
    ward: Care, reach: jobs.Reach, post: Post
) -> None:
    await owe(ward)
    await owe(ward, "two", account_id=None)
    post.answer = Refused(Reason.ADDRESS_DEAD, "550")
    assert (await jobs.run("notifications.deliver", reach, at=NOW)).counts == {"sent": 0, "failed": 0, "refused": 2}
    assert [(one.status, one.last_error) for one in await owed(ward)] == [
        (NotificationStatus.REFUSED, "550"),
        (NotificationStatus.REFUSED, "no_address"),
    ]


async def test_a_letter_of_a_process_that_died_is_sent_when_its_lease_runs_out(
    ward: Care, reach: jobs.Reach, post: Post
) -> None:
    await owe(ward)
    async with reach.work(ward.clinic_id) as session:
        lost = await notifications.lease(session, ward.clinic_id, at=NOW)
        assert isinstance(lost, notifications.Leased)
        assert await notifications.lease(session, ward.clinic_id, at=NOW) is None
    at = NOW + notifications.LEASE
    assert (await jobs.run("notifications.deliver", reach, at=at)).counts["sent"] == 1
    async with reach.work(ward.clinic_id) as session:
        late = notifications.Result(Refused(Reason.BLOCKED, "late"))
        await notifications.record(session, lost, [late], at=at)
    assert [one.status for one in await owed(ward)] == [NotificationStatus.SENT]
    assert post.taken[0].key == str(lost.id)


async def test_however_slow_the_mail_server_a_letter_on_its_way_is_leased_until_it_is_there(
    ward: Care, reach: jobs.Reach
) -> None:
    for number in range(5):
        await owe(ward, str(number), template="device_added")
    passed = 0.0

    class SlowPost(Post):
        async def deliver(self, letter: Letter) -> Outcome:
            nonlocal passed
            passed += 120  # the last is sent when the first one's lease would have run out
            (row,) = [each for each in await owed(ward) if str(each.id) == letter.key]
            assert row.due_at > NOW + timedelta(seconds=passed)
            return await super().deliver(letter)

    slow = SlowPost()
    first = replace(reach, sender=slow, stopwatch=lambda: passed)
    assert (await jobs.run("notifications.deliver", first, at=NOW)).counts == {"sent": 5, "failed": 0, "refused": 0}
    assert len({letter.key for letter in slow.taken}) == len(slow.taken) == 5
    assert all(one.attempts == 1 for one in await owed(ward))


async def test_while_one_worker_sends_a_letter_another_takes_only_the_rest(
    ward: Care, reach: jobs.Reach, post: Post
) -> None:
    await owe(ward, "one")
    await owe(ward, "two", due_at=NOW + timedelta(seconds=1))

    class SlowPost(Post):
        async def deliver(self, letter: Letter) -> Outcome:
            at = NOW + timedelta(seconds=delivery.SENDING_SECONDS)
            assert (await jobs.run("notifications.deliver", replace(reach, sender=post), at=at)).counts["sent"] == 1
            return await super().deliver(letter)

    slow = SlowPost()
    assert timedelta(seconds=delivery.SENDING_SECONDS) < notifications.LEASE
    first = replace(reach, sender=slow)
    assert (await jobs.run("notifications.deliver", first, at=NOW)).counts["sent"] == 1
    assert {letter.key for letter in slow.taken}.isdisjoint(letter.key for letter in post.taken)


async def test_a_mail_server_that_never_answers_costs_one_attempt_and_a_minute_at_most(
    ward: Care, reach: jobs.Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Silence(Post):
        async def deliver(self, letter: Letter) -> Outcome:
            await asyncio.Event().wait()
            return await super().deliver(letter)

    await owe(ward)
    monkeypatch.setattr(delivery, "SENDING_SECONDS", 0.01)
    done = await jobs.run("notifications.deliver", replace(reach, sender=Silence()), at=NOW)
    assert done.counts == {"sent": 0, "failed": 1, "refused": 0}
    assert [(one.status, one.last_error) for one in await owed(ward)] == [(NotificationStatus.FAILED, "timeout")]


async def test_who_has_little_patience_leaves_the_rest_owed(ward: Care, reach: jobs.Reach) -> None:
    for number in range(3):
        await owe(ward, str(number), template="device_added")
    passed = 0.0

    class SlowPost(Post):
        async def deliver(self, letter: Letter) -> Outcome:
            nonlocal passed
            passed += 20
            return await super().deliver(letter)

    hurried = replace(reach, sender=SlowPost(), patience=15.0, stopwatch=lambda: passed)
    assert (await jobs.run("notifications.deliver", hurried, at=NOW)).counts["sent"] == 1
    assert [one.attempts for one in await owed(ward)] == [1, 0, 0]
    assert (await jobs.run("notifications.deliver", reach, at=NOW)).counts["sent"] == 2


async def test_what_is_kept_for_a_time_is_forgotten_also_by_a_run_for_one_clinic(
    ward: Care, reach: jobs.Reach, sessions: Sessions
) -> None:
    neighbor = await care(sessions)
    days = {"young": timedelta(days=29), "old": timedelta(days=31)}
    now = datetime.now(UTC)
    async with sessions.begin() as session:
        for each in (ward, neighbor):
            await bind_clinic(session, each.clinic_id)
            for key, age in days.items():
                session.add(
                    IdempotencyKey(
                        clinic_id=each.clinic_id,
                        account_id=each.alice.account_id,
                        route="answer_check_in",
                        key=key,
                        body_sha256=b"",
                        created_at=now - age,
                    )
                )
                session.add(JobRun(job="check-ins.close", clinic_id=each.clinic_id, started_at=now - 3 * age))
            await session.flush()
        stale = await make_actor(session, ward.clinic_id, Role.SERVICE)
        await sign_in(session, stale, at=now - timedelta(days=500))
    assert (await jobs.run("housekeeping", reach, at=now, dry_run=True)).counts == {
        "keys": 1,
        "runs": 1,
        "events": 0,
        "sign_ins": 0,
    }
    done = (await jobs.run("housekeeping", reach, at=now)).counts
    assert (done["keys"], done["runs"]) == (1, 1)
    assert done["sign_ins"] >= 1
    assert (await jobs.run("housekeeping", reach, at=now)).counts == {"keys": 0, "runs": 0, "events": 0, "sign_ins": 0}
    async with sessions() as session:
        for each, keys in ((ward, {"young"}), (neighbor, {"young", "old"})):
            await bind_clinic(session, each.clinic_id)
            assert set(await session.scalars(select(IdempotencyKey.key))) == keys


async def test_an_answer_that_is_still_kept_cannot_be_removed_by_anybody(ward: Care, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await ward.open(session)
        values = {"clinic_id": ward.clinic_id, "account_id": ward.alice.account_id, "route": "r", "body_sha256": b""}
        session.add(IdempotencyKey(**values, key="k", created_at=datetime.now(UTC) - timedelta(days=29)))
        await session.flush()
        await session.execute(text("DELETE FROM idempotency_keys"))
        assert await session.scalar(select(IdempotencyKey.key)) == "k"


def test_every_template_can_be_written() -> None:
    for template in policy.CATEGORIES:
        leased = notifications.Leased(
            id=UUID(int=1),
            clinic_id=UUID(int=2),
            template=template,
            parameters={"invitation_id": str(UUID(int=3)), "seed": "00" * 32},
            address="a@b.example",
            clinic_name="Riverside\nPhysiotherapy",
            attempts=1,
        )
        letter = letters.write(leased, "a@b.example", url="https://app.example", key=TOKENS.key)
        assert "\n" not in letter.subject
        assert "$" not in letter.subject + letter.text


async def test_a_failing_job_leaves_a_row_with_the_name_of_its_error(
    ward: Care, reach: jobs.Reach, sessions: Sessions
) -> None:
    def stopped() -> float:
        raise ZeroDivisionError("a text that may hold anything")

    with pytest.raises(ZeroDivisionError):
        await jobs.run("notifications.deliver", replace(reach, stopwatch=stopped), at=NOW)
    async with sessions() as session:
        query = select(JobRun).where(JobRun.clinic_id == ward.clinic_id)
        (row,) = (await session.scalars(query)).all()
        assert (row.status, row.error, row.counts) == ("failed", "ZeroDivisionError", {})
        assert row.finished_at is not None
    with pytest.raises(NotFound):
        await jobs.run("no.such.job", reach, at=NOW)


async def test_a_run_whose_process_is_gone_counts_as_failed_after_an_hour(ward: Care, reach: jobs.Reach) -> None:
    def begun(minutes: int) -> JobRun:
        return JobRun(job="consents.expire", clinic_id=ward.clinic_id, started_at=NOW - timedelta(minutes=minutes))

    async with ward.sessions.begin() as session:
        await ward.open(session)
        session.add_all([begun(61), begun(59)])
    await jobs.run("consents.expire", reach, at=NOW)
    async with ward.sessions() as session:
        await ward.open(session)
        shown = await job_board.runs(session, job="consents.expire", limit=3)
    assert [(each.status, each.error) for each in shown] == [
        ("succeeded", None),
        ("running", None),
        ("failed", jobs.CUT_OFF),
    ]
    assert shown[2].finished_at == NOW


async def test_a_service_account_runs_jobs_and_the_office_looks_at_them(
    ward: Care, reach: jobs.Reach, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        service = await make_actor(session, ward.clinic_id, Role.SERVICE, scopes=["*"])
    with pytest.raises(Forbidden):
        await jobs.start(ward.bob, "check-ins.dispatch", reach, at=NOW, dry_run=False)
    for entry in TIMETABLE:
        done = await jobs.start(service, entry.job, reach, at=NOW, dry_run=False)
        assert done.status == "succeeded"
        assert set(done.counts.values()) <= {0, 1}
        dry = await jobs.start(service, entry.job, reach, at=NOW, dry_run=True)
        assert dry.id is None
    await owe(ward)
    async with sessions() as session:
        await ward.open(session)
        shown = (await job_board.browse(session, ward.world.actors["dana"], at=NOW)).items
        assert [one.job for one in shown] == [entry.job for entry in TIMETABLE] == list(jobs.JOBS)
        assert all(one.last_run is not None for one in shown)
        assert {one.job: one.backlog for one in shown}["notifications.deliver"] == 1
        with pytest.raises(Forbidden):
            await job_board.browse(session, ward.alice, at=NOW)


async def test_a_service_account_runs_no_job_beyond_its_scopes(
    ward: Care, reach: jobs.Reach, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        service = await make_actor(session, ward.clinic_id, Role.SERVICE, scopes=["check-ins.dispatch"])
    await jobs.start(service, "check-ins.dispatch", reach, at=NOW, dry_run=False)
    with pytest.raises(Forbidden):
        await jobs.start(service, "notifications.deliver", reach, at=NOW, dry_run=True)


async def test_licenses_and_consents_run_out(ward: Care, reach: jobs.Reach, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await ward.open(session)
        (license_,) = await session.scalars(select(License).where(License.therapist_id == ward.world.bob.id))
        license_.expires_on = date(2026, 3, 1)
        consent = (await session.scalars(select(Consent).where(Consent.clinic_id == ward.clinic_id))).one()
        await session.execute(text("UPDATE licenses SET expires_on = '2026-03-01' WHERE id = :id"), {"id": license_.id})
    assert (await jobs.run("licenses.expire", reach, at=NOW)).counts["expired"] == 1
    assert (await jobs.run("consents.expire", reach, at=NOW)).counts == {"expired": 0}
    async with sessions() as session:
        await ward.open(session)
        status = await session.scalar(select(License.status).where(License.id == license_.id))
        assert status is LicenseStatus.EXPIRED
        assert await session.scalar(select(Consent.status).where(Consent.id == consent.id)) is ConsentStatus.GIVEN


async def test_too_few_sessions_in_two_weeks_raise_one_alert(ward: Care, reach: jobs.Reach) -> None:
    await ward.running(at=NOW)
    assert (await jobs.run("adherence.review", reach, at=NOW + timedelta(days=1))).counts["alerts"] == 0
    at = NOW + timedelta(days=14)
    assert (await jobs.run("adherence.review", reach, at=at, dry_run=True)).counts == {"clinics": 1, "alerts": 1}
    assert (await jobs.run("adherence.review", reach, at=at)).counts == {"clinics": 1, "alerts": 1}
    assert (await jobs.run("adherence.review", reach, at=at)).counts == {"clinics": 1, "alerts": 0}


async def test_the_worker_does_it_for_all_clinics_with_its_own_roles(fresh_database: Database, post: Post) -> None:
    engines = {role: make_engine(getattr(fresh_database, role)) for role in ("api", "sweeper", "worker")}
    api, sweeper, worker = (make_sessions(engine) for engine in engines.values())
    wards = [await care(api), await care(api)]
    for ward in wards:
        await owe(ward)
        await ward.running(at=NOW)
        async with api.begin() as session:
            await bind_clinic(session, ward.clinic_id)
            await session.execute(
                text(
                    "INSERT INTO idempotency_keys (clinic_id, account_id, route, key, body_sha256, created_at)"
                    " VALUES (:clinic, :account, 'answer_check_in', 'k', '', '2026-01-01')"
                ),
                {"clinic": ward.clinic_id, "account": ward.alice.account_id},
            )
    async with api.begin() as session:
        await throttling.begin(session, derive_key("k", "tokens"), account="a", address="b", at=NOW)
    reach = jobs.Reach(sweeper, worker, post, "https://app.example", key=TOKENS.key)
    at = datetime(2026, 3, 16, 9, tzinfo=UTC)
    counts = {entry.job: (await jobs.run(entry.job, reach, at=at)).counts for entry in TIMETABLE}
    assert counts["notifications.deliver"]["sent"] >= 2
    assert counts["adherence.review"] == {"clinics": 2, "alerts": 2}
    assert counts["housekeeping"] == {"keys": 2, "runs": 0, "events": 0, "sign_ins": 0}
    async with api() as session, as_identity(session):
        assert await session.scalar(select(Throttle.key)) is None
    for engine in engines.values():
        await engine.dispose()


async def test_more_check_ins_than_fit_into_one_transaction_are_made_in_several(
    fresh_database: Database, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_ins, "AT_ONCE", 10)
    engines = {role: make_engine(getattr(fresh_database, role)) for role in ("api", "sweeper")}
    api, sweeper = (make_sessions(engine) for engine in engines.values())
    ward = await care(api)
    many = check_ins.AT_ONCE + 1
    async with api.begin() as session:
        await ward.open(session)
        await session.execute(
            text(
                "INSERT INTO check_in_plans (clinic_id, patient_id, episode_id, question_set, frequency, weekdays, steps,"
                " local_time, zone, starts_on, next_on, next_due_at)"
                " SELECT clinic_id, patient_id, id, 'daily', 'daily', '{1,2,3,4,5,6,7}', '{1,1,1,1,1,1,1}', '08:00', 'UTC',"
                " '2026-03-03', '2026-03-03', '2026-03-03 08:00Z' FROM episodes, generate_series(1, :many)"
                " WHERE id = :episode"
            ),
            {"many": many, "episode": ward.episode_id},
        )
    made: list[int] = []

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        async with sweeper() as session:
            made.append(await session.scalar(text("SELECT count(*) FROM check_ins")) or 0)
        yield

    reach = jobs.Reach(sweeper, sweeper, post, "https://app.example", key=TOKENS.key, turn=turn)
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    rehearsed = await jobs.run("check-ins.dispatch", reach, at=at, dry_run=True)
    assert rehearsed.counts == {"materialized": check_ins.AT_ONCE, "opened": 0, "told": 0}
    done = await jobs.run("check-ins.dispatch", reach, at=at)
    assert done.counts == {"materialized": many, "opened": 0, "told": 0}
    assert sorted(set(made)) == [0, check_ins.AT_ONCE, many]
    for engine in engines.values():
        await engine.dispose()


async def test_a_program_rests_when_the_last_link_has_run_out(ward: Care, reach: jobs.Reach) -> None:
    await ward.running()
    async with ward.sessions.begin() as session:
        await ward.open(session)
        link = (await session.scalars(select(CareLink).where(CareLink.clinic_id == ward.clinic_id))).first()
        assert link is not None
        link.during = Range(link.during.lower, NOW + timedelta(days=2))
    before = await jobs.run("programs.review", reach, at=NOW + timedelta(days=1))
    rehearsed = await jobs.run("programs.review", reach, at=NOW + timedelta(days=2), dry_run=True)
    after = await jobs.run("programs.review", reach, at=NOW + timedelta(days=2))
    again = await jobs.run("programs.review", reach, at=NOW + timedelta(days=3))
    assert [one.counts["paused"] for one in (before, rehearsed, after, again)] == [0, 1, 1, 0]


async def test_a_clinic_that_fails_does_not_hold_up_the_others_and_the_run_ends_failed(
    fresh_database: Database, post: Post
) -> None:
    engines = {role: make_engine(getattr(fresh_database, role)) for role in ("api", "sweeper", "worker")}
    api, sweeper, worker = (make_sessions(engine) for engine in engines.values())
    wards = [await care(api), await care(api)]
    for ward in wards:
        await owe(ward, due_at=NOW)

    class Reach(jobs.Reach):
        @asynccontextmanager
        async def work(self, clinic_id: UUID | None) -> AsyncIterator[AsyncSession]:
            if clinic_id == wards[0].clinic_id:
                raise ZeroDivisionError("a text that may hold anything")
            async with super().work(clinic_id) as session:
                yield session

    for ward in wards:
        await ward.running(at=NOW)
    reach = Reach(sweeper, worker, post, "https://app.example", key=TOKENS.key)
    at = NOW + timedelta(days=14)
    expected = {
        "notifications.deliver": {"sent": 1, "failed": 0, "refused": 0, "clinics_failed": 1},
        "adherence.review": {"alerts": 1, "clinics_failed": 1},
    }
    for job, counts in expected.items():
        with pytest.raises(ClinicsFailed):
            await jobs.run(job, reach, at=at)
        async with sweeper() as session:
            row = (await session.scalars(select(JobRun).where(JobRun.job == job))).one()
            assert (row.status, row.error, row.counts) == ("failed", "ZeroDivisionError", counts)
    for engine in engines.values():
        await engine.dispose()


async def test_what_becomes_urgent_in_one_clinic_has_its_turn_among_many_messages_of_another(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "URGENT_AGAIN", 2)
    engines = {role: make_engine(getattr(fresh_database, role)) for role in ("api", "sweeper", "worker")}
    api, sweeper, worker = (make_sessions(engine) for engine in engines.values())
    busy, other = await care(api), await care(api)
    nobody: dict[str, Any] = {"account_id": None, "template": "device_added"}
    for number in range(4):
        to = {"account_id": None, "address": f"{number}@patients.example"}
        await owe(busy, str(number), due_at=NOW - timedelta(hours=1), **to)

    class Alarm(Post):
        async def deliver(self, letter: Letter) -> Outcome:
            if not self.taken:
                await owe(other, **nobody, address="urgent@patients.example")
            return await super().deliver(letter)

    post = Alarm()
    reach = jobs.Reach(sweeper, worker, post, "https://app.example", key=TOKENS.key)
    assert (await jobs.run("notifications.deliver", reach, at=NOW)).counts["sent"] == 5
    assert [letter.to.startswith("urgent") for letter in post.taken] == [False, False, True, False, False]
    for engine in engines.values():
        await engine.dispose()


async def test_several_clinics_are_served_side_by_side_and_each_one_message_at_a_time(
    fresh_database: Database,
) -> None:
    engines = {role: make_engine(getattr(fresh_database, role)) for role in ("api", "sweeper", "worker")}
    api, sweeper, worker = (make_sessions(engine) for engine in engines.values())
    wards = [await care(api) for _ in range(3)]
    for ward in wards:
        for number in range(2):
            await owe(ward, str(number), account_id=None, address=f"{number}@{ward.clinic_id}.example")
    under_way, side_by_side = set[str](), asyncio.Event()

    class Together(Post):
        async def deliver(self, letter: Letter) -> Outcome:
            clinic = letter.to.partition("@")[2]
            assert clinic not in under_way
            under_way.add(clinic)
            if len(under_way) == 2:
                side_by_side.set()
            async with asyncio.timeout(20):
                await side_by_side.wait()
            outcome = await super().deliver(letter)
            under_way.remove(clinic)
            return outcome

    reach = jobs.Reach(sweeper, worker, Together(), "https://app.example", key=TOKENS.key, abreast=2)
    assert (await jobs.run("notifications.deliver", reach, at=NOW)).counts["sent"] == 6
    for engine in engines.values():
        await engine.dispose()


async def test_alerts_are_escalated_in_as_many_transactions_as_it_takes(
    ward: Care, reach: jobs.Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised = [await raise_(ward, rule_id=rule) for rule in ("ES03", "ES04", "ES12")]
    turns = 0

    @asynccontextmanager
    async def turn() -> AsyncIterator[None]:
        nonlocal turns
        turns += 1
        yield

    monkeypatch.setattr(alerts, "AT_ONCE", 1)
    counted = replace(reach, turn=turn)
    at = raised[0].respond_by
    once = {"overdue": 1, "handed_back": 0, "covering": 0, "lead": 0, "admins": 1}
    assert (await jobs.run("alerts.escalate", counted, at=at, dry_run=True)).counts == once
    assert turns == 2
    done = await jobs.run("alerts.escalate", counted, at=at)
    assert done.counts == {"overdue": 3, "handed_back": 0, "covering": 0, "lead": 0, "admins": 3}
    assert turns == 2 + 4 + 4 + 3, "each of the two ends with one that finds nothing, three keep the run itself"
