"""Text messages through Twilio's twin: what is taken, what is refused for good, what is worth another try."""

import io
from collections.abc import AsyncIterator

import httpx
import pytest

from integrations.delivery import Accepted, Failed, Outcome, Reason, Refused
from integrations.sms import (
    Keyword,
    TextMessage,
    TwilioSender,
    is_from_twilio,
    keyword_of,
    read_inbound,
    read_receipt,
    signature,
)
from integrations.twins.server import Fault, Reply, json_reply
from integrations.twins.twilio import TwilioTwin

SID, TOKEN = "AC" + "1" * 32, "canary-of-the-auth-token"
TO, TEXT = "+14155550123", "Canary words of a message"
MESSAGE = TextMessage(TO, TEXT, "0198-key")
RECEIPTS = "https://physio.example/v1/webhooks/sms/receipts"


@pytest.fixture
async def twin() -> AsyncIterator[TwilioTwin]:
    async with TwilioTwin(SID, TOKEN) as server:
        yield server


@pytest.fixture
def sender(twin: TwilioTwin, pool: httpx.AsyncClient) -> TwilioSender:
    return TwilioSender(pool, SID, TOKEN, "+15005550006", RECEIPTS, twin.url, seconds=10)


async def test_a_message_is_taken_with_the_key_in_the_address_of_its_receipt(
    twin: TwilioTwin, sender: TwilioSender
) -> None:
    outcome = await sender.deliver(MESSAGE)
    (taken,) = twin.taken
    assert outcome == Accepted(taken["sid"])
    assert (taken["To"], taken["From"], taken["Body"]) == (TO, "+15005550006", TEXT)
    assert taken["StatusCallback"] == f"{RECEIPTS}?key=0198-key"


async def test_a_messaging_service_and_no_receipts_are_fine(twin: TwilioTwin, pool: httpx.AsyncClient) -> None:
    service = TwilioSender(pool, SID, TOKEN, "MG" + "2" * 32, url=twin.url)
    assert isinstance(await service.deliver(MESSAGE), Accepted)
    assert twin.taken[0]["MessagingServiceSid"] == "MG" + "2" * 32
    assert {"From", "StatusCallback"}.isdisjoint(twin.taken[0])


@pytest.mark.parametrize(
    ("to", "outcome"),
    [
        ("+15005550001", Refused(Reason.ADDRESS_DEAD, "21211")),
        ("+15005550002", Refused(Reason.BLOCKED, "21612")),
        ("+15005550003", Refused(Reason.BLOCKED, "21408")),
        ("+15005550004", Refused(Reason.OPTED_OUT, "21610")),
        ("+15005550009", Refused(Reason.ADDRESS_DEAD, "21614")),
        ("not a number", Refused(Reason.ADDRESS_DEAD, "21211")),
        ("", Failed("21604")),
    ],
)
async def test_twilios_test_numbers_fail_as_documented(
    twin: TwilioTwin, sender: TwilioSender, to: str, outcome: Outcome
) -> None:
    assert await sender.deliver(TextMessage(to, TEXT, "k")) == outcome
    assert twin.taken == []


@pytest.mark.parametrize("text", ["", "x" * 1601])
async def test_a_text_that_twilio_would_not_take_is_not_sent(twin: TwilioTwin, sender: TwilioSender, text: str) -> None:
    assert await sender.deliver(TextMessage(TO, text, "k")) == Refused(Reason.UNFIT, "length")
    assert twin.asked == 0


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (json_reply(429, {"code": 20429, "status": 429}, **{"retry-after": "7"}), Failed("20429", 7.0)),
        (Reply(429), Failed("429")),
        (Reply(503, b"", {"retry-after": "30"}), Failed("503", 30.0)),
        (Reply(500, b"<html>down for +14155550123</html>"), Failed("500")),
        (json_reply(400, {"code": 99999}), Failed("99999")),
        (json_reply(400, {"code": f"no {TO}"}), Failed("400")),
        (json_reply(403, {"code": 20003}), Failed("authentication")),
        (Reply(201, b"{"), Failed("malformed")),
        (json_reply(201, {"sid": 5}), Failed("malformed")),
        (json_reply(201, {"sid": f"no {TO}"}), Failed("malformed")),
        (Reply(200, b"<html>a portal</html>"), Failed("200")),
        (Reply(302, b"", {"location": "http://127.0.0.1:1/"}), Failed("302")),
        (Fault.DROP, Failed("broken")),
    ],
)
async def test_other_answers_are_worth_another_try(
    twin: TwilioTwin, sender: TwilioSender, answer: Reply | Fault, outcome: Outcome
) -> None:
    twin.next(answer)
    assert await sender.deliver(MESSAGE) == outcome
    assert twin.asked == 1, "nobody tries again in here"


async def test_a_wrong_token_a_silent_server_and_none_at_all_are_too(twin: TwilioTwin, pool: httpx.AsyncClient) -> None:
    assert await TwilioSender(pool, SID, "wrong", "+15005550006", url=twin.url).deliver(MESSAGE) == Failed(
        "authentication"
    )
    twin.next(Fault.HANG)
    quick = TwilioSender(pool, SID, TOKEN, "+15005550006", url=twin.url, seconds=0.2)
    assert await quick.deliver(MESSAGE) == Failed("timeout")
    away = TwilioSender(pool, SID, TOKEN, "+15005550006", url="http://127.0.0.1:1")
    assert await away.deliver(MESSAGE) == Failed("unreachable")


async def test_nothing_is_told_to_logs_or_to_whoever_prints_it(
    twin: TwilioTwin, sender: TwilioSender, written: io.StringIO
) -> None:
    await sender.deliver(MESSAGE)
    twin.next(Fault.DROP)
    await sender.deliver(MESSAGE)
    said = written.getvalue() + repr(sender) + repr(MESSAGE) + repr(read_inbound(twin.incoming("u", TO, TEXT)[0]))
    for canary in (TOKEN, TO, TO[1:], TEXT, "Canary"):
        assert canary not in said


# ------------------------------------------------------------------ what Twilio tells us

EXAMPLE = {
    "CallSid": "CA1234567890ABCDE",
    "Caller": "+14158675309",
    "Digits": "1234",
    "From": "+14158675309",
    "To": "+18005551212",
}
EXAMPLE_URL = "https://mycompany.com/myapp.php?foo=1&bar=2"


def test_the_examples_of_twilios_documentation_fit() -> None:
    assert signature(EXAMPLE_URL, EXAMPLE.items(), "12345") == "RSOYDt4T1cUTdK1PDd93/VVr8B8="
    twice = [("Sid", "CA123"), ("SidAccount", "AC123"), ("Digits", "5678"), ("Digits", "1234"), ("Digits", "1234")]
    assert signature(EXAMPLE_URL, twice, "12345") == "IK+Dwps556ElfBT0I3Rgjkr1wJU="


@pytest.mark.parametrize(
    ("url", "given"),
    [
        (EXAMPLE_URL, "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (EXAMPLE_URL.replace(".com", ".com:1234"), "RSOYDt4T1cUTdK1PDd93/VVr8B8="),
        (EXAMPLE_URL.replace(".com", ".com:1234").replace("https", "http"), "Zmvh+3yNM1Phv2jhDCwEM3q5ebU="),
        (EXAMPLE_URL, "kvajT1Ptam85bY51eRf/AJRuM3w="),  # signed with port 443
        (EXAMPLE_URL.replace("https", "http"), "0ZXoZLH/DfblKGATFgpif+LLRf4="),  # signed with port 80
    ],
)
def test_a_signature_fits_with_and_without_the_port(url: str, given: str) -> None:
    assert is_from_twilio(url, EXAMPLE.items(), given, auth_token="12345")


@pytest.mark.parametrize(
    ("url", "change", "given", "token"),
    [
        (EXAMPLE_URL + "3", {}, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "12345"),
        (EXAMPLE_URL, {"Digits": "1235"}, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "12345"),
        (EXAMPLE_URL, {"More": "x"}, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "12345"),
        (EXAMPLE_URL, {}, "RSOYDt4T1cUTdK1PDd93/VVr8B8=", "54321"),
        (EXAMPLE_URL, {}, "RSOYDt4T1cUTdK1PDd93/VVr8B8", "12345"),
        (EXAMPLE_URL, {}, "ä", "12345"),
        (EXAMPLE_URL, {}, "", "12345"),
        (EXAMPLE_URL, {}, None, "12345"),
    ],
)
def test_anything_else_does_not(url: str, change: dict[str, str], given: str | None, token: str) -> None:
    assert not is_from_twilio(url, (EXAMPLE | change).items(), given, auth_token=token)


async def test_a_receipt_of_the_twin_fits_and_tells_how_it_went(twin: TwilioTwin, sender: TwilioSender) -> None:
    outcome = await sender.deliver(MESSAGE)
    assert isinstance(outcome, Accepted)
    url, form, headers = twin.receipt(0, "delivered")
    assert is_from_twilio(url, form.items(), headers["x-twilio-signature"], auth_token=TOKEN)
    receipt = read_receipt(form)
    assert receipt is not None
    assert (receipt.reference, receipt.status, receipt.outcome) == (outcome.reference, "delivered", outcome)


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        ("queued", "", None),
        ("sent", "", None),
        ("read", "", Accepted("SM1")),
        ("undelivered", "30003", Failed("30003")),
        ("undelivered", "30005", Refused(Reason.ADDRESS_DEAD, "30005")),
        ("undelivered", "30007", Refused(Reason.BLOCKED, "30007")),
        ("failed", "21610", Refused(Reason.OPTED_OUT, "21610")),
        ("failed", "", Failed("failed")),
        ("canceled", "a sentence", Failed("canceled")),
    ],
)
def test_each_status_means_something(status: str, error: str, outcome: Outcome | None) -> None:
    receipt = read_receipt({"MessageSid": "SM1", "MessageStatus": status, "ErrorCode": error})
    assert receipt is not None
    assert receipt.outcome == outcome


@pytest.mark.parametrize("form", [{}, {"MessageSid": "SM1"}, {"MessageSid": "SM1", "MessageStatus": "<b>"}])
def test_a_form_that_is_no_receipt_is_none(form: dict[str, str]) -> None:
    assert read_receipt(form) is None


@pytest.mark.parametrize(
    ("text", "keyword"),
    [
        ("STOP", Keyword.STOP),
        (" Stop. ", Keyword.STOP),
        ("stop all!", Keyword.STOP),
        ("Unsubscribe", Keyword.STOP),
        ("ARRÊT", Keyword.STOP),
        ("start", Keyword.START),
        ("YES", Keyword.START),
        ("Help?", Keyword.HELP),
        ("please do not stop", None),
        ("I cannot stop coughing", None),
        ("", None),
        ("👍", None),
    ],
)
def test_a_word_that_stands_alone_is_heeded(text: str, keyword: Keyword | None) -> None:
    assert keyword_of(text) is keyword


async def test_what_somebody_writes_back_is_read(twin: TwilioTwin) -> None:
    url = "https://physio.example/v1/webhooks/sms"
    form, headers = twin.incoming(url, TO, "Stop")
    assert is_from_twilio(url, form.items(), headers["x-twilio-signature"], auth_token=TOKEN)
    inbound = read_inbound(form)
    assert inbound is not None
    assert (inbound.sender, inbound.text, inbound.keyword) == (TO, "Stop", Keyword.STOP)
    found = read_inbound(form | {"Body": "baja por favor", "OptOutType": "STOP"})
    assert found is not None
    assert found.keyword is Keyword.STOP, "Twilio knows the words that were set there"
    other = read_inbound(form | {"Body": "hello", "OptOutType": "SOMETHING"})
    assert other is not None
    assert other.keyword is None
    assert read_inbound({"MessageSid": "SM1"}) is None
    assert read_inbound({"From": TO}) is None


async def test_the_twin_says_no_as_twilio_does(twin: TwilioTwin, pool: httpx.AsyncClient) -> None:
    url = f"{twin.url}/2010-04-01/Accounts/{SID}/Messages.json"
    for form, code in [
        ({"To": TO, "Body": "x"}, 21603),
        ({"To": TO, "From": "x"}, 21602),
        ({"To": TO, "From": "x", "Body": "x" * 1601}, 21617),
    ]:
        assert (await pool.post(url, data=form, auth=(SID, TOKEN))).json()["code"] == code
    assert (await pool.get(url, auth=(SID, TOKEN))).status_code == 404
