"""Text messages: Twilio's Messages resource, its receipts, and what people write back.

https://www.twilio.com/docs/messaging/api/message-resource, https://www.twilio.com/docs/usage/security and
https://www.twilio.com/docs/api/errors. Twilio has no key by which it would know a repeated request: a message that is
sent twice arrives twice. The key travels in the address of the receipt, so a receipt finds its message even when the
answer to our request was lost.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from urllib.parse import quote, urlencode, urlsplit

import httpx

from core import clock
from core.crypto import same
from integrations.delivery import Accepted, Failed, Outcome, Reason, Refused, code_of, read_retry_after, reference_of
from integrations.http import TOTAL_SECONDS, Answer, post

LONGEST = 1600
"""Characters that Twilio takes in one message (error 21617 beyond)."""

EMPTY_REPLY = '<?xml version="1.0" encoding="UTF-8"?><Response/>'
"""TwiML that answers nothing: Twilio itself answers STOP, START and HELP. Content type text/xml."""

CREATED, UNAUTHORIZED, FORBIDDEN, TOO_MANY, SERVER_ERROR = 201, 401, 403, 429, 500

REASONS: Mapping[int, Reason] = {
    21211: Reason.ADDRESS_DEAD,  # invalid 'To' number
    21214: Reason.ADDRESS_DEAD,  # 'To' number cannot be reached
    21217: Reason.ADDRESS_DEAD,  # number does not appear to be valid
    21408: Reason.BLOCKED,  # the account may not send to this region
    21602: Reason.UNFIT,  # no body
    21608: Reason.BLOCKED,  # a trial account, and the number is not verified
    21610: Reason.OPTED_OUT,  # the person has answered STOP
    21612: Reason.BLOCKED,  # no route from this sender to this number
    21614: Reason.ADDRESS_DEAD,  # not a mobile number
    21617: Reason.UNFIT,  # longer than 1600 characters
    21635: Reason.ADDRESS_DEAD,  # a landline
    30004: Reason.BLOCKED,  # the destination blocks it
    30005: Reason.ADDRESS_DEAD,  # unknown destination
    30006: Reason.ADDRESS_DEAD,  # a landline, or a carrier out of reach
    30007: Reason.BLOCKED,  # filtered by the carrier
    30034: Reason.BLOCKED,  # sender not registered with the carriers of the United States
}
"""What Twilio's codes mean for the address; a code that is not here says nothing about it."""


@dataclass(frozen=True)
class TextMessage:
    """A text. to: E.164 (`+15005550006`). key: id of what causes it, the same at every attempt."""

    to: str = field(repr=False)
    text: str = field(repr=False)
    key: str


class SmsSender(Protocol):
    """Whatever takes text messages."""

    async def deliver(self, message: TextMessage) -> Outcome:
        """Hand a message over, once."""
        ...


@dataclass(frozen=True)
class TwilioSender:
    """An account at Twilio. sender: a number in E.164 or a messaging service (`MG…`). receipts: our address for them."""

    pool: httpx.AsyncClient = field(repr=False)
    account_sid: str
    auth_token: str = field(repr=False)
    sender: str
    receipts: str | None = None
    url: str = "https://api.twilio.com"
    seconds: float = TOTAL_SECONDS

    async def deliver(self, message: TextMessage) -> Outcome:
        """Create the message at Twilio."""
        if not message.text or len(message.text) > LONGEST:
            return Refused(Reason.UNFIT, "length")
        form = {"To": message.to, "Body": message.text}
        form["MessagingServiceSid" if self.sender.startswith("MG") else "From"] = self.sender
        if self.receipts is not None:
            form["StatusCallback"] = f"{self.receipts}?{urlencode({'key': message.key})}"
        answer = await post(
            self.pool,
            f"{self.url}/2010-04-01/Accounts/{quote(self.account_sid, safe='')}/Messages.json",
            form=form,
            auth=(self.account_sid, self.auth_token),
            seconds=self.seconds,
        )
        return answer if isinstance(answer, Failed) else _outcome(answer)


def _outcome(answer: Answer) -> Outcome:
    said = answer.json()
    status, code = answer.status, said.get("code")
    if status == CREATED:
        reference = reference_of(said.get("sid"))
        return Accepted(reference) if reference else Failed("malformed")
    later = read_retry_after(answer.headers, at=clock.now())
    if status in {UNAUTHORIZED, FORBIDDEN}:  # our own settings: mend them, and it goes out
        return Failed("authentication")
    if status == TOO_MANY or status >= SERVER_ERROR or not isinstance(code, int):
        return Failed(code_of(code, status), later)
    reason = REASONS.get(code)
    return Failed(str(code), later) if reason is None else Refused(reason, str(code))


# ------------------------------------------------------------------ what Twilio tells us


class Keyword(StrEnum):
    """What a person asks for with a word."""

    STOP = "stop"
    START = "start"
    HELP = "help"


WORDS: Mapping[Keyword, frozenset[str]] = {
    Keyword.STOP: frozenset(
        {"stop", "unsubscribe", "end", "quit", "stopall", "revoke", "optout", "cancel"}  # Twilio's own
        | {"stopp", "arret", "arrêt", "arrete", "alto", "parar", "detener"}  # of the languages of our messages
    ),
    Keyword.START: frozenset({"start", "yes", "unstop"}),
    Keyword.HELP: frozenset({"help", "info"}),
}
"""Words that stand alone in a message. Twilio blocks the sender on its own ones; ours are for us to heed."""


@dataclass(frozen=True)
class Inbound:
    """A message that somebody sent to our number. keyword None: words for a person to read."""

    reference: str
    sender: str = field(repr=False)
    to: str = field(repr=False)
    text: str = field(repr=False)
    keyword: Keyword | None


@dataclass(frozen=True)
class Receipt:
    """How a message is doing. status: Twilio's word; outcome: None while it is under way.

    A Failed outcome is Twilio's last word on this message, too: whoever wants to try again sends a new one.
    """

    reference: str
    status: str
    outcome: Outcome | None


def signature(url: str, form: Iterable[tuple[str, str]], auth_token: str) -> str:
    """Sign a request as Twilio does: HMAC-SHA1 over the address and the sorted form, a repeated pair once."""
    signed = url + "".join(name + value for name, value in sorted(set(form)))
    return base64.b64encode(hmac.digest(auth_token.encode(), signed.encode(), hashlib.sha1)).decode()


def is_from_twilio(url: str, form: Iterable[tuple[str, str]], given: str | None, *, auth_token: str) -> bool:
    """Tell whether the X-Twilio-Signature `given` fits.

    url: the address that Twilio called, as Twilio knows it: scheme, host, path and query. Twilio signs it sometimes
    with and sometimes without its port, so both are taken.
    """
    if not given:
        return False
    pairs = list(form)
    fits = [same(signature(each, pairs, auth_token).encode(), given.encode()) for each in _spellings(url)]
    return any(fits)


def _spellings(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    bare = host if host.endswith("]") else re.sub(r":\d+$", "", host)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return tuple(parts._replace(netloc=each).geturl() for each in (bare, f"{bare}:{port}"))  # type: ignore[return-value]


def read_inbound(form: Mapping[str, str]) -> Inbound | None:
    """Read an incoming message; None for a form that is none."""
    reference, sender = reference_of(form.get("MessageSid")), form.get("From", "")
    if reference is None or not sender:
        return None
    text = form.get("Body", "")
    return Inbound(reference, sender, form.get("To", ""), text, keyword_of(text, form.get("OptOutType")))


def keyword_of(text: str, opt_out_type: str | None = None) -> Keyword | None:
    """Tell what a message asks for. opt_out_type: Twilio's own finding, which goes first."""
    if opt_out_type and opt_out_type.lower() in set(Keyword):
        return Keyword(opt_out_type.lower())
    word = "".join(each for each in text.casefold() if each.isalpha())
    return next((keyword for keyword, words in WORDS.items() if word in words), None)


def read_receipt(form: Mapping[str, str]) -> Receipt | None:
    """Read a status callback; None for a form that is none."""
    reference, status = reference_of(form.get("MessageSid")), form.get("MessageStatus", "")
    if reference is None or not re.fullmatch(r"[a-z_]{1,30}", status):
        return None
    return Receipt(reference, status, _received(status, form.get("ErrorCode", ""), reference))


def _received(status: str, code: str, reference: str) -> Outcome | None:
    if status in {"delivered", "read"}:
        return Accepted(reference)
    if status not in {"undelivered", "failed", "canceled"}:
        return None
    reason = REASONS.get(int(code)) if re.fullmatch(r"\d{1,6}", code) else None
    return Failed(code_of(code, status)) if reason is None else Refused(reason, code)
