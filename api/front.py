"""The outermost layer, plain ASGI: names each request, bounds its caller's pace, sets the headers of every answer.

A caller is an access token that was found good before, else the address that the request comes from: whoever makes up
tokens, or tries old ones, shares one bucket with all who do so from there, and is refused before the database is asked.
"""

import re
import time
from collections import OrderedDict
from uuid import uuid4

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import problem
from core.errors import TooMany

log = structlog.get_logger(__name__)

CALLER_IS_KNOWN = "caller_is_known"
"""Key of the request's state that `api.dependencies` sets when the access token belongs to somebody."""

_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_TRACE = re.compile(rb"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"strict-transport-security", b"max-age=63072000; includeSubDomains"),
    (b"cross-origin-resource-policy", b"same-origin"),
]
_POLICY = b"default-src 'none'; frame-ancestors 'none'"


class Limiter:
    """A token bucket per caller, in this process. Old callers make room for new ones, so its memory is bounded.

    An access token has a bucket once it was found good (`admit`).
    """

    def __init__(self, per_second: float, burst: int, callers: int = 10_000) -> None:
        """per_second: how fast a bucket fills. burst: how much it holds. callers: how many buckets are kept."""
        self.per_second = per_second
        self.burst = burst
        self.callers = callers
        self._buckets: OrderedDict[int, tuple[float, float]] = OrderedDict()
        self.policy = f'"caller";q={burst};w={max(1, round(burst / per_second))}'.encode()

    def take(self, caller: int, now: float) -> float:
        """Take one token; give what is left, or a negative number of tokens that are missing. now: seconds."""
        tokens, before = self._buckets.pop(caller, (float(self.burst), now))
        held = min(self.burst, tokens + (now - before) * self.per_second)
        left = held - 1
        self._keep(caller, left if left >= 0 else held, now)
        return left

    def knows(self, caller: int) -> bool:
        """Tell whether the caller has a bucket."""
        return caller in self._buckets

    def admit(self, caller: int, now: float) -> None:
        """Give the caller a bucket, a full one, if it has none. now: seconds."""
        if caller not in self._buckets:
            self._keep(caller, float(self.burst), now)

    def _keep(self, caller: int, tokens: float, now: float) -> None:
        self._buckets[caller] = (tokens, now)
        if len(self._buckets) > self.callers:
            self._buckets.popitem(last=False)

    def headers(self, left: float) -> list[tuple[bytes, bytes]]:
        """Say how many requests are left, as in draft-ietf-httpapi-ratelimit-headers."""
        wait = max(1, round((self.burst - max(left, 0.0)) / self.per_second))
        return [(b"ratelimit-policy", self.policy), (b"ratelimit", f'"caller";r={int(max(left, 0))};t={wait}'.encode())]


class Front:
    """See the module."""

    def __init__(self, app: ASGIApp, limiter: Limiter | None = None) -> None:
        """limiter: None lets everybody through."""
        self.app = app
        self.limiter = limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id, address, token = _read(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        added = [*_HEADERS, (b"x-request-id", request_id.encode())]
        left = 1.0
        if self.limiter is not None:
            caller = token if token is not None and self.limiter.knows(token) else address
            left = self.limiter.take(caller, time.monotonic())
            added += self.limiter.headers(left)

        status = 0
        began = time.perf_counter()

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message["headers"])
                names = {name for name, _ in headers}
                if b"cache-control" not in names:
                    headers.append((b"cache-control", b"no-store"))
                if b"content-security-policy" not in names:
                    headers.append((b"content-security-policy", _POLICY))
                message["headers"] = headers + added
            await send(message)

        if left < 0:
            assert self.limiter is not None
            wait = max(1, round(-left / self.limiter.per_second))
            await problem(TooMany(wait), Request(scope))(scope, receive, send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)
            if self.limiter is not None and token is not None and scope["state"].get(CALLER_IS_KNOWN):
                self.limiter.admit(token, time.monotonic())
        # The route's template, never the path: a path holds ids, a query what was looked for.
        route = getattr(scope.get("route"), "path_format", "")
        duration = round((time.perf_counter() - began) * 1000, 1)
        log.info("request", method=scope["method"], route=route, status=status, duration_ms=duration)


def _read(scope: Scope) -> tuple[str, int, int | None]:
    """Give the request's id (the client's, when it is a UUID or a W3C trace id), the address's key and the token's."""
    request_id, trace = b"", b""
    client = scope.get("client") or ("", 0)
    token: int | None = None
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _UUID.fullmatch(value):
            request_id = value.lower()
        elif name == b"traceparent" and (match := _TRACE.fullmatch(value)):
            trace = match[1]
        elif name == b"authorization":
            token = hash((b"token", value))
    return (request_id or trace).decode() or str(uuid4()), hash((b"address", client[0])), token
