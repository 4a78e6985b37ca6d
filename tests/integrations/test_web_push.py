"""Push to browsers through a twin that opens what we seal; addresses of private networks are never connected to."""

import io
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from integrations import sealing
from integrations.delivery import Accepted, Failed, Outcome, Reason, Refused
from integrations.http import open_guarded_pool
from integrations.jwt import to_base64url
from integrations.twins.server import Fault, Reply
from integrations.twins.web_push import WebPushTwin
from integrations.web_push import Subscription, VapidSender, WebPushMessage, is_endpoint, make_key, read_key
from tests.integrations.test_http import certify

CONTENT = b'{"title": "Canary title", "open": "today"}'
KEY = make_key()
CONTACT = "mailto:clinic@physio.example"


@pytest.fixture
async def twin() -> AsyncIterator[WebPushTwin]:
    async with WebPushTwin() as server:
        yield server


def make(pool: httpx.AsyncClient, *, loopback: bool = True, seconds: float = 10) -> VapidSender:
    return VapidSender(pool, read_key(KEY), contact=CONTACT, loopback=loopback, seconds=seconds)


@pytest.fixture
def sender(guarded: httpx.AsyncClient) -> VapidSender:
    return make(guarded)


@pytest.fixture
def message(twin: WebPushTwin, sender: VapidSender) -> WebPushMessage:
    return WebPushMessage(twin.subscribe(sender.public_key), CONTENT, "0198-key", topic="check-in", ttl=3600)


async def test_a_browser_reads_what_was_sealed_for_it(
    twin: WebPushTwin, sender: VapidSender, message: WebPushMessage
) -> None:
    assert await sender.deliver(message) == Accepted("1")
    (taken,) = twin.taken
    assert taken["content"] == CONTENT.decode()
    assert (taken["ttl"], taken["urgency"], taken["contact"]) == ("3600", "normal", CONTACT)
    assert len(taken["topic"]) == 32
    assert "check" not in taken["topic"]
    await sender.deliver(replace(message, topic=None, ttl=10**9, urgency="high"))
    assert (twin.taken[1]["topic"], twin.taken[1]["ttl"], twin.taken[1]["urgency"]) == (None, "2419200", "high")


async def test_the_largest_message_fits_and_a_larger_one_is_not_sent(
    twin: WebPushTwin, sender: VapidSender, message: WebPushMessage
) -> None:
    assert isinstance(await sender.deliver(replace(message, content=b"x" * sealing.LARGEST)), Accepted)
    too_long = replace(message, content=b"x" * (sealing.LARGEST + 1))
    assert await sender.deliver(too_long) == Refused(Reason.UNFIT, "length")
    assert twin.asked == 1


async def test_a_subscription_that_ended_is_dead(
    twin: WebPushTwin, sender: VapidSender, message: WebPushMessage
) -> None:
    twin.unsubscribe(message.to)
    assert await sender.deliver(message) == Refused(Reason.ADDRESS_DEAD, "410")
    nowhere = replace(message, to=replace(message.to, endpoint=f"{twin.url}/wpush/nowhere"))
    assert await sender.deliver(nowhere) == Refused(Reason.ADDRESS_DEAD, "404")


@pytest.mark.parametrize(
    ("p256dh", "auth"),
    [
        ("AAAA", None),
        ("not base64url!", None),
        (to_base64url(b"\x04" + b"\x01" * 64), None),
        (None, "AAAA"),
        (None, ""),
    ],
)
async def test_keys_that_are_none_are_a_dead_subscription(
    twin: WebPushTwin, sender: VapidSender, message: WebPushMessage, p256dh: str | None, auth: str | None
) -> None:
    to = Subscription(
        message.to.endpoint,
        message.to.p256dh if p256dh is None else p256dh,
        message.to.auth if auth is None else auth,
    )
    assert await sender.deliver(replace(message, to=to)) == Refused(Reason.ADDRESS_DEAD, "keys")
    assert twin.asked == 0


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Reply(429, b"", {"retry-after": "7"}), Failed("429", 7.0)),
        (Reply(406), Failed("406")),
        (Reply(503, b"", {"retry-after": "soon"}), Failed("503")),
        (Reply(500, b"a sentence"), Failed("500")),
        (Reply(401), Failed("authentication")),
        (Reply(403), Failed("authentication")),
        (Reply(400), Refused(Reason.UNFIT, "400")),
        (Reply(413), Refused(Reason.UNFIT, "413")),
        (Reply(301, b"", {"location": "http://169.254.169.254/"}), Refused(Reason.BLOCKED, "301")),
        (Reply(405), Refused(Reason.BLOCKED, "405")),
        (Reply(201), Accepted(None)),
        (Reply(201, b"", {"location": "https://x/a b"}), Accepted(None)),
        (Fault.DROP, Failed("broken")),
        (Fault.HANG, Failed("timeout")),
        (Fault.DRIP, Failed("timeout")),
    ],
)
async def test_each_answer_says_what_to_do_next(
    twin: WebPushTwin, guarded: httpx.AsyncClient, message: WebPushMessage, answer: Reply | Fault, outcome: Outcome
) -> None:
    twin.next(answer)
    assert await make(guarded, seconds=0.3 if outcome == Failed("timeout") else 10).deliver(message) == outcome
    assert twin.asked == 1, "nobody tries again in here"


async def test_nobody_there_is_worth_another_try(sender: VapidSender, message: WebPushMessage) -> None:
    away = replace(message, to=replace(message.to, endpoint="https://127.0.0.1:1/x"))
    assert await sender.deliver(away) == Failed("unreachable")


async def test_a_browser_that_subscribed_to_another_key_keeps_its_subscription(
    twin: WebPushTwin, guarded: httpx.AsyncClient, message: WebPushMessage
) -> None:
    other = VapidSender(guarded, read_key(make_key()), contact=CONTACT, loopback=True)
    assert await other.deliver(message) == Failed("authentication")


async def test_the_twin_says_no_as_a_push_service_does(
    twin: WebPushTwin, sender: VapidSender, message: WebPushMessage, guarded: httpx.AsyncClient
) -> None:
    url, sealed = message.to.endpoint, {"content-encoding": "aes128gcm", "ttl": "5"}
    assert (await guarded.post(url, content=b"x")).status_code == 400
    assert (await guarded.post(url, content=b"x" * 5000, headers=sealed)).status_code == 413
    assert (await guarded.post(url, content=b"x", headers=sealed)).status_code == 403
    signed = sealed | {"authorization": "vapid t=a.b.c, k=AAAA"}
    assert (await guarded.post(url, content=b"x", headers=signed)).status_code == 403
    wrong = replace(message, to=replace(message.to, auth=to_base64url(b"t" * 16)))
    assert await sender.deliver(wrong) == Refused(Reason.UNFIT, "400")
    assert twin.taken == []


async def test_over_tls_the_certificate_counts(tmp_path: Path) -> None:
    server, trusting = certify(tmp_path, "push.example")
    twin = WebPushTwin()
    await twin.start(tls=server)
    try:
        async with open_guarded_pool(trusting, loopback=True) as pool, open_guarded_pool(loopback=True) as strict:
            sender = make(pool)
            message = WebPushMessage(twin.subscribe(sender.public_key), CONTENT, "k")
            assert isinstance(await sender.deliver(message), Accepted)
            assert await make(strict).deliver(message) == Failed("unreachable")
    finally:
        await twin.close()


# ------------------------------------------------------------------ addresses that a client gives

GOOD = [
    "https://fcm.googleapis.com/fcm/send/abc:def",
    "https://updates.push.services.mozilla.com/wpush/v2/gAAAA",
    "https://web.push.apple.com/QGF",
    "https://wns2-db5p.notify.windows.com/w/?token=BQ%3d",
    "https://push.example:443/x",
    "https://8.8.8.8/x",
]
HOSTS = [
    "localhost",
    "localhost.",
    "sub.localhost",
    "127.0.0.1",
    "127.1",
    "0",
    "0.0.0.0",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "017700000001",
    "127.0.1",
    "[::1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[64:ff9b::7f00:1]",
    "[fe80::1]",
    "[fd00::1]",
    "[2002:7f00:1::]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "100.64.0.1",
    "metadata",
    "metadata.google.internal",
    "printer.local",
    "intranet",
    "1.2.3.4.5",
    "192.0.2.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "example.0x7f",
    "push.example@127.0.0.1",
    "127.0.0.1%00.push.example",
]
BAD = [
    "",
    "https://",
    "https:///x",
    "http://push.example/x",
    "ftp://push.example/x",
    "file:///etc/passwd",
    "//push.example/x",
    "push.example/x",
    "https://push.example:22/x",
    "https://push.example:8443/x",
    "https://user@push.example/x",
    "https://user:word@push.example/x",
    "https://push.example/x#part",
    "https://push.example/a b",
    "https://push.example/\r\nhost: x",
    "https://push.example\\@127.0.0.1/",
    "https://push.ex\u00e4mple/x",
    "https://127\u3002\u0030.0.1/",
    "https://[::1/x",
    "https://push.example:99999/x",
    "https://push.example/" + "x" * 2048,
    *(f"https://{host}/x" for host in HOSTS),
    *(f"http://{host}/x" for host in HOSTS[:8]),
]


@pytest.mark.parametrize("url", GOOD)
def test_an_address_of_a_push_service_is_good(url: str) -> None:
    assert is_endpoint(url)


@pytest.mark.parametrize("url", BAD)
async def test_an_address_that_leads_elsewhere_is_neither_kept_nor_connected_to(
    url: str, twin: WebPushTwin, message: WebPushMessage
) -> None:
    assert not is_endpoint(url)
    async with open_guarded_pool() as pool:
        sender = make(pool, loopback=False)
        outcome = await sender.deliver(replace(message, to=replace(message.to, endpoint=url)))
    assert outcome == Refused(Reason.BLOCKED, "address")
    assert twin.asked == 0


async def test_a_good_name_that_points_into_a_private_network_is_refused_when_it_is_used(
    message: WebPushMessage,
) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return ["8.8.8.8", "10.0.0.1"]

    async with open_guarded_pool(resolve=resolve) as pool:
        to = replace(message.to, endpoint="https://push.example/x")
        outcome = await make(pool, loopback=False).deliver(replace(message, to=to))
    assert outcome == Refused(Reason.BLOCKED, "address")


def test_this_machine_is_good_where_a_test_says_so_and_nothing_else_is() -> None:
    for url in ("http://127.0.0.1:8000/x", "https://localhost:1/x", "http://[::1]:5/x"):
        assert is_endpoint(url, loopback=True)
        assert not is_endpoint(url)
    for url in ("http://10.0.0.1/x", "http://push.example/x", "https://169.254.169.254/x", "ftp://127.0.0.1/x"):
        assert not is_endpoint(url, loopback=True)


async def test_nothing_is_told_to_logs_or_to_whoever_prints_it(
    twin: WebPushTwin, sender: VapidSender, message: WebPushMessage, written: io.StringIO
) -> None:
    await sender.deliver(message)
    twin.next(Fault.DROP)
    await sender.deliver(message)
    said = written.getvalue() + repr(sender) + repr(vars(sender)) + repr(message)
    for canary in (KEY, message.to.endpoint, "/wpush/", message.to.auth, message.to.p256dh, "Canary"):
        assert canary not in said
