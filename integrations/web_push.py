"""Push messages to browsers: Web Push (RFC 8030), sealed (RFC 8291), signed by us (VAPID, RFC 8292).

The address is one that a client gave us. It is looked at when it comes (`is_endpoint`) and again when we connect: the
pool must be a guarded one (`integrations.http.open_guarded_pool`).
"""

import hashlib
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Literal, Protocol

import httpx
from cryptography.hazmat.primitives.asymmetric import ec

from core import clock
from integrations import sealing
from integrations.delivery import Accepted, Failed, Outcome, Reason, Refused, read_retry_after, reference_of
from integrations.http import TOTAL_SECONDS, AddressRefused, Answer, is_public, post
from integrations.jwt import P256_BYTES, from_base64url, sign, to_base64url

LONGEST_ENDPOINT = 2048
"""Characters; the push services' own addresses have a few hundred."""
SIGNED = timedelta(hours=12)
"""Life of a signature; a push service takes up to 24 hours."""
LONGEST_TTL = 2_419_200
"""Four weeks, in seconds: what the large push services keep a message at most."""

TAKEN = frozenset({200, 201, 202, 204})
GONE = frozenset({404, 410})
OURS = frozenset({401, 403})
UNFIT = frozenset({400, 413})
LATER = frozenset({406, 408, 425, 429})
"""406 is what Windows' push service says for 429."""
SERVER_ERROR, REDIRECT = 500, 300

NEVER_PUBLIC = frozenset({"localhost", "local", "internal", "home", "lan", "corp"})
_NAME = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+\.?")

Urgency = Literal["very-low", "low", "normal", "high"]


@dataclass(frozen=True)
class Subscription:
    """A browser that wants to be told, as `PushSubscription.toJSON()` gives it; keys in base64url."""

    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)


@dataclass(frozen=True)
class WebPushMessage:
    """A push message. content: what our service worker reads, at most 3993 bytes.

    topic: a new message replaces an older one of the same word that still waits. ttl: seconds it may wait.
    """

    to: Subscription
    content: bytes = field(repr=False)
    key: str
    topic: str | None = None
    ttl: int = 86_400
    urgency: Urgency = "normal"


class WebPushSender(Protocol):
    """Whatever takes push messages for browsers."""

    async def deliver(self, message: WebPushMessage) -> Outcome:
        """Hand a message over, once."""
        ...


def make_key() -> str:
    """Make a key by which push services know us: base64url of 32 bytes, a secret."""
    number = ec.generate_private_key(sealing.CURVE).private_numbers().private_value
    return to_base64url(number.to_bytes(P256_BYTES, "big"))


def read_key(text: str) -> ec.EllipticCurvePrivateKey:
    """Read such a key. Raises ValueError without a word of it."""
    content = from_base64url(text)
    if len(content) != P256_BYTES:
        raise ValueError("not a key of 32 bytes in base64url")
    return ec.derive_private_key(int.from_bytes(content, "big"), sealing.CURVE)


def is_endpoint(url: str, *, loopback: bool = False) -> bool:
    """Tell whether this may be the address of a push service: https on its usual port, no address of a private network.

    loopback: this machine is good, too, also without TLS and on any port; for tests and development.
    """
    if len(url) > LONGEST_ENDPOINT or not url.isascii() or not url.isprintable() or set(url) & set(' "<>\\^`{|}'):
        return False
    try:
        parts = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    if not parts.host or parts.userinfo or parts.fragment:
        return False
    if loopback and _is_here(parts.host):
        return parts.scheme in {"http", "https"}
    return parts.scheme == "https" and parts.port in {None, 443} and _may_be_public(parts.host)


def _is_here(host: str) -> bool:
    return host == "localhost" or (is_public(host, loopback=True) and not is_public(host))


def _may_be_public(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:  # a name: a dot in it, and a last part that is no number (2130706433, 0x7f.1)
        last = host.rstrip(".").rpartition(".")[2]
        return _NAME.fullmatch(host) is not None and not last[:1].isdigit() and last not in NEVER_PUBLIC
    return is_public(host)


class VapidSender:
    """We, at every push service. contact: `mailto:` or `https:`, whom the service may ask about our messages."""

    def __init__(
        self,
        pool: httpx.AsyncClient,
        key: ec.EllipticCurvePrivateKey,
        *,
        contact: str,
        loopback: bool = False,
        seconds: float = TOTAL_SECONDS,
    ) -> None:
        """Keep what is needed. pool: a guarded one."""
        self._pool, self._key, self._contact = pool, key, contact
        self._loopback, self._seconds = loopback, seconds
        self.public_key = to_base64url(sealing.point(key.public_key()))
        """What a browser needs to subscribe (`applicationServerKey`)."""

    async def deliver(self, message: WebPushMessage) -> Outcome:
        """Seal a message and hand it to the browser's push service."""
        to = message.to
        if not is_endpoint(to.endpoint, loopback=self._loopback):
            return Refused(Reason.BLOCKED, "address")
        if len(message.content) > sealing.LARGEST:
            return Refused(Reason.UNFIT, "length")
        try:
            content = sealing.seal(message.content, browser=from_base64url(to.p256dh), secret=from_base64url(to.auth))
        except ValueError:
            return Refused(Reason.ADDRESS_DEAD, "keys")
        headers = {
            "authorization": self._vapid(to.endpoint, clock.now()),
            "content-encoding": "aes128gcm",
            "content-type": "application/octet-stream",
            "ttl": str(min(max(message.ttl, 0), LONGEST_TTL)),
            "urgency": message.urgency,
        }
        if message.topic is not None:
            headers["topic"] = _topic(message.topic)
        try:
            answer = await post(self._pool, to.endpoint, content=content, headers=headers, seconds=self._seconds)
        except AddressRefused:
            return Refused(Reason.BLOCKED, "address")
        return answer if isinstance(answer, Failed) else _outcome(answer)

    def _vapid(self, endpoint: str, at: datetime) -> str:
        url = httpx.URL(endpoint)
        origin = f"{url.scheme}://{url.netloc.decode()}"
        claims = {"aud": origin, "exp": int((at + SIGNED).timestamp()), "sub": self._contact}
        return f"vapid t={sign(claims, self._key)}, k={self.public_key}"


def _topic(word: str) -> str:
    """Give a topic: 32 letters of base64url, from which nobody reads the word."""
    return to_base64url(hashlib.sha256(word.encode()).digest()[:24])


def _outcome(answer: Answer) -> Outcome:
    status = answer.status
    if status in TAKEN:
        return Accepted(reference_of(answer.headers.get("location", "").rstrip("/").rpartition("/")[2]))
    if status in GONE:
        return Refused(Reason.ADDRESS_DEAD, str(status))
    if status in UNFIT:
        return Refused(Reason.UNFIT, str(status))
    if status in OURS:  # our own settings: mend them, and it goes out
        return Failed("authentication")
    if status in LATER or status >= SERVER_ERROR:
        return Failed(str(status), read_retry_after(answer.headers, at=clock.now()))
    return Refused(Reason.BLOCKED, str(status))
