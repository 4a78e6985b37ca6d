"""Delivery on every channel, to the providers' twins on real sockets."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import select, update

from core.database import Sessions, as_identity
from core.settings import Settings
from integrations.channels import open_channels
from integrations.delivery import Accepted, Failed, Reason, Refused
from integrations.sms import TwilioSender
from integrations.twins import Twins, open_twins
from integrations.twins.server import Fault, Reply
from integrations.web_push import Subscription
from models.care_team import CareRole
from models.check_ins import CheckIn, CheckInStatus
from models.clinics import Clinic
from models.consents import Consent, ConsentMethod, ConsentPurpose, ConsentStatus
from models.identity import Account, AccountStatus, SignIn
from models.instrument_plans import InstrumentAsker, InstrumentPlan
from models.notifications import (
    ClosedAddress,
    Device,
    Notification,
    NotificationCategory,
    NotificationChannel,
    NotificationPreference,
    NotificationReceipt,
    NotificationStatus,
    Platform,
)
from models.patients import Patient
from models.therapists import Therapist
from schemas.pages import Page
from services import alerts, jobs, notifications
from services.notifications import inbox
from tests.factories import NOW, TOKENS, link
from tests.services.caring import Care, care
from tests.services.test_alerts import do, raise_

MINUTE = timedelta(minutes=1)
URL = "https://app.example"


@dataclass
class Ward:
    """A clinic whose messages go to the twins. `phone` is alice's, nobody else has it."""

    care: Care
    twins: Twins
    reach: jobs.Reach
    mail: Path
    key: str
    phone: str

    async def deliver(self, at: datetime = NOW) -> dict[str, int]:
        counts = (await jobs.run("notifications.deliver", self.reach, at=at)).counts
        return {name: count for name, count in counts.items() if count}

    async def owe(self, template: str = "check_in_open", channel: str = "push", **changes: Any) -> None:
        values: dict[str, Any] = {
            "dedupe_key": uuid4().hex,
            "due_at": NOW,
            "account_id": self.care.alice.account_id,
            "patient_id": self.care.world.alice.id,
        }
        async with self.care.sessions.begin() as session:
            await self.care.open(session)
            assert await notifications.owe(
                session,
                clinic_id=self.care.clinic_id,
                template=template,
                channel=channel,
                **values | changes,
            )

    async def add(self, row: Any) -> None:
        async with self.care.sessions.begin() as session:
            await self.care.open(session)
            session.add(row)

    async def run(self, statement: Any) -> None:
        async with self.care.sessions.begin() as session:
            await self.care.open(session)
            await session.execute(statement)

    async def device(self, token: str | None = None, account_id: UUID | None = None, **changes: Any) -> UUID:
        device = Device(
            clinic_id=self.care.clinic_id,
            id=uuid4(),
            account_id=account_id or self.care.alice.account_id,
            **{"platform": Platform.ANDROID, "token": token, "zone": "Europe/Berlin", "last_seen_at": NOW} | changes,
        )
        await self.add(device)
        return device.id

    async def browser(self) -> tuple[UUID, Subscription]:
        subscription = self.twins.browsers.subscribe(self.key)
        keys: dict[str, Any] = {
            "endpoint": subscription.endpoint,
            "p256dh": subscription.p256dh,
            "auth": subscription.auth,
        }
        return await self.device(None, platform=Platform.WEB, **keys), subscription

    async def prefer(self, account_id: UUID | None = None, **values: Any) -> None:
        account = account_id or self.care.alice.account_id
        await self.add(NotificationPreference(clinic_id=self.care.clinic_id, account_id=account, **values))

    async def agree(self, status: ConsentStatus = ConsentStatus.GIVEN) -> None:
        """Let alice agree to reminders, which text messages need."""
        await self.add(
            Consent(
                clinic_id=self.care.clinic_id,
                patient_id=self.care.world.alice.id,
                purpose=ConsentPurpose.REMINDERS,
                status=status,
                text_version="1",
                method=ConsentMethod.ELECTRONIC,
                given_at=NOW - timedelta(days=3),
                withdrawn_at=NOW - timedelta(days=1) if status is ConsentStatus.WITHDRAWN else None,
            )
        )

    async def rows(self, model: Any = Notification) -> list[Any]:
        async with self.care.sessions() as session:
            await self.care.open(session)
            query = select(model).where(model.clinic_id == self.care.clinic_id)
            return list(await session.scalars(query.order_by(model.id)))

    async def row(self) -> Notification:
        (found,) = await self.rows()
        assert isinstance(found, Notification)
        return found

    async def receipts(self) -> list[tuple[str, str, str | None]]:
        rows = sorted(await self.rows(NotificationReceipt), key=lambda one: (one.at, one.id))
        return [(one.channel.value, one.status.value, one.code) for one in rows]

    async def closed(self, address: str) -> ClosedAddress | None:
        async with self.care.sessions() as session, as_identity(session):
            query = select(ClosedAddress).where(ClosedAddress.address == address, ClosedAddress.opened_at.is_(None))
            found = await session.scalar(query)
            assert found is None or isinstance(found, ClosedAddress)
            return found

    async def shown(self, at: datetime) -> list[UUID]:
        """Give what stands in alice's app."""
        async with self.care.sessions.begin() as session:
            await self.care.open(session)
            paged = await inbox.browse(session, self.care.alice, Page(), unread=None, at=at)
            return [one.id for one in paged.items]

    def letters(self) -> list[str]:
        return [file.read_text(encoding="utf-8") for file in sorted(self.mail.glob("*.eml"))]

    async def receive(self, row: Notification, reference: str, outcome: Any, at: datetime) -> bool:
        async with self.care.sessions.begin() as session:
            await self.care.open(session)
            return await notifications.take_receipt(
                session,
                self.care.clinic_id,
                row.id,
                address=self.phone,
                reference=reference,
                outcome=outcome,
                at=at,
            )


@pytest.fixture
async def ward(sessions: Sessions, tmp_path: Path) -> AsyncIterator[Ward]:
    alices = await care(sessions)
    phone = f"+49151{uuid4().int % 10**8:08d}"
    async with sessions.begin() as session:
        await alices.open(session)
        alice = await session.get_one(Patient, (alices.clinic_id, alices.world.alice.id))
        alice.phone, alice.language = f"{phone[:3]} ({phone[3:6]}) {phone[6:]}", "de"
    async with open_twins() as twins:
        settings = Settings(environment="test", data_dir=tmp_path, _env_file=None, **twins.settings)  # type: ignore[arg-type]
        async with open_channels(settings) as channels:
            reach = jobs.Reach(
                sessions,
                sessions,
                channels.email,
                URL,
                alices.clinic_id,
                key=TOKENS.key,
                sms=channels.sms,
                push=channels.push,
                web_push=channels.web_push,
                stopwatch=lambda: 0.0,
            )
            assert channels.web_push_key is not None
            yield Ward(alices, twins, reach, tmp_path / "mail", channels.web_push_key, phone)


# ------------------------------------------------------------------ the ways


async def test_a_push_message_rings_on_every_phone_and_browser_in_the_patients_language(ward: Ward) -> None:
    await ward.device("phone-of-alice")
    _, subscription = await ward.browser()
    await ward.owe()
    assert await ward.deliver() == {"sent": 1}
    row = await ward.row()
    (phone,) = ward.twins.fcm.taken
    assert phone["notification"] == {"title": "Ein neuer Check-in wartet", "body": "Er dauert etwa eine Minute."}
    assert phone["data"] == {"notification_id": str(row.id), "key": str(row.id)}
    assert (phone["android"]["notification"], phone["android"]["collapse_key"]) == ({"tag": str(row.id)}, "1")
    (browser,) = ward.twins.browsers.taken
    assert browser["path"] in subscription.endpoint
    assert orjson.loads(browser["content"])["title"] == "Ein neuer Check-in wartet"
    assert (row.status, row.channel, row.attempts) == (NotificationStatus.SENT, NotificationChannel.PUSH, 1)
    assert await ward.receipts() == [("push", "accepted", None)] * 2
    assert (ward.letters(), ward.twins.twilio.taken) == ([], [])
    assert await ward.deliver() == {}


async def test_a_text_message_goes_to_the_number_of_a_patient_who_agreed_and_to_nobody_else(ward: Ward) -> None:
    await ward.owe(channel="sms", template="check_in_reminder")
    assert await ward.deliver() == {"sent": 1}
    assert len(ward.letters()) == 1, "without the consent it is a letter"
    await ward.agree()
    await ward.owe(channel="sms")
    assert await ward.deliver() == {"sent": 1}
    (text,) = ward.twins.twilio.taken
    assert text["To"] == ward.phone
    assert text["Body"] == f"Riverside Physiotherapy: Ein neuer Check-in wartet. {URL} Mit STOP abmelden."
    row = max(await ward.rows(), key=lambda one: one.id)
    assert text["StatusCallback"].endswith(f"/v1/webhooks/sms/receipts?key={ward.care.clinic_id}.{row.id}")
    assert row.reference == text["sid"]


async def test_a_channel_without_settings_is_off_and_the_next_one_taken(ward: Ward) -> None:
    await ward.device("phone-of-alice")
    await ward.agree()
    await ward.owe()
    ward.reach = replace(ward.reach, push=None, sms=None)
    assert await ward.deliver() == {"sent": 1}
    assert (await ward.row()).channel is NotificationChannel.EMAIL
    assert ward.twins.fcm.taken == []


async def test_what_is_for_the_app_only_is_delivered_by_being_there(ward: Ward) -> None:
    await ward.owe(channel="in_app")
    assert await ward.deliver() == {"in_app": 1}
    assert (await ward.row()).status is NotificationStatus.DELIVERED
    assert ward.letters() == []


# ------------------------------------------------------------------ what goes wrong


async def test_a_token_that_is_gone_is_retired_and_the_message_goes_by_the_next_channel(ward: Ward) -> None:
    gone = await ward.device("gone-with-the-app")
    await ward.owe()
    assert await ward.deliver() == {"failed": 1, "sent": 1}
    row = await ward.row()
    assert (row.status, row.channel, row.tried) == (NotificationStatus.SENT, NotificationChannel.EMAIL, ["push"])
    (device,) = await ward.rows(Device)
    assert (device.id, device.retired_reason) == (gone, "dead")
    assert await ward.receipts() == [("push", "refused", "UNREGISTERED"), ("email", "accepted", None)]
    await ward.owe()
    assert await ward.deliver() == {"sent": 1}
    assert ward.twins.fcm.asked == ward.twins.fcm.granted + 1, "nobody asks for it again"


async def test_one_device_that_takes_it_is_enough_and_a_dead_one_is_retired(ward: Ward) -> None:
    await ward.device("phone-of-alice")
    browser, subscription = await ward.browser()
    ward.twins.browsers.unsubscribe(subscription)
    await ward.owe()
    assert await ward.deliver() == {"sent": 1}
    retired = {one.id: one.retired_reason for one in await ward.rows(Device)}
    assert retired.pop(browser) == "dead"
    assert list(retired.values()) == [None]
    assert ward.letters() == []


async def test_a_number_that_said_stop_is_never_texted_again_in_any_clinic_until_it_says_start(ward: Ward) -> None:
    await ward.agree()
    async with ward.care.sessions.begin() as session:
        await notifications.heed(session, ward.phone, stop=True, at=NOW)
        await notifications.heed(session, ward.phone, stop=True, at=NOW)
    await ward.owe(channel="sms")
    assert await ward.deliver() == {"sent": 1}
    assert ward.twins.twilio.asked == 0
    assert len(ward.letters()) == 1
    async with ward.care.sessions.begin() as session:
        await notifications.heed(session, ward.phone, stop=False, at=NOW)
    await ward.owe(channel="sms")
    assert await ward.deliver() == {"sent": 1}
    assert len(ward.twins.twilio.taken) == 1


@pytest.mark.parametrize(
    ("code", "reason"), [(21610, "opted_out"), (21614, "dead"), (21408, None)], ids=["stop", "landline", "region"]
)
async def test_a_number_that_the_provider_refuses_is_closed_where_it_is_the_number(
    ward: Ward, code: int, reason: str | None
) -> None:
    await ward.agree()
    answer = orjson.dumps({"code": code, "message": "canary", "status": 400})
    ward.twins.twilio.next(Reply(400, answer, {"content-type": "application/json"}))
    await ward.owe(channel="sms")
    assert await ward.deliver() == {"failed": 1, "sent": 1}
    assert (await ward.row()).channel is NotificationChannel.EMAIL
    closed = await ward.closed(ward.phone)
    assert (closed.reason.value if closed else None) == reason
    assert await ward.receipts() == [("sms", "refused", str(code)), ("email", "accepted", None)]


async def test_a_dead_mailbox_is_not_tried_again_but_for_an_invitation(ward: Ward) -> None:
    async def dead(letter: Any) -> Refused:
        asked.append(letter.to)
        return Refused(Reason.ADDRESS_DEAD, "550")

    asked: list[str] = []
    post = type("Post", (), {"deliver": staticmethod(dead)})()
    ward.reach = replace(ward.reach, sender=post)
    await ward.owe(template="check_in_open", channel="email")
    assert await ward.deliver() == {"refused": 1}
    row = await ward.row()
    assert (row.status, row.last_error) == (NotificationStatus.REFUSED, "550")
    await ward.owe(template="check_in_open", channel="email")
    assert await ward.deliver() == {"refused": 1}
    assert len(asked) == 1
    invited = {"invitation_id": str(ward.care.clinic_id), "seed": "00" * 32}
    await ward.owe("invitation", "email", account_id=None, patient_id=None, address=asked[0], parameters=invited)
    assert await ward.deliver() == {"refused": 1}
    assert len(asked) == 2, "somebody has asked for it just now"


@pytest.mark.parametrize(
    ("answer", "code", "wait"),
    [
        (Reply(429, b"", {"retry-after": "900"}), "429", 15 * MINUTE),
        (Reply(503), "503", 2 * MINUTE),
        (Fault.DROP, None, 2 * MINUTE),
        (Fault.HANG, "timeout", 2 * MINUTE),
    ],
    ids=["too many", "server error", "dropped", "no answer"],
)
async def test_what_fails_is_tried_again_as_late_as_the_provider_asks(
    ward: Ward, answer: Reply | Fault, code: str | None, wait: timedelta
) -> None:
    assert isinstance(ward.reach.sms, TwilioSender)
    ward.reach = replace(ward.reach, sms=replace(ward.reach.sms, seconds=0.3))
    await ward.agree()
    ward.twins.twilio.next(answer)
    await ward.owe(channel="sms")
    assert await ward.deliver() == {"failed": 1}
    row = await ward.row()
    assert (row.status, row.tries, row.attempts) == (NotificationStatus.FAILED, 1, 1)
    assert code is None or row.last_error == code
    assert timedelta(0) <= row.due_at - NOW - wait < 5 * MINUTE / 60
    assert await ward.deliver(NOW + wait - MINUTE) == {}
    assert await ward.deliver(row.due_at) == {"sent": 1}
    assert {text["StatusCallback"] for text in ward.twins.twilio.taken} == {
        f"http://127.0.0.1:8000/v1/webhooks/sms/receipts?key={ward.care.clinic_id}.{row.id}"
    }, "the same key at every attempt"


async def test_after_some_failures_the_next_channel_is_taken_and_on_the_last_one_it_is_dropped(ward: Ward) -> None:
    class Down:
        async def deliver(self, _letter: Any) -> Failed:
            return Failed("451")

    ward.reach = replace(ward.reach, sender=Down(), push=None, web_push=None)
    await ward.agree()
    ward.twins.twilio.next(*[Reply(500)] * 3)
    await ward.owe(channel="sms")
    at = NOW
    while (row := await ward.row()).status in {NotificationStatus.OWED, NotificationStatus.FAILED}:
        at = max(at, row.due_at)
        await ward.deliver(at)
    assert (row.status, row.last_error, row.tried) == (NotificationStatus.DROPPED, "451", ["sms"])
    told = await ward.receipts()
    assert [channel for channel, _, _ in told] == ["sms"] * 3 + ["email"] * 8
    assert row.attempts == 11


async def test_a_worker_that_died_loses_nothing_and_the_phone_shows_it_once(ward: Ward) -> None:
    await ward.device("phone-of-alice")
    await ward.owe()
    channels = {NotificationChannel.EMAIL, NotificationChannel.PUSH}
    async with ward.reach.work(ward.care.clinic_id) as session:
        await notifications.lease(
            session, ward.care.clinic_id, at=NOW, channels=channels, platforms=frozenset(Platform)
        )
    assert await ward.deliver() == {}
    assert await ward.deliver(NOW + notifications.LEASE) == {"sent": 1}
    assert (await ward.row()).attempts == 2
    assert ward.twins.fcm.taken[0]["android"]["notification"]["tag"] == str((await ward.row()).id)


# ------------------------------------------------------------------ when


async def test_at_night_it_waits_for_the_end_of_the_patients_quiet_hours(ward: Ward) -> None:
    night = datetime(2026, 3, 28, 22, tzinfo=UTC)  # 23:00 in Berlin, where the clocks change in this night
    await ward.owe(due_at=night)
    assert await ward.deliver(night) == {"deferred": 1}
    row = await ward.row()
    assert (row.due_at, row.attempts, row.last_error) == (datetime(2026, 3, 29, 6, tzinfo=UTC), 0, "quiet_hours")
    assert await ward.shown(night + MINUTE) == [row.id], "it waits for the phone, not in the app"
    assert await ward.deliver(row.due_at) == {"sent": 1}
    assert (await ward.row()).last_error is None


async def test_what_is_not_due_yet_is_not_in_the_app_and_what_waits_for_the_morning_can_be_read(ward: Ward) -> None:
    night = datetime(2026, 3, 28, 22, tzinfo=UTC)
    await ward.owe(due_at=night)
    assert await ward.shown(night - MINUTE) == []
    assert await ward.deliver(night) == {"deferred": 1}
    async with ward.care.sessions.begin() as session:
        await ward.care.open(session)
        await inbox.read(session, ward.care.alice, (await ward.row()).id, at=night + MINUTE)
    assert (await ward.row()).status is NotificationStatus.DELIVERED
    assert await ward.deliver(night + timedelta(hours=9)) == {}


async def test_what_waited_for_the_morning_in_vain_says_why_it_ended(ward: Ward) -> None:
    night = datetime(2026, 3, 28, 22, tzinfo=UTC)
    await ward.owe(due_at=night)
    assert await ward.deliver(night) == {"deferred": 1}
    async with ward.care.sessions.begin() as session, as_identity(session):
        shut = update(Account).where(Account.id == ward.care.alice.account_id)
        await session.execute(shut.values(status=AccountStatus.DISABLED))
    assert await ward.deliver(night + timedelta(hours=9)) == {"refused": 1}
    assert (await ward.row()).last_error == "no_address"


async def test_several_of_one_kind_that_wait_are_one_message_but_not_of_what_is_urgent(ward: Ward) -> None:
    for _ in range(3):
        await ward.owe()
    await ward.owe("device_added", "email")
    await ward.owe("device_added", "email")
    assert await ward.deliver() == {"sent": 3}
    statuses = [one.status.value for one in await ward.rows()]
    assert sorted(statuses) == ["merged", "merged", "sent", "sent", "sent"]
    for channel in (
        "email",
        "email",
        "email",
        "push",
        "push",
    ):  # a license that ends raises as many as there are patients
        await ward.owe("alert_raised", channel, category="red_flag", parameters={"alert_id": str(uuid4())})
    assert await ward.deliver(NOW + MINUTE) == {"sent": 3}


async def test_no_more_than_two_ring_on_a_day_and_the_week_has_its_limit(ward: Ward) -> None:
    await ward.device("phone-of-alice")
    at = NOW
    for _ in range(3):
        await ward.owe(due_at=at)
        assert await ward.deliver(at) == {"sent": 1}
        at += 30 * MINUTE
    assert (len(ward.twins.fcm.taken), len(ward.letters())) == (2, 1)
    await ward.owe(due_at=NOW + timedelta(days=1))
    assert await ward.deliver(NOW + timedelta(days=1)) == {"sent": 1}
    assert len(ward.twins.fcm.taken) == 3, "the next day is another one"
    for number in range(6):
        day = NOW + timedelta(days=2, hours=number)
        await ward.owe(due_at=day)
        assert await ward.deliver(day) == {"sent": 1}
    await ward.owe(due_at=NOW + timedelta(days=3))
    assert await ward.deliver(NOW + timedelta(days=3)) == {"muted": 1}
    assert max(await ward.rows(), key=lambda one: one.id).last_error == "weekly_limit"


async def test_the_limits_hold_also_where_the_clock_of_a_sandbox_is_months_ahead(ward: Ward) -> None:
    await ward.device("phone-of-alice")
    noon = datetime.now(UTC).replace(hour=10) + timedelta(days=90)
    for number in range(3):
        await ward.owe(due_at=noon)
        assert await ward.deliver(noon + number * 10 * MINUTE) == {"sent": 1}
    assert (len(ward.twins.fcm.taken), len(ward.letters())) == (2, 1)


@pytest.mark.parametrize(
    ("preference", "expected"),
    [
        ({"channels": {"check_in": {"push": False}}}, {"sent": 1}),
        ({"channels": {"check_in": {"push": False, "email": False, "sms": False}}}, {"muted": 1}),
        ({"muted_until": NOW + timedelta(days=2)}, {"muted": 1}),
        ({"muted_until": NOW}, {"sent": 1}),
    ],
)
async def test_preferences_count_at_the_moment_of_sending(
    ward: Ward, preference: dict[str, Any], expected: dict[str, int]
) -> None:
    await ward.owe()
    await ward.prefer(**preference)
    assert await ward.deliver() == expected


async def test_what_the_patient_has_answered_meanwhile_and_what_he_took_back_is_not_sent(ward: Ward) -> None:
    check_in = CheckIn(
        clinic_id=ward.care.clinic_id,
        id=uuid4(),
        patient_id=ward.care.world.alice.id,
        episode_id=ward.care.episode_id,
        local_date=NOW.date(),
        question_set="daily",
        zone="UTC",
        status=CheckInStatus.EXCUSED,
        opens_at=NOW,
        due_at=NOW,
        closes_at=NOW + timedelta(hours=1),
        late_until=NOW + timedelta(hours=2),
    )
    await ward.add(check_in)
    await ward.owe(parameters={"check_in_id": str(check_in.id)})
    assert await ward.deliver() == {"muted": 1}
    assert (await ward.row()).last_error == "obsolete"
    await ward.agree(ConsentStatus.WITHDRAWN)
    await ward.owe()
    assert await ward.deliver() == {"muted": 1}


# ------------------------------------------------------------------ who hears it


async def test_an_urgent_alert_rings_at_night_and_goes_on_until_somebody_has_looked(ward: Ward) -> None:
    bob = ward.care.bob.account_id
    phone = f"+49152{uuid4().int % 10**8:08d}"
    async with ward.care.sessions.begin() as session:
        await ward.care.open(session)
        await session.execute(update(Therapist).where(Therapist.account_id == bob).values(phone=phone))
    await ward.device("phone-of-bob", bob)
    off = {"push": False, "sms": False, "email": False}
    await ward.prefer(bob, channels={"red_flag": off}, muted_until=NOW + timedelta(days=9))
    night = NOW + timedelta(hours=15)
    urgent: dict[str, Any] = {
        "account_id": bob,
        "patient_id": None,
        "category": NotificationCategory.RED_FLAG,
        "due_at": night,
    }
    await ward.owe("alert_raised", **urgent)
    assert await ward.deliver(night) == {"sent": 1}
    assert ward.twins.fcm.taken[0]["android"]["priority"] == "HIGH"
    assert await ward.deliver(night + 9 * MINUTE) == {}
    assert await ward.deliver(night + 10 * MINUTE) == {"sent": 1}
    assert [text["To"] for text in ward.twins.twilio.taken] == [phone]
    row = await ward.row()
    assert row.tried == ["push"]
    assert await ward.receive(row, row.reference or "", None, night + 11 * MINUTE) is False, "under way"
    assert await ward.deliver(night + 20 * MINUTE) == {"sent": 1}
    assert len(ward.letters()) == 1
    assert await ward.deliver(night + 60 * MINUTE) == {}
    assert [status for _, status, _ in await ward.receipts()] == ["accepted", "unconfirmed"] * 2 + ["accepted"]


async def test_a_receipt_ends_it_or_sends_it_by_the_next_channel_once(ward: Ward) -> None:
    await ward.agree()
    await ward.owe(channel="sms")
    assert await ward.deliver() == {"sent": 1}
    row = await ward.row()
    assert row.confirm_by == NOW + timedelta(hours=1)
    failed = Refused(Reason.ADDRESS_DEAD, "30005")
    assert await ward.receive(row, row.reference or "", failed, NOW + MINUTE)
    assert not await ward.receive(row, row.reference or "", failed, NOW + MINUTE), "a receipt may come twice"
    assert await ward.closed(ward.phone) is not None
    assert await ward.deliver(NOW + MINUTE) == {"sent": 1}
    assert len(ward.letters()) == 1
    late = await ward.row()
    assert await ward.receive(late, "SMother", Accepted("SMother"), NOW + 2 * MINUTE)
    assert (await ward.row()).status is NotificationStatus.SENT, "of a channel that it no longer goes by"


async def test_a_receipt_of_delivery_confirms_and_a_failed_one_without_another_way_is_the_end(ward: Ward) -> None:
    await ward.agree()
    await ward.owe(channel="sms")
    await ward.deliver()
    row = await ward.row()
    assert await ward.receive(row, row.reference or "", Accepted(row.reference), NOW + MINUTE)
    assert (await ward.row()).status is NotificationStatus.DELIVERED
    assert await ward.deliver(NOW + timedelta(hours=2)) == {}
    assert await ward.receive(row, row.reference or "", Failed("30008"), NOW + 2 * MINUTE)
    assert (await ward.row()).status is NotificationStatus.DELIVERED, "what has arrived has arrived"
    assert not await ward.receive(Notification(id=uuid4()), "SM0", Accepted("SM0"), NOW)
    await ward.prefer(channels={"check_in": {"email": False, "push": False}})
    await ward.owe(channel="sms")
    await ward.deliver(NOW + timedelta(hours=3))
    last = max(await ward.rows(), key=lambda one: one.id)
    assert await ward.receive(last, last.reference, Failed("30008"), NOW + timedelta(hours=4))
    assert await ward.deliver(NOW + timedelta(hours=4)) == {"refused": 1}
    last = max(await ward.rows(), key=lambda one: one.id)
    assert (last.status, last.last_error) == (NotificationStatus.REFUSED, "30008")


async def test_a_phone_whose_sign_in_has_ended_shows_nothing_more(ward: Ward) -> None:
    async with ward.care.sessions() as session, as_identity(session):
        mine = select(SignIn.id).where(SignIn.account_id == ward.care.alice.account_id)
        sign_in = await session.scalar(mine)
    await ward.device("phone-of-alice", sign_in_id=sign_in)
    await ward.owe()
    assert await ward.deliver() == {"sent": 1}
    async with ward.care.sessions.begin() as session, as_identity(session):
        await session.execute(update(SignIn).where(SignIn.id == sign_in).values(revoked_at=NOW))
    await ward.owe()
    assert await ward.deliver() == {"sent": 1}
    assert (len(ward.twins.fcm.taken), len(ward.letters())) == (1, 1)
    assert [one.retired_reason for one in await ward.rows(Device)] == ["signed_out"]


async def test_a_closed_account_gets_nothing(ward: Ward) -> None:
    await ward.device("phone-of-alice")
    async with ward.care.sessions.begin() as session, as_identity(session):
        shut = update(Account).where(Account.id == ward.care.alice.account_id)
        await session.execute(shut.values(status=AccountStatus.DISABLED))
    await ward.owe()
    assert await ward.deliver() == {"refused": 1}


async def test_a_message_of_an_older_version_has_its_templates_category(ward: Ward) -> None:
    old = {"template": "check_in_reminder", "channel": "email", "dedupe_key": "old", "due_at": NOW}
    await ward.add(Notification(clinic_id=ward.care.clinic_id, account_id=ward.care.alice.account_id, **old))
    await ward.prefer(channels={"check_in": {"email": False, "sms": False, "push": False, "pigeon": True}})
    assert await ward.deliver() == {"muted": 1}


# ------------------------------------------------------------------ one message does not stand in the others' way


class Box:
    """A mail server that answers letter by letter as it is told, or does something meanwhile."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.keys: list[str] = []

    async def deliver(self, letter: Any) -> Any:
        self.keys.append(letter.key)
        answer = self.answers.pop(0) if self.answers else Accepted()
        if isinstance(answer, Exception):
            raise answer
        return await answer() if callable(answer) else answer


async def test_a_message_that_cannot_be_built_or_breaks_its_sender_does_not_stop_the_others(ward: Ward) -> None:
    broken = {"invitation_id": "no id", "seed": "00" * 32}
    await ward.owe("invitation", "email", account_id=None, patient_id=None, address="a@b.example", parameters=broken)
    await ward.owe("device_added", "email")
    await ward.owe("device_added", "email")
    ward.reach = replace(ward.reach, sender=Box(ZeroDivisionError("a text that may hold anything")))
    assert await ward.deliver() == {"failed": 2, "sent": 1}
    failed = [one.last_error for one in await ward.rows() if one.status is NotificationStatus.FAILED]
    assert failed == ["internal"] * 2


async def test_a_message_that_cannot_even_be_read_lets_the_others_pass_and_is_dropped_in_the_end(ward: Ward) -> None:
    """What was sent just before it must not be forgotten over it: it would be sent again."""
    box = Box()
    ward.reach = replace(ward.reach, sender=box)
    await ward.owe("device_added", "email", due_at=NOW - 3 * MINUTE)
    await ward.owe("check_in_open", "email", due_at=NOW - 2 * MINUTE, parameters={"merged": 7})
    await ward.owe("device_added", "email", due_at=NOW - MINUTE)
    assert await ward.deliver() == {"failed": 1, "sent": 2}
    assert len(set(box.keys)) == len(box.keys) == 2
    for turn in range(1, 16):
        assert await ward.deliver(NOW + turn * notifications.LEASE) == {"failed": 1}
    assert await ward.deliver(NOW + 16 * notifications.LEASE) == {}
    assert len(box.keys) == 2
    (row,) = (one for one in await ward.rows() if one.template == "check_in_open")
    assert (row.status, row.last_error, row.attempts) == (NotificationStatus.DROPPED, "internal", 16)


async def test_a_database_in_trouble_is_nobodys_fault(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    async def lost(*_: Any, **__: Any) -> None:
        raise ConnectionResetError

    await ward.owe("device_added", "email")
    monkeypatch.setattr(notifications, "lease", lost)
    with pytest.raises(ConnectionResetError):
        await ward.deliver()
    row = await ward.row()
    assert (row.status, row.attempts) == (NotificationStatus.OWED, 0)


async def test_a_message_that_everybody_dies_of_is_dropped(ward: Ward) -> None:
    await ward.owe("device_added", "email")
    async with ward.care.sessions.begin() as session:
        await ward.care.open(session)
        await session.execute(update(Notification).values(attempts=16))
    assert await ward.deliver() == {"failed": 1}
    row = await ward.row()
    assert (row.status, row.last_error, row.attempts) == (NotificationStatus.DROPPED, "attempts", 16)


async def test_what_failed_is_not_tried_again_in_the_same_run(ward: Ward) -> None:
    passed = 0.0

    async def slow() -> Failed:
        nonlocal passed
        passed += 300
        return Failed("451")

    ward.reach = replace(ward.reach, sender=Box(slow, slow), stopwatch=lambda: passed)
    await ward.owe("device_added", "email")
    await ward.owe("device_added", "email")
    assert await ward.deliver() == {"failed": 2}
    assert [one.attempts for one in await ward.rows()] == [1, 1]


async def test_what_is_urgent_goes_first(ward: Ward) -> None:
    async def alarm() -> Accepted:
        await ward.owe("device_added", "email", due_at=NOW)
        return Accepted()

    box = Box(Accepted(), alarm)
    ward.reach = replace(ward.reach, sender=box)
    for number in range(4):
        to: dict[str, Any] = {"patient_id": None, "account_id": None, "address": f"{number}@patients.example"}
        await ward.owe("check_in_open", "email", due_at=NOW - timedelta(hours=1), **to)
    await ward.owe("device_added", "email", due_at=NOW)
    assert await ward.deliver() == {"sent": 6}
    urgent = {str(one.id) for one in await ward.rows() if one.template == "device_added"}
    assert [key in urgent for key in box.keys] == [True, False, True, False, False, False]


# ------------------------------------------------------------------ a provider that does not answer


class Deaf:
    """A provider that never answers."""

    def __init__(self, code: str = "timeout") -> None:
        self.code, self.asked = code, 0

    async def deliver(self, _message: Any) -> Failed:
        self.asked += 1
        return Failed(self.code)


def to(number: int) -> dict[str, Any]:
    return {"account_id": None, "patient_id": None, "address": f"{number}@patients.example"}


@pytest.mark.parametrize("code", ["timeout", "unreachable"])
async def test_a_provider_that_does_not_answer_is_left_out_and_the_others_go_on(ward: Ward, code: str) -> None:
    deaf = Deaf(code)
    ward.reach = replace(ward.reach, sender=deaf)
    for number in range(5):
        await ward.owe(channel="email", due_at=NOW - timedelta(hours=1), **to(number))
    await ward.device("phone-of-alice")
    await ward.owe(channel="email", due_at=NOW - timedelta(hours=1))
    await ward.owe(channel="push")
    assert await ward.deliver() == {"failed": 2, "deferred": 4, "sent": 1}
    assert deaf.asked == 2
    waiting = [one for one in await ward.rows() if one.status is NotificationStatus.OWED]
    assert {(one.due_at, one.attempts, one.last_error) for one in waiting} == {(NOW + 2 * MINUTE, 0, "silent")}
    box = Box()
    ward.reach = replace(ward.reach, sender=box)
    assert await ward.deliver(NOW + 2 * MINUTE) == {"sent": 6}


async def test_what_a_provider_says_about_one_message_leaves_nobody_out(ward: Ward) -> None:
    deaf = Deaf("451")
    ward.reach = replace(ward.reach, sender=deaf)
    for number in range(4):
        await ward.owe(channel="email", **to(number))
    assert await ward.deliver() == {"failed": 4}


async def test_what_is_urgent_and_word_of_an_alert_pass_by_a_provider_that_does_not_answer(ward: Ward) -> None:
    ward.reach = replace(ward.reach, sender=Deaf())
    bob = ward.care.bob.account_id
    await ward.device("phone-of-alice")
    await ward.device("phone-of-bob", bob)
    for number in range(2):
        await ward.owe("device_added", "email", due_at=NOW - MINUTE, **to(number))
    await ward.owe("device_added", "email")
    await ward.owe("device_added", "email", **to(3))
    await ward.owe("alert_raised", "email", account_id=bob, patient_id=None)
    assert await ward.deliver() == {"failed": 2, "deferred": 1, "sent": 2}
    assert {one["token"] for one in ward.twins.fcm.taken} == {"phone-of-alice", "phone-of-bob"}
    sent = [one for one in await ward.rows() if one.status is NotificationStatus.SENT]
    assert [(one.channel, one.tried) for one in sent] == [(NotificationChannel.PUSH, [])] * 2


async def test_a_browsers_push_service_that_does_not_answer_is_left_out_alone(ward: Ward) -> None:
    deaf = Deaf()
    ward.reach = replace(ward.reach, web_push=deaf)
    await ward.browser()
    await ward.owe("device_added", "push", due_at=NOW - 2 * MINUTE)
    await ward.owe("device_added", "push", due_at=NOW - MINUTE)
    assert await ward.deliver() == {"failed": 2}
    await ward.device("phone-of-alice")
    for minutes in range(3):
        await ward.owe("device_added", "push", due_at=NOW + minutes * MINUTE)
    assert await ward.deliver(NOW + 10 * MINUTE) == {"sent": 5}
    assert deaf.asked == 2 + 2
    assert len(ward.twins.fcm.taken) == 5


# ------------------------------------------------------------------ a phone that is off


async def test_a_phone_that_was_off_finds_the_newest_of_each_category(ward: Ward) -> None:
    bob = ward.care.bob.account_id
    await ward.device("phone-of-bob", bob)
    mine: dict[str, Any] = {"account_id": bob, "patient_id": None, "channel": "push"}
    await ward.owe("alert_raised", category=NotificationCategory.RED_FLAG, **mine)
    assert await ward.deliver() == {"sent": 1}
    for minute in range(1, 6):
        await ward.owe("alert_raised", due_at=NOW + minute * MINUTE, **mine)
        assert await ward.deliver(NOW + minute * MINUTE) == {"sent": 1}
    rows = await ward.rows()
    found = [one["data"]["notification_id"] for one in ward.twins.fcm.found("phone-of-bob")]
    assert found == [str(rows[0].id), str(rows[-1].id)]


# ------------------------------------------------------------------ what came in while it was on its way


async def test_what_was_read_while_it_was_sent_stays_read(ward: Ward) -> None:
    async def read() -> Accepted:
        (row,) = await ward.rows()
        async with ward.care.sessions.begin() as session:
            await ward.care.open(session)
            await inbox.read(session, ward.care.alice, row.id, at=NOW)
        return Accepted()

    ward.reach = replace(ward.reach, sender=Box(read))
    await ward.owe("device_added", "email")
    await ward.deliver()
    row = await ward.row()
    assert (row.status, row.confirm_by, row.sent_at) == (NotificationStatus.DELIVERED, None, NOW)


async def test_a_receipt_that_came_before_the_answer_sends_it_by_the_next_channel(ward: Ward) -> None:
    class Early:
        async def deliver(self, _message: Any) -> Accepted:
            assert await ward.receive(await ward.row(), "SMearly", Refused(Reason.BLOCKED, "30007"), NOW)
            return Accepted("SMearly")

    await ward.agree()
    await ward.owe(channel="sms")
    ward.reach = replace(ward.reach, sms=Early())
    await ward.deliver()
    row = await ward.row()
    assert (row.status, row.channel, row.tried) == (NotificationStatus.SENT, NotificationChannel.EMAIL, ["sms"])
    assert len(ward.letters()) == 1


async def test_a_receipt_of_a_text_message_counts_also_when_a_push_message_went_before_it(ward: Ward) -> None:
    class Early:
        async def deliver(self, _message: Any) -> Accepted:
            assert await ward.receive(await ward.row(), "SMearly", Accepted("SMearly"), later)
            return Accepted("SMearly")

    later = NOW + 60 * MINUTE
    await ward.agree()
    await ward.device("phone-of-alice")
    await ward.owe(category=NotificationCategory.ALERT)
    await ward.prefer(channels={"alert": {"email": False}})
    assert await ward.deliver() == {"sent": 1}
    assert (await ward.row()).reference is not None, "Firebase's"
    ward.reach = replace(ward.reach, sms=Early())
    await ward.deliver(later)
    row = await ward.row()
    assert (row.status, row.channel, row.reference) == (
        NotificationStatus.DELIVERED,
        NotificationChannel.SMS,
        "SMearly",
    )
    assert row.confirm_by is None


# ------------------------------------------------------------------ one for several


async def test_a_message_that_stands_for_several_is_obsolete_when_all_of_them_are(ward: Ward) -> None:
    first, second = uuid4(), uuid4()
    for number, check_in_id in enumerate((first, second)):
        hour = NOW + timedelta(hours=number)
        await ward.add(
            CheckIn(
                clinic_id=ward.care.clinic_id,
                id=check_in_id,
                patient_id=ward.care.world.alice.id,
                episode_id=ward.care.episode_id,
                local_date=NOW.date() + timedelta(days=number),
                question_set="daily",
                zone="UTC",
                status=CheckInStatus.EXCUSED if number == 0 else CheckInStatus.OPEN,
                opens_at=hour,
                due_at=hour,
                closes_at=hour + timedelta(hours=1),
                late_until=hour + timedelta(hours=2),
            )
        )
        await ward.owe(parameters={"check_in_id": str(check_in_id)})
    await ward.owe()
    ward.reach = replace(ward.reach, sender=Box(Failed("451")))
    assert await ward.deliver() == {"muted": 1, "failed": 1}, "the first is settled, the second is not lost"
    rows = await ward.rows()
    assert [one.status.value for one in rows] == ["muted", "failed", "merged"]
    assert rows[1].parameters == {"check_in_id": str(second), "merged": [str(rows[2].id)]}
    assert await ward.deliver(rows[1].due_at) == {"sent": 1}


async def test_a_reminder_of_an_instrument_goes_out_as_long_as_it_is_due_whatever_was_answered_beside_it(
    ward: Ward,
) -> None:
    asked, check_in = uuid4(), uuid4()
    whose = {
        "clinic_id": ward.care.clinic_id,
        "patient_id": ward.care.world.alice.id,
        "episode_id": ward.care.episode_id,
    }
    today = {"starts_on": NOW.date(), "next_on": NOW.date(), "reminded_on": NOW.date(), "occasion": "intake"}
    plan = {"instrument_code": "rmdq24", "asked_of": InstrumentAsker.PATIENT, "intake": True}
    await ward.add(InstrumentPlan(id=asked, **whose, **plan, **today))
    times = dict.fromkeys(("opens_at", "due_at"), NOW) | dict.fromkeys(("closes_at", "late_until"), NOW + 60 * MINUTE)
    form = {"local_date": NOW.date(), "question_set": "daily", "zone": "UTC", "status": CheckInStatus.OPEN}
    await ward.add(CheckIn(id=check_in, **whose, **form, **times))
    ward.reach = replace(ward.reach, sender=Box(Failed("451"), Failed("451")))
    await ward.owe("check_in_reminder", parameters={"check_in_id": str(check_in)})
    await ward.owe("check_in_reminder", parameters={"instrument_plan_id": str(asked)})
    assert await ward.deliver() == {"failed": 1}, "one stands for both"
    await ward.run(update(CheckIn).values(status=CheckInStatus.EXCUSED))
    first, _ = sorted(await ward.rows(), key=lambda row: row.status is NotificationStatus.MERGED)
    assert await ward.deliver(first.due_at) == {"failed": 1}, "the instrument still waits"
    again, _ = sorted(await ward.rows(), key=lambda row: row.status is NotificationStatus.MERGED)
    await ward.run(update(InstrumentPlan).values(next_on=NOW.date() + timedelta(days=14), occasion="interval"))
    assert await ward.deliver(again.due_at) == {"muted": 1}, "it was answered"


# ------------------------------------------------------------------ addresses that are dead for a time


async def test_a_dead_mailbox_is_tried_again_after_a_month_and_at_once_for_what_is_urgent(ward: Ward) -> None:
    dead = Refused(Reason.ADDRESS_DEAD, "550")
    box = Box(dead, dead)
    ward.reach = replace(ward.reach, sender=box)
    day = timedelta(days=1)
    for at, expected, asked in [
        (NOW, {"refused": 1}, 1),
        (NOW + 29 * day, {"refused": 1}, 1),
        (NOW + 30 * day, {"refused": 1}, 2),
        (NOW + 59 * day, {"refused": 1}, 2),
        (NOW + 60 * day, {"sent": 1}, 3),
    ]:
        await ward.owe("check_in_open", "email", due_at=at)
        assert await ward.deliver(at) == expected
        assert len(box.keys) == asked
    box.answers = [dead]
    await ward.owe("device_added", "email", due_at=NOW + 61 * day)
    assert await ward.deliver(NOW + 61 * day) == {"refused": 1}
    await ward.owe("device_added", "email", due_at=NOW + 61 * day)
    assert await ward.deliver(NOW + 61 * day) == {"sent": 1}


# ------------------------------------------------------------------ the next one in line


async def told(ward: Ward) -> list[tuple[str, UUID | None, str | None, str]]:
    return [(one.template, one.account_id, one.address, one.status.value) for one in await ward.rows()]


async def test_word_of_an_alert_that_reaches_nobody_goes_on_from_one_to_the_next(ward: Ward) -> None:
    bob, carol, dana = (ward.care.world.actors[name].account_id for name in ("bob", "carol", "dana"))
    async with ward.care.sessions.begin() as session:
        await ward.care.open(session)
        await link(session, ward.care.world.alice, ward.care.world.carol, CareRole.MEMBER)
    refused = Refused(Reason.BLOCKED, "550")
    ward.reach = replace(ward.reach, sender=Box(refused, refused, refused))
    alert = await raise_(ward.care)
    assert await ward.deliver() == {"refused": 3}
    assert await told(ward) == [
        ("alert_raised", bob, None, "refused"),
        ("alert_raised", carol, None, "refused"),
        ("alert_unanswered", dana, None, "refused"),
    ], "the clinic has no address"
    assert {str(one.parameters["alert_id"]) for one in await ward.rows()} == {str(alert.id)}


@pytest.mark.parametrize(
    "wish",
    [
        {"muted_until": NOW + timedelta(days=9)},
        {"channels": {"alert": {"email": False, "push": False, "sms": False}}},
    ],
    ids=["pause", "switch"],
)
async def test_word_of_an_alert_goes_past_whoever_wants_a_pause(ward: Ward, wish: dict[str, Any]) -> None:
    bob, carol, dana = (ward.care.world.actors[name].account_id for name in ("bob", "carol", "dana"))
    async with ward.care.sessions.begin() as session:
        await ward.care.open(session)
        await link(session, ward.care.world.alice, ward.care.world.carol, CareRole.MEMBER)
    await ward.prefer(bob, **wish)
    await raise_(ward.care)
    assert await ward.deliver() == {"muted": 1, "sent": 1}
    assert await told(ward) == [("alert_raised", bob, None, "muted"), ("alert_raised", carol, None, "sent")]
    await ward.prefer(carol, **wish)
    await raise_(ward.care, rule_id="ES04")
    assert await ward.deliver() == {"muted": 2, "sent": 1}
    assert (await told(ward))[2:] == [
        ("alert_raised", bob, None, "muted"),
        ("alert_raised", carol, None, "muted"),
        ("alert_unanswered", dana, None, "sent"),
    ]


async def test_word_of_an_urgent_alert_passes_by_whoever_cannot_sign_in_and_ends_at_the_clinics_address(
    ward: Ward,
) -> None:
    accounts = [ward.care.world.actors[name].account_id for name in ("bob", "carol", "dana")]
    async with ward.care.sessions.begin() as session:
        await ward.care.open(session)
        await link(session, ward.care.world.alice, ward.care.world.carol, CareRole.MEMBER)
        clinic = await session.get_one(Clinic, ward.care.clinic_id)
        clinic.email = "office@clinic.example"
    async with ward.care.sessions.begin() as session, as_identity(session):
        shut = update(Account).where(Account.id.in_(accounts))
        await session.execute(shut.values(status=AccountStatus.DISABLED))
    await raise_(ward.care, level="emergency_now")
    assert await ward.deliver() == {"refused": 1, "sent": 1}
    assert await told(ward) == [
        ("alert_raised", accounts[0], None, "refused"),
        ("alert_unanswered", None, "office@clinic.example", "sent"),
    ]


async def test_what_stood_for_another_alert_or_was_told_to_another_or_taken_up_is_passed_on_as_needed(
    ward: Ward,
) -> None:
    bob, carol = (ward.care.world.actors[name].account_id for name in ("bob", "carol"))
    async with ward.care.sessions.begin() as session:
        await ward.care.open(session)
        await link(session, ward.care.world.alice, ward.care.world.carol, CareRole.MEMBER)
    refused = Refused(Reason.BLOCKED, "550")
    ward.reach = replace(ward.reach, sender=Box(refused))
    both = [await raise_(ward.care, rule_id=rule) for rule in ("ES03", "ES04")]
    assert await ward.deliver() == {"refused": 1, "sent": 1}
    rows = await ward.rows()
    told = [(one.account_id, one.status.value) for one in rows]
    assert sorted(told, key=str) == sorted(
        [(bob, "refused"), (bob, "merged"), (carol, "sent"), (carol, "merged")], key=str
    )
    for each in (bob, carol):
        about = {one.parameters["alert_id"] for one in rows if one.account_id == each}
        assert about == {str(alert.id) for alert in both}, "whichever of the two stands for the other"
    later = NOW + timedelta(days=30)
    await do(ward.care, alerts.acknowledge, both[1], at=NOW)
    async with ward.care.sessions.begin() as session:
        await ward.care.open(session)
        await alerts.mark_overdue(session, at=later)
    ward.reach = replace(ward.reach, sender=Box(refused))
    assert await ward.deliver(later) == {"refused": 1, "sent": 1}
    assert len(await ward.rows()) == 6, "of the team one has heard of it"


async def test_a_pause_and_a_switch_hold_back_no_word_of_what_is_never_muted(ward: Ward) -> None:
    off = {"push": False, "sms": False, "email": False}
    bob = ward.care.bob.account_id
    await ward.prefer(bob, channels={"alert": off}, muted_until=NOW + timedelta(days=9))
    await raise_(ward.care, rule_id="ES13")
    await ward.care.screen(yes=["weight_loss"])
    assert await ward.deliver() == {"sent": 1}, "both in one e-mail"
    rows = await ward.rows()
    assert sorted(row.status.value for row in rows) == ["merged", "sent"]
    assert {row.account_id for row in rows} == {bob}
