"""What the caller is told over HTTP: the list, devices, preferences, and the provider's own calls."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select

from api.app import create_app
from core.database import Sessions, as_identity, bind_clinic
from core.settings import Settings
from integrations.channels import MESSAGES_PATH, RECEIPTS_PATH
from integrations.sms import signature
from integrations.web_push import make_key
from models.notifications import ClosedAddress, Device, Notification, NotificationReceipt
from services import notifications
from tests.api.conftest import client_of
from tests.api.desk import STRANGE, Desk, refused
from tests.factories import make_world

TOKEN = "primary-auth-token"
PUBLIC_URL = "https://physio.example"
PREFERENCES = "/v1/me/notification-preferences"
PHONE = {"platform": "ios", "token": "token-of-a-phone", "zone": "Europe/Berlin"}
BROWSER = {
    "platform": "web",
    "subscription": {"endpoint": "https://push.example.com/send/1", "keys": {"p256dh": "B" * 87, "auth": "A" * 22}},
    "zone": "America/New_York",
}


@pytest.fixture
def app(sessions: Sessions) -> FastAPI:
    settings = Settings(
        environment="test",
        rate_per_second=0,
        public_url=PUBLIC_URL,
        twilio_account_sid="AC0",
        twilio_auth_token=TOKEN,
        twilio_sender="+15005550006",
        vapid_key=make_key(),
        _env_file=None,
    )
    return create_app(settings, sessions=sessions)


@pytest.fixture
async def desk(client: httpx.AsyncClient, sessions: Sessions) -> Desk:
    return Desk(client, sessions, await make_world(sessions))


async def owe(desk: Desk, who: str = "alice", **changes: Any) -> UUID:
    values: dict[str, Any] = {
        "template": "check_in_reminder",
        "channel": "email",
        "dedupe_key": uuid4().hex,
        "due_at": datetime.now(UTC),
        "account_id": desk.world.actors[who].account_id,
    }
    async with desk.sessions.begin() as session:
        await bind_clinic(session, desk.world.clinic.id)
        await notifications.owe(session, clinic_id=desk.world.clinic.id, **values | changes)
        key = (values | changes)["dedupe_key"]
        found = await session.scalar(select(Notification.id).where(Notification.dedupe_key == key))
    assert found is not None
    return found


async def kept(desk: Desk, model: Any) -> list[Any]:
    async with desk.sessions() as session:
        await bind_clinic(session, desk.world.clinic.id)
        return list(await session.scalars(select(model).order_by(model.id)))


# ------------------------------------------------------------------ the list


async def test_the_list_shows_my_messages_in_my_language_and_nobody_elses(desk: Desk) -> None:
    check_in = str(uuid4())
    first = await owe(desk, parameters={"check_in_id": check_in, "seed": "secret"})
    second = await owe(desk, template="device_added")
    await owe(desk, "bob", template="alert_raised")
    await owe(desk, due_at=datetime.now(UTC) + timedelta(hours=1))
    await desk.ask("alice", "PATCH", PREFERENCES, {"language": "fr"})
    listed = await desk.get("alice", "/v1/notifications")
    assert [each["id"] for each in listed["items"]] == [str(second), str(first)]
    shown = listed["items"][1]
    assert shown["title"] == "Quelque chose vous attend"
    assert shown["about"] == {"type": "check_in", "id": check_in}
    assert (shown["category"], shown["status"], shown["read_at"]) == ("check_in", "owed", None)
    assert "secret" not in str(listed)
    assert len((await desk.get("bob", "/v1/notifications"))["items"]) == 1
    page = await desk.get("alice", "/v1/notifications?limit=1")
    assert len(page["items"]) == 1
    rest = await desk.get("alice", f"/v1/notifications?limit=1&cursor={page['next_cursor']}")
    assert [each["id"] for each in rest["items"]] == [str(first)]
    assert await desk.audited("notification.list") == 4


async def test_what_is_read_is_read_once_and_not_sent_any_more(desk: Desk) -> None:
    one = await owe(desk)
    path = f"/v1/notifications/{one}/read"
    read = await desk.post("alice", path)
    assert (read["status"], read["channel"]) == ("delivered", "in_app")
    assert (await desk.post("alice", path))["read_at"] == read["read_at"]
    assert await desk.audited("notification.read") == 1
    assert (await desk.get("alice", "/v1/notifications?unread=true"))["items"] == []
    assert len((await desk.get("alice", "/v1/notifications?unread=false"))["items"]) == 1
    async with desk.sessions.begin() as session:
        await bind_clinic(session, desk.world.clinic.id)
        assert await notifications.lease(session, desk.world.clinic.id, at=datetime.now(UTC)) is None


async def test_a_message_of_somebody_else_is_not_there(desk: Desk) -> None:
    one = await owe(desk)
    for who in ("bob", "dana"):
        refused(await desk.ask(who, "POST", f"/v1/notifications/{one}/read"), 404, "not_found")
    refused(await desk.ask("alice", "POST", f"/v1/notifications/{STRANGE}/read"), 404, "not_found")


async def test_a_category_can_be_kept_out_of_the_app(desk: Desk) -> None:
    await owe(desk)
    await owe(desk, template="device_added")
    await desk.ask("alice", "PATCH", PREFERENCES, {"categories": {"check_in": {"in_app": False}}})
    assert [one["template"] for one in (await desk.get("alice", "/v1/notifications"))["items"]] == ["device_added"]


# ------------------------------------------------------------------ preferences


async def test_without_a_choice_the_usual_holds_and_a_choice_changes_only_what_it_names(desk: Desk) -> None:
    usual = await desk.get("alice", PREFERENCES)
    assert (usual["quiet_from"], usual["quiet_until"], usual["zone"]) == ("21:00:00", "08:00:00", "Europe/Berlin")
    assert usual["languages"] == ["de", "en", "es", "fr", "pt"]
    assert len(usual["web_push_key"]) == 87
    by_name = {each["category"]: each for each in usual["categories"]}
    assert set(by_name) == {"check_in", "alert", "red_flag", "security"}
    assert by_name["check_in"]["channels"] == {"email": True, "sms": True, "push": True, "in_app": True}
    assert by_name["security"]["channels"]["sms"] is None
    assert by_name["red_flag"]["mandatory"]
    one = {"categories": {"check_in": {"sms": False}}, "quiet_from": "22:00", "quiet_until": "06:30"}
    first = await desk.ask("alice", "PATCH", PREFERENCES, one)
    assert (first.status_code, usual["version"], first.json()["version"]) == (200, 1, 2)
    assert first.headers["etag"].startswith('"2-')
    two = {"categories": {"check_in": {"push": False}}, "language": "pt-BR"}
    changed = (await desk.ask("alice", "PATCH", PREFERENCES, two)).json()
    assert (changed["quiet_from"], changed["quiet_until"], changed["language"]) == ("22:00:00", "06:30:00", "pt-BR")
    assert changed["categories"][0]["channels"] == {"email": True, "sms": False, "push": False, "in_app": True}
    taken_back = {"quiet_from": None, "quiet_until": None, "language": None, "categories": None}
    back = (await desk.ask("alice", "PATCH", PREFERENCES, taken_back)).json()
    assert (back["quiet_from"], back["language"]) == ("21:00:00", "en")
    assert await desk.audited("notification_preference.update") == 3


async def test_staff_has_no_quiet_hours_unless_they_say_so(desk: Desk) -> None:
    usual = await desk.get("dana", PREFERENCES)
    assert (usual["quiet_from"], usual["quiet_until"], usual["zone"]) == (None, None, "Europe/Berlin")


async def test_what_concerns_safety_cannot_be_switched_off(desk: Desk) -> None:
    form = {"categories": {"red_flag": {"push": False, "email": True}, "security": {"email": False}}}
    refused(
        await desk.ask("bob", "PATCH", PREFERENCES, form),
        422,
        "preferences_refused",
        ("/categories/red_flag/push", "mandatory"),
        ("/categories/security/email", "mandatory"),
    )


@pytest.mark.parametrize(
    ("half", "wanting"),
    [
        ({"quiet_from": "22:00"}, "/quiet_until"),
        ({"quiet_from": None}, "/quiet_until"),
        ({"quiet_until": None}, "/quiet_from"),
        ({"quiet_from": "22:00", "quiet_until": None}, "/quiet_until"),
    ],
)
async def test_quiet_hours_come_and_go_as_a_pair(desk: Desk, half: dict[str, Any], wanting: str) -> None:
    await desk.ask("bob", "PATCH", PREFERENCES, {"quiet_from": "21:00", "quiet_until": "07:00"})
    refused(await desk.ask("bob", "PATCH", PREFERENCES, half), 422, "preferences_refused", (wanting, "quiet_hours"))
    gone = await desk.ask("bob", "PATCH", PREFERENCES, {"quiet_from": None, "quiet_until": None})
    assert (gone.status_code, gone.json()["quiet_from"]) == (200, None)


@pytest.mark.parametrize(
    "back",
    [
        {"categories": None},
        {"categories": {"check_in": None}},
        {"categories": {"check_in": {"email": None, "push": None}}},
    ],
)
async def test_null_takes_a_choice_about_a_category_back(desk: Desk, back: dict[str, Any]) -> None:
    async def channels(change: dict[str, Any]) -> dict[str, Any]:
        answer = await desk.ask("alice", "PATCH", PREFERENCES, change)
        assert answer.status_code == 200
        found = {each["category"]: each["channels"] for each in answer.json()["categories"]}["check_in"]
        assert isinstance(found, dict)
        return found

    usual = await channels({})
    chosen = await channels({"categories": {"check_in": {"email": False, "push": False}}})
    assert (chosen["email"], chosen["push"]) == (False, False)
    assert await channels(back) == usual


# ------------------------------------------------------------------ devices


async def test_a_device_is_registered_once_and_seen_again(desk: Desk) -> None:
    path = f"/v1/me/devices/{uuid4()}"
    first = await desk.ask("alice", "PUT", path, PHONE)
    assert (first.status_code, first.headers["location"], first.headers["etag"]) == (201, path, '"1"')
    assert "token" not in first.json()
    again = await desk.ask("alice", "PUT", path, BROWSER)
    assert (again.status_code, again.json()["platform"], again.json()["version"]) == (200, "web", 2)
    assert again.headers["etag"] == '"2"'
    (row,) = await kept(desk, Device)
    assert (row.token, row.endpoint) == (None, "https://push.example.com/send/1")
    assert row.sign_in_id is not None
    assert (await desk.audited("device.create"), await desk.audited("device.update")) == (1, 1)
    assert await kept(desk, Notification) == [], "the first one is no news"


async def test_whoever_signed_in_last_on_a_phone_is_told_there_and_a_further_device_is_reported(desk: Desk) -> None:
    await desk.ask("bob", "PUT", f"/v1/me/devices/{uuid4()}", PHONE)
    mine, later = uuid4(), uuid4()
    await desk.ask("alice", "PUT", f"/v1/me/devices/{mine}", PHONE)
    retired = {row.account_id: row.retired_reason for row in await kept(desk, Device)}
    assert retired[desk.world.bob.account_id] == "replaced"
    assert retired[desk.world.alice.account_id] is None
    await desk.ask("alice", "PUT", f"/v1/me/devices/{later}", BROWSER)
    (told,) = await kept(desk, Notification)
    assert (told.template, told.category.value, told.account_id) == (
        "device_added",
        "security",
        desk.world.alice.account_id,
    )
    refused(await desk.ask("bob", "PUT", f"/v1/me/devices/{mine}", PHONE), 409, "device_taken")


@pytest.mark.parametrize(
    "endpoint", ["https://127.0.0.1/x", "http://push.example.com/x", "https://10.0.0.1/x", "https://push/x"]
)
async def test_a_push_service_is_a_public_address(desk: Desk, endpoint: str) -> None:
    form = {**BROWSER, "subscription": {**BROWSER["subscription"], "endpoint": endpoint}}  # type: ignore[dict-item]
    answer = await desk.ask("alice", "PUT", f"/v1/me/devices/{uuid4()}", form)
    refused(answer, 422, "endpoint_refused", ("/subscription/endpoint", "endpoint_refused"), secret=endpoint)


@pytest.mark.parametrize(
    "form", [{**PHONE, "platform": "web"}, {**BROWSER, "platform": "ios"}, {**PHONE, "token": None}]
)
async def test_a_phone_has_a_token_and_a_browser_a_subscription(desk: Desk, form: dict[str, Any]) -> None:
    answer = await desk.ask("alice", "PUT", f"/v1/me/devices/{uuid4()}", form)
    assert answer.status_code == 422
    assert [each["code"] for each in answer.json()["errors"]] == ["device_address"]


# ------------------------------------------------------------------ what the provider tells us


async def call(client: httpx.AsyncClient, path: str, form: dict[str, str], **changes: Any) -> httpx.Response:
    signed = {"x-twilio-signature": signature(PUBLIC_URL + path, form.items(), changes.pop("token", TOKEN))}
    return await client.post(path, data=form, headers=signed | changes)


async def is_closed(sessions: Sessions, number: str) -> bool:
    async with sessions() as session, as_identity(session):
        mine = select(ClosedAddress).where(ClosedAddress.address == number, ClosedAddress.opened_at.is_(None))
        return await session.scalar(mine) is not None


def written(number: str, text: str) -> dict[str, str]:
    return {"MessageSid": "SM" + "0" * 32, "From": number, "To": "+15005550006", "Body": text}


async def test_stop_closes_a_number_start_opens_it_and_words_for_people_change_nothing(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    number = f"+1555{uuid4().int % 10**7:07d}"
    answer = await call(client, MESSAGES_PATH, written(number, "my knee hurts"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/xml; charset=utf-8")
    assert not await is_closed(sessions, number)
    assert (await call(client, MESSAGES_PATH, written(number, " Stopp! "))).status_code == 200
    assert await is_closed(sessions, number)
    assert (await call(client, MESSAGES_PATH, written(number, "START"))).status_code == 200
    assert not await is_closed(sessions, number)
    assert (await call(client, MESSAGES_PATH, {"From": number})).status_code == 200


async def test_what_the_provider_did_not_sign_is_refused_and_changes_nothing(
    client: httpx.AsyncClient, sessions: Sessions, settings: Settings
) -> None:
    number = f"+1555{uuid4().int % 10**7:07d}"
    form = written(number, "STOP")
    refused(await call(client, MESSAGES_PATH, form, token="another"), 403, "signature_refused")
    refused(await client.post(MESSAGES_PATH, data=form), 403, "signature_refused")
    refused(await client.post(MESSAGES_PATH, json=form), 415, "unsupported_media_type")
    kind = {"content-type": "application/x-www-form-urlencoded"}
    refused(await client.post(MESSAGES_PATH, content=b"a=%ff", headers=kind), 400, "malformed_request")
    assert not await is_closed(sessions, number)
    async with client_of(create_app(settings, sessions=sessions)) as off:
        refused(await call(off, MESSAGES_PATH, form), 404, "not_found")


async def test_a_receipt_finds_its_message_and_a_strange_one_nothing(desk: Desk) -> None:
    one = await owe(desk, template="check_in_open", channel="sms")
    path = f"{RECEIPTS_PATH}?key={desk.world.clinic.id}.{one}"
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+15550001"}
    for _ in range(2):
        assert (await call(desk.client, path, form)).status_code == 204
    assert (await call(desk.client, path, {**form, "MessageStatus": "sent"})).status_code == 204
    assert (await call(desk.client, path, {"To": "+15550001"})).status_code == 204
    (receipt,) = await kept(desk, NotificationReceipt)
    assert (receipt.notification_id, receipt.status.value, receipt.reference) == (one, "delivered", "SM1")
    (row,) = await kept(desk, Notification)
    assert row.status.value == "delivered"
    foreign = await make_world(desk.sessions)
    other = f"{RECEIPTS_PATH}?key={foreign.clinic.id}.{one}"
    assert (await call(desk.client, other, {**form, "MessageSid": "SM2"})).status_code == 204
    assert len(await kept(desk, NotificationReceipt)) == 1
    refused(await call(desk.client, f"{RECEIPTS_PATH}?key=strange", form), 404, "not_found")
    forged = signature(PUBLIC_URL + path, form.items(), TOKEN)
    answer = await desk.client.post(other, data=form, headers={"x-twilio-signature": forged})
    refused(answer, 403, "signature_refused")
