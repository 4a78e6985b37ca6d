"""Push messages to phones: Firebase Cloud Messaging, HTTP v1.

https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send and …/v1/ErrorCode; the way to an access
token is OAuth 2.0 for service accounts (RFC 7523): a token that we sign is changed for one that is good for an hour.
"""

import asyncio
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol
from urllib.parse import quote

import httpx
import orjson
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from core import clock
from integrations.delivery import (
    TIMEOUT,
    Accepted,
    Failed,
    Outcome,
    Reason,
    Refused,
    code_of,
    read_retry_after,
    reference_of,
)
from integrations.http import TOTAL_SECONDS, Answer, post
from integrations.jwt import sign

SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
ASSERTED = timedelta(hours=1)
"""The longest life of an assertion that Google takes."""
MARGIN_SECONDS = 300.0
"""So long before its end a token is renewed."""
QUOTA_SECONDS = 60.0
"""Wait after 429 without a Retry-After, as Google's documentation asks."""
LARGEST = 4096
"""Bytes of a message's title, text and data."""
LONGEST_TTL = 2_419_200
"""Four weeks, in seconds."""

OK, UNAUTHORIZED, TOO_MANY, SERVER_ERROR = 200, 401, 429, 500


@dataclass(frozen=True)
class PushMessage:
    """A push message. data: ids and codes for the app, never health data.

    tag: a new message replaces an older one of the same word that the phone shows already. collapse: one that replaces an
    older one while it waits for the phone; Google keeps four of these words for each phone, or the newest message only.
    ttl: seconds it may wait for the phone.
    """

    token: str = field(repr=False)
    title: str = field(repr=False)
    text: str = field(repr=False)
    key: str
    data: Mapping[str, str] = field(default_factory=dict, repr=False)
    tag: str | None = None
    collapse: str | None = None
    ttl: int = 86_400
    urgent: bool = False


class PushSender(Protocol):
    """Whatever takes push messages."""

    async def deliver(self, message: PushMessage) -> Outcome:
        """Hand a message over, once."""
        ...


@dataclass(frozen=True)
class ServiceAccount:
    """Who we are at Google."""

    project: str
    email: str
    key: rsa.RSAPrivateKey = field(repr=False)
    key_id: str | None
    token_url: str


@functools.lru_cache(maxsize=2)  # looking a key through takes a processor 40 ms, and there is one account
def read_service_account(text: str) -> ServiceAccount:
    """Read the JSON file that Google gives for a service account. Raises ValueError without a word of it."""
    try:
        found = orjson.loads(text)
        key = load_pem_private_key(found["private_key"].encode(), password=None)
        project, email, token_url = found["project_id"], found["client_email"], found["token_uri"]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError("not a service account of Google") from None
    if not isinstance(key, rsa.RSAPrivateKey) or not all(isinstance(each, str) for each in (project, email, token_url)):
        raise ValueError("not a service account of Google")
    return ServiceAccount(project, email, key, found.get("private_key_id"), token_url)


@dataclass
class _Grant:
    token: str = field(repr=False)
    until: float


class FcmSender:
    """A project at Firebase. Keeps one access token; many senders at once wait for one renewal."""

    def __init__(
        self,
        pool: httpx.AsyncClient,
        account: ServiceAccount,
        *,
        url: str = "https://fcm.googleapis.com",
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        self._pool, self._account, self._seconds = pool, account, seconds
        self._url = f"{url}/v1/projects/{quote(account.project, safe='')}/messages:send"
        self._grant: _Grant | None = None
        self._renewing = asyncio.Lock()

    async def deliver(self, message: PushMessage) -> Outcome:
        """Send a message; an access token that Google no longer takes is renewed, once."""
        size = sum(len(each.encode()) for each in (message.title, message.text, *message.data, *message.data.values()))
        if size > LARGEST:
            return Refused(Reason.UNFIT, "length")
        content = orjson.dumps({"message": _written(message, clock.now())})
        try:
            async with asyncio.timeout(self._seconds):  # the way to the access token included
                answer = await self._ask(content)
        except TimeoutError:
            return Failed(TIMEOUT)
        return answer if isinstance(answer, Failed) else _outcome(answer)

    async def _ask(self, content: bytes) -> Answer | Failed:
        grant = await self._granted(stale=None)
        answer = grant if isinstance(grant, Failed) else await self._send(content, grant)
        if isinstance(answer, Answer) and _expired(answer):
            grant = await self._granted(stale=grant if isinstance(grant, _Grant) else None)
            answer = grant if isinstance(grant, Failed) else await self._send(content, grant)
        return answer

    async def _send(self, content: bytes, grant: _Grant) -> Answer | Failed:
        headers = {"authorization": f"Bearer {grant.token}", "content-type": "application/json"}
        return await post(self._pool, self._url, content=content, headers=headers, seconds=self._seconds)

    async def _granted(self, *, stale: _Grant | None) -> _Grant | Failed:
        """Give an access token other than `stale`."""
        async with self._renewing:
            now = asyncio.get_running_loop().time()
            if self._grant is not None and self._grant is not stale and now < self._grant.until:
                return self._grant
            self._grant = None
            found = await self._renew(now)
            if isinstance(found, _Grant):
                self._grant = found
            return found

    async def _renew(self, now: float) -> _Grant | Failed:
        at, account = clock.now(), self._account
        claims = {
            "iss": account.email,
            "scope": SCOPE,
            "aud": account.token_url,
            "iat": int(at.timestamp()),
            "exp": int((at + ASSERTED).timestamp()),
        }
        assertion = await asyncio.to_thread(sign, claims, account.key, key_id=account.key_id)
        form = {"grant_type": GRANT, "assertion": assertion}
        answer = await post(self._pool, account.token_url, form=form, seconds=self._seconds)
        if isinstance(answer, Failed):
            return answer
        said = answer.json()
        if answer.status == OK:
            token, life = said.get("access_token"), said.get("expires_in")
            if isinstance(token, str) and token and token.isascii() and isinstance(life, int):
                return _Grant(token, now + max(life - MARGIN_SECONDS, 0.0))
            return Failed("malformed")
        if answer.status == TOO_MANY or answer.status >= SERVER_ERROR:
            return Failed(str(answer.status), read_retry_after(answer.headers, at=at))
        return Failed("authentication")  # our own settings: mend them, and it goes out


def _written(message: PushMessage, at: datetime) -> dict[str, Any]:
    """Write a message for Android, and for Apple through Firebase."""
    ttl = min(max(message.ttl, 0), LONGEST_TTL)
    android: dict[str, Any] = {"ttl": f"{ttl}s", "priority": "HIGH" if message.urgent else "NORMAL"}
    apple = {
        "apns-expiration": str(int(at.timestamp()) + ttl),
        "apns-priority": "10" if message.urgent else "5",
    }
    if message.collapse is not None:
        android["collapse_key"] = message.collapse
    if message.tag is not None:
        android["notification"] = {"tag": message.tag}
        apple["apns-collapse-id"] = message.tag
    return {
        "token": message.token,
        "notification": {"title": message.title, "body": message.text},
        "data": {**message.data, "key": message.key},
        "android": android,
        "apns": {"headers": apple},
    }


# ------------------------------------------------------------------ what Google answers


def _expired(answer: Answer) -> bool:
    return answer.status == UNAUTHORIZED and _error(answer)[0] != "THIRD_PARTY_AUTH_ERROR"


def _error(answer: Answer) -> tuple[str, bool]:
    """Give the code, FCM's own where there is one, and whether it is about the token.

    INVALID_ARGUMENT is said of a bad token and of a bad message alike. It is the token when Google names that field, or
    names none and speaks as FCM; a message that is too large comes without any detail.
    """
    error = answer.json().get("error")
    if not isinstance(error, dict):
        return str(answer.status), False
    details = [each for each in _list(error.get("details")) if isinstance(each, dict)]
    own = [each["errorCode"] for each in details if "errorCode" in each]
    wrong = [each for detail in details for each in _list(detail.get("fieldViolations")) if isinstance(each, dict)]
    about = all(str(each.get("field")).startswith("message.token") for each in wrong) if wrong else bool(own)
    return code_of(own[0] if own else error.get("status"), answer.status), about


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _outcome(answer: Answer) -> Outcome:
    if answer.status == OK:
        reference = reference_of(answer.json().get("name"))
        return Accepted(reference) if reference else Failed("malformed")
    code, about_token = _error(answer)
    later = read_retry_after(answer.headers, at=clock.now())
    if code in {"UNREGISTERED", "SENDER_ID_MISMATCH"}:  # the app is gone, or it is an app of somebody else's
        return Refused(Reason.ADDRESS_DEAD, code)
    if code == "INVALID_ARGUMENT":
        return Refused(Reason.ADDRESS_DEAD if about_token else Reason.UNFIT, code)
    if answer.status == TOO_MANY:
        return Failed(code, QUOTA_SECONDS if later is None else later)
    return Failed("authentication" if answer.status == UNAUTHORIZED else code, later)
