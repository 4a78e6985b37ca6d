"""Push to phones through Firebase's twin: the token is fetched once, renewed once, and dead phones are told apart."""

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from integrations.delivery import Accepted, Failed, Outcome, Reason, Refused
from integrations.push import FcmSender, PushMessage, read_service_account
from integrations.twins.fcm import PROJECT, FcmTwin, error, make_key
from integrations.twins.server import Fault, Reply, json_reply

TOKEN, TITLE, TEXT = "canary-of-the-device", "Canary title", "Canary words"
MESSAGE = PushMessage(TOKEN, TITLE, TEXT, "0198-key", {"open": "today"}, "0198-tag", "check_in", ttl=3600)


@pytest.fixture
async def twin() -> AsyncIterator[FcmTwin]:
    async with FcmTwin() as server:
        yield server


def make(twin: FcmTwin, pool: httpx.AsyncClient, seconds: float = 10) -> FcmSender:
    return FcmSender(pool, read_service_account(twin.credentials()), url=twin.url, seconds=seconds)


@pytest.fixture
def sender(twin: FcmTwin, pool: httpx.AsyncClient) -> FcmSender:
    return make(twin, pool)


async def test_a_message_goes_to_both_kinds_of_phones(twin: FcmTwin, sender: FcmSender) -> None:
    assert await sender.deliver(MESSAGE) == Accepted(f"projects/{PROJECT}/messages/0:1")
    (taken,) = twin.taken
    assert taken["token"] == TOKEN
    assert taken["notification"] == {"title": TITLE, "body": TEXT}
    assert taken["data"] == {"open": "today", "key": "0198-key"}
    assert taken["android"] == {
        "ttl": "3600s",
        "priority": "NORMAL",
        "collapse_key": "check_in",
        "notification": {"tag": "0198-tag"},
    }
    assert taken["apns"]["headers"]["apns-collapse-id"] == "0198-tag"
    await sender.deliver(replace(MESSAGE, urgent=True, tag=None, collapse=None, ttl=10**9))
    assert twin.taken[1]["android"] == {"ttl": "2419200s", "priority": "HIGH"}
    assert twin.taken[1]["apns"]["headers"]["apns-priority"] == "10"


async def test_one_access_token_serves_many_messages_at_once(twin: FcmTwin, sender: FcmSender) -> None:
    outcomes = await asyncio.gather(*(sender.deliver(MESSAGE) for _ in range(20)))
    assert all(isinstance(each, Accepted) for each in outcomes)
    assert (twin.granted, len(twin.taken)) == (1, 20)


async def test_a_token_near_its_end_is_not_used_again(pool: httpx.AsyncClient) -> None:
    async with FcmTwin(life=200) as twin:
        sender = make(twin, pool)
        await sender.deliver(MESSAGE)
        await sender.deliver(MESSAGE)
        assert twin.granted == 2


async def test_a_revoked_token_is_renewed_once_for_all(twin: FcmTwin, sender: FcmSender) -> None:
    await sender.deliver(MESSAGE)
    twin.revoke()
    outcomes = await asyncio.gather(*(sender.deliver(MESSAGE) for _ in range(10)))
    assert all(isinstance(each, Accepted) for each in outcomes)
    assert (twin.granted, len(twin.taken)) == (2, 11)


async def test_a_second_no_to_our_token_is_not_argued_with(twin: FcmTwin, sender: FcmSender) -> None:
    await sender.deliver(MESSAGE)
    asked = twin.asked
    twin.next(error(401, "UNAUTHENTICATED"))
    twin.revoke()
    twin.next(Reply(200, orjson.dumps({"access_token": "x", "expires_in": 3599})))
    assert await sender.deliver(MESSAGE) == Failed("authentication")
    assert twin.asked == asked + 3, "send, renew, send"


@pytest.mark.parametrize(
    ("token", "outcome"),
    [
        ("gone-1", Refused(Reason.ADDRESS_DEAD, "UNREGISTERED")),
        ("bad-1", Refused(Reason.ADDRESS_DEAD, "INVALID_ARGUMENT")),
        ("other-1", Refused(Reason.ADDRESS_DEAD, "SENDER_ID_MISMATCH")),
    ],
)
async def test_a_dead_token_is_known_as_one(sender: FcmSender, token: str, outcome: Outcome) -> None:
    assert await sender.deliver(replace(MESSAGE, token=token)) == outcome


async def test_a_message_that_is_at_fault_does_not_cost_the_phone_its_token(twin: FcmTwin, sender: FcmSender) -> None:
    assert await sender.deliver(replace(MESSAGE, text="x" * 4097)) == Refused(Reason.UNFIT, "length")
    for answer in (
        error(400, "INVALID_ARGUMENT"),  # too large: no details
        error(400, "INVALID_ARGUMENT", own="INVALID_ARGUMENT", field="message.data[0].value"),
    ):
        await sender.deliver(MESSAGE)
        twin.next(answer)
        assert await sender.deliver(MESSAGE) == Refused(Reason.UNFIT, "INVALID_ARGUMENT")
    twin.next(error(400, "INVALID_ARGUMENT", own="INVALID_ARGUMENT", field="message.token"))
    assert await sender.deliver(MESSAGE) == Refused(Reason.ADDRESS_DEAD, "INVALID_ARGUMENT")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (error(429, "RESOURCE_EXHAUSTED", own="QUOTA_EXCEEDED"), Failed("QUOTA_EXCEEDED", 60.0)),
        (error(429, "RESOURCE_EXHAUSTED", own="QUOTA_EXCEEDED", **{"retry-after": "7"}), Failed("QUOTA_EXCEEDED", 7.0)),
        (error(503, "UNAVAILABLE", own="UNAVAILABLE", **{"retry-after": "30"}), Failed("UNAVAILABLE", 30.0)),
        (error(500, "INTERNAL", own="INTERNAL"), Failed("INTERNAL")),
        (Reply(502, b"<!DOCTYPE html><title>Error 502</title>"), Failed("502")),
        (error(401, "UNAUTHENTICATED", own="THIRD_PARTY_AUTH_ERROR"), Failed("authentication")),
        (error(403, "PERMISSION_DENIED"), Failed("PERMISSION_DENIED")),
        (error(404, "NOT_FOUND"), Failed("NOT_FOUND")),
        (json_reply(400, {"error": "a sentence"}), Failed("400")),
        (json_reply(400, {"error": {"status": "a sentence", "details": 5}}), Failed("400")),
        (json_reply(400, {"error": {"details": [5, {"fieldViolations": 5}]}}), Failed("400")),
        (Reply(200, b"{"), Failed("malformed")),
        (json_reply(200, {"name": 5}), Failed("malformed")),
        (Fault.DROP, Failed("broken")),
        (Fault.HANG, Failed("timeout")),
    ],
)
async def test_other_answers_are_worth_another_try(
    twin: FcmTwin, pool: httpx.AsyncClient, answer: Reply | Fault, outcome: Outcome
) -> None:
    sender = make(twin, pool)
    await sender.deliver(MESSAGE)
    asked = twin.asked
    twin.next(answer)
    sender._seconds = 0.2 if outcome == Failed("timeout") else 10
    assert await sender.deliver(MESSAGE) == outcome
    assert twin.asked == asked + 1, "nobody tries again in here"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (json_reply(400, {"error": "invalid_grant", "error_description": "x"}), Failed("authentication")),
        (Reply(503, b"", {"retry-after": "9"}), Failed("503", 9.0)),
        (Reply(429), Failed("429")),
        (Reply(200, b"<html>"), Failed("malformed")),
        (json_reply(200, {"access_token": "", "expires_in": 5}), Failed("malformed")),
        (json_reply(200, {"access_token": "a\u00e4", "expires_in": 5}), Failed("malformed")),
        (json_reply(200, {"access_token": "x", "expires_in": "soon"}), Failed("malformed")),
        (Fault.HANG, Failed("timeout")),
        (Fault.DROP, Failed("broken")),
    ],
)
async def test_without_an_access_token_nothing_is_sent_and_the_next_message_asks_again(
    twin: FcmTwin, pool: httpx.AsyncClient, answer: Reply | Fault, outcome: Outcome
) -> None:
    sender = make(twin, pool, seconds=0.5 if outcome == Failed("timeout") else 10)
    twin.next(answer)
    assert await sender.deliver(MESSAGE) == outcome
    assert (twin.asked, twin.taken) == (1, [])
    sender._seconds = 10
    assert isinstance(await sender.deliver(MESSAGE), Accepted)


async def test_an_account_of_somebody_else_is_not_trusted(twin: FcmTwin, pool: httpx.AsyncClient) -> None:
    async with FcmTwin(key=make_key()) as other:
        account = replace(
            read_service_account(other.credentials()), token_url=read_service_account(twin.credentials()).token_url
        )
        assert await FcmSender(pool, account, url=twin.url).deliver(MESSAGE) == Failed("authentication")
        assert (await pool.post(f"{twin.url}/elsewhere")).status_code == 404
        assert (await pool.post(f"{twin.url}/token", data={"assertion": "a.b"})).status_code == 400


async def test_the_twin_says_no_as_google_does(twin: FcmTwin, sender: FcmSender, pool: httpx.AsyncClient) -> None:
    url = f"{twin.url}/v1/projects/{PROJECT}/messages:send"
    assert (await pool.post(url, json={})).status_code == 401
    await sender.deliver(MESSAGE)
    bearer = {"authorization": "Bearer ya29.twin-1"}
    for content in ({}, {"message": {"token": "x", "data": {"n": 1}}}, {"message": {"token": "x", "y": "z" * 9000}}):
        answer = await pool.post(url, json=content, headers=bearer)
        assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")


async def test_the_whole_way_has_one_limit(twin: FcmTwin, pool: httpx.AsyncClient) -> None:
    twin.next(*[Fault.HANG] * 10)  # whoever waited for the first to get a token asks himself when that one gives up
    quick = make(twin, pool, seconds=0.2)
    outcomes = await asyncio.gather(quick.deliver(MESSAGE), quick.deliver(MESSAGE))
    assert list(outcomes) == [Failed("timeout")] * 2


async def test_after_a_request_that_hung_the_next_one_goes_through(twin: FcmTwin, pool: httpx.AsyncClient) -> None:
    twin.next(Fault.HANG)
    assert await make(twin, pool, seconds=0.2).deliver(MESSAGE) == Failed("timeout")
    assert isinstance(await make(twin, pool).deliver(MESSAGE), Accepted)


async def test_nobody_there_is_worth_another_try(twin: FcmTwin, pool: httpx.AsyncClient) -> None:
    account = read_service_account(twin.credentials())
    assert await FcmSender(pool, account, url="http://127.0.0.1:1").deliver(MESSAGE) == Failed("unreachable")
    away = replace(account, token_url="http://127.0.0.1:1/token")
    assert await FcmSender(pool, away, url=twin.url).deliver(MESSAGE) == Failed("unreachable")


def test_a_service_account_that_is_none_is_refused_without_a_word_of_it() -> None:
    curve = ec.generate_private_key(ec.SECP256R1())
    pem = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    other = orjson.dumps({"private_key": pem, "project_id": "p", "client_email": "e", "token_uri": "t"}).decode()
    for text in ("", "canary", "[]", '{"private_key": "canary"}', '{"private_key": 5}', other):
        with pytest.raises(ValueError, match=r"^not a service account of Google$") as refused:
            read_service_account(text)
        assert refused.value.__cause__ is None


async def test_nothing_is_told_to_logs_or_to_whoever_prints_it(
    twin: FcmTwin, sender: FcmSender, written: io.StringIO
) -> None:
    await sender.deliver(MESSAGE)
    twin.next(Fault.DROP)
    await sender.deliver(MESSAGE)
    account = read_service_account(twin.credentials())
    said = written.getvalue() + repr(sender) + repr(vars(sender)) + repr(MESSAGE) + repr(account)
    for canary in (TOKEN, TITLE, TEXT, "ya29", "PRIVATE KEY", "anary"):
        assert canary not in said
