"""HTTP to providers: one pool of connections for each kind of address, limits on time and size, no surprises.

Providers that settings name are reached with `open_pool`. Addresses that a client gave us are reached with
`open_guarded_pool`: it resolves a name once, refuses it when any of its addresses is not public, and connects to the
address it has checked, so that a name cannot point elsewhere between the look and the leap (server-side request
forgery, DNS rebinding). Neither follows redirects, and neither asks the environment for a proxy or a password.
"""

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, TypeAlias

import httpcore
import httpx
import orjson

from integrations.delivery import TIMEOUT, UNREACHABLE, Failed

CONNECT_SECONDS = 5.0
TOTAL_SECONDS = 15.0
"""From the first step to the last byte of the answer, resolving and connecting included."""
LARGEST_ANSWER = 64 * 1024
"""Bytes; no answer of a provider that we ask comes near."""
HEADERS = {"user-agent": "physio", "accept-encoding": "identity"}
POOL = 20
IDLE_SECONDS = 30.0
TRIED = 4
"""Addresses of one name that are tried, at most."""

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
_SHARED_WITH_IPV4 = ipaddress.ip_network("64:ff9b::/96")  # NAT64: the last 32 bits are an IPv4 address


class AddressRefused(Exception):  # noqa: N818 - it is refused
    """The name points to an address that is not public."""


@dataclass(frozen=True)
class Answer:
    """What a provider said."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

    def json(self) -> dict[str, Any]:
        """Give the JSON object of the body; an empty one for anything else."""
        try:
            found = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return {}
        return found if isinstance(found, dict) else {}


async def post(
    pool: httpx.AsyncClient,
    url: str,
    *,
    content: bytes | None = None,
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    auth: tuple[str, str] | None = None,
    seconds: float = TOTAL_SECONDS,
) -> Answer | Failed:
    """Ask once, within `seconds` in all. Raises AddressRefused where the pool is guarded."""
    try:
        async with (
            asyncio.timeout(seconds),
            pool.stream("POST", url, content=content, data=form, headers=headers, auth=auth) as response,
        ):
            body = bytearray()
            async for part in response.aiter_raw():
                body += part
                if len(body) > LARGEST_ANSWER:
                    return Failed("too_large")
            return Answer(response.status_code, response.headers, bytes(body))
    except (TimeoutError, httpx.TimeoutException, httpcore.TimeoutException):
        return Failed(TIMEOUT)
    except (httpx.ConnectError, httpcore.ConnectError):
        return Failed(UNREACHABLE)
    except (httpx.HTTPError, httpx.InvalidURL, httpcore.NetworkError, httpcore.ProtocolError):
        return Failed("broken")


@cache
def _trust() -> ssl.SSLContext:
    """Trust whom this machine trusts; reading the list takes a while, and every pool can use the same."""
    return ssl.create_default_context()


def open_pool(verify: ssl.SSLContext | None = None) -> httpx.AsyncClient:
    """Open connections to providers that settings name; close with `aclose`. verify: whom to trust, usually everybody's."""
    return httpx.AsyncClient(
        verify=verify or _trust(),
        timeout=httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
        limits=httpx.Limits(max_connections=POOL, keepalive_expiry=IDLE_SECONDS),
        follow_redirects=False,
        trust_env=False,
        cookies=_no_cookies(),
        headers=HEADERS,
    )


def open_guarded_pool(
    verify: ssl.SSLContext | None = None, *, loopback: bool = False, resolve: Resolve | None = None
) -> httpx.AsyncClient:
    """Open connections to public addresses that clients name; close with `aclose`. loopback: let this machine be one."""
    backend = _Guard(loopback=loopback, resolve=resolve or _resolve)
    return httpx.AsyncClient(
        transport=_Transport(verify or _trust(), backend),
        timeout=httpx.Timeout(TOTAL_SECONDS, connect=CONNECT_SECONDS),
        follow_redirects=False,
        trust_env=False,
        cookies=_no_cookies(),
        headers=HEADERS,
    )


def _no_cookies() -> CookieJar:
    """Give a jar that stays empty: a server that a client names shall not fill our memory."""
    return CookieJar(DefaultCookiePolicy(allowed_domains=()))


# ------------------------------------------------------------------ addresses


def is_public(address: str, *, loopback: bool = False) -> bool:
    """Tell whether an IP address is one of the public internet, or of this machine where `loopback` allows it."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _SHARED_WITH_IPV4:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner), loopback=loopback)
    if ip.is_loopback:
        return loopback
    return ip.is_global and not (ip.is_multicast or ip.is_reserved or ip.is_unspecified)


async def _resolve(host: str, port: int) -> list[str]:
    """Give the addresses of a name, as the system orders them. Raises OSError, UnicodeError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class _Guard(httpcore.AsyncNetworkBackend):
    """Connects to the addresses that it has checked, never to a name."""

    def __init__(self, *, loopback: bool, resolve: Resolve) -> None:
        self._loopback, self._resolve = loopback, resolve
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the name is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect. Raises AddressRefused when a single address of the name is not public."""
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("resolve") from error
        if not all(is_public(each, loopback=self._loopback) for each in addresses):
            raise AddressRefused
        for address in addresses[:TRIED]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError:
                continue
        raise httpcore.ConnectError("refused")


class _Body(httpx.AsyncByteStream):
    """Bytes as they come."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._response.aiter_stream():
            yield part

    async def aclose(self) -> None:
        """Give the connection back."""
        await self._response.aclose()


class _Transport(httpx.AsyncBaseTransport):
    """httpx over a pool whose connections a guard opens; TLS still checks the name, not the address."""

    def __init__(self, verify: ssl.SSLContext, backend: httpcore.AsyncNetworkBackend) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=verify, max_connections=POOL, keepalive_expiry=IDLE_SECONDS, network_backend=backend
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request. Raises AddressRefused, and what httpcore raises."""
        assert isinstance(request.stream, httpx.AsyncByteStream)
        url = request.url
        response = await self._pool.handle_async_request(
            httpcore.Request(
                method=request.method,
                url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()
