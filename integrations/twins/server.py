"""A small HTTP server on loopback for the twins: it checks as its provider does, keeps what it took, and fails when told.

Besides the provider's own paths each twin answers `GET /_taken` (what it took, as JSON) and `POST /_next`
(`{"status": 429, "headers": {"retry-after": "7"}, "body": "", "times": 1}` or `{"fault": "hang"}`), for whoever runs
in another process. Only this machine is ever listened to.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import h11
import orjson

LARGEST = 1024 * 1024


class Fault(StrEnum):
    """What a server can do other than answer."""

    HANG = "hang"
    """Take the request and say nothing."""
    DROP = "drop"
    """Take the request and close the connection."""
    DRIP = "drip"
    """Begin an answer and never end it."""


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """Path without the query."""
        return urlsplit(self.target).path

    def form(self) -> dict[str, str]:
        """Give the form of the body."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


def json_reply(status: int, content: object, **headers: str) -> Reply:
    """Answer with JSON."""
    return Reply(status, orjson.dumps(content), {"content-type": "application/json", **headers})


class Twin:
    """A server of one provider. `taken`: what it accepted, oldest first, as plain values."""

    def __init__(self) -> None:
        self.taken: list[dict[str, Any]] = []
        self.asked = 0
        """Requests that reached the provider's own paths."""
        self._next: deque[Reply | Fault] = deque()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._port, self._scheme = 0, "http"

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{self._scheme}://127.0.0.1:{self._port}"

    def next(self, *answers: Reply | Fault) -> None:
        """Tell what the next requests get instead of the provider's answer, one each."""
        self._next.extend(answers)

    def handle(self, request: Request) -> Reply:
        """Answer as the provider does."""
        raise NotImplementedError

    async def start(self, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        """Listen on loopback; port 0 for any that is free."""
        self._scheme = "http" if tls is None else "https"
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port, ssl=tls)
        self._port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and let go of whoever is connected."""
        assert self._server is not None, "it was started"
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()

    # -------------------------------------------------------------- connections

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a connection is a task"
        self._open.add(task)
        try:
            await self._converse(reader, writer)
        except (h11.RemoteProtocolError, ConnectionError, asyncio.CancelledError):
            pass  # whoever asked has gone, or we are
        finally:
            self._open.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = h11.Connection(h11.SERVER)
        while (request := await _read(talk, reader)) is not None:
            answer = self._answer(request)
            if answer is Fault.DROP:
                return
            if answer is Fault.HANG:
                await reader.read()  # until the other side gives up
                return
            reply = answer if isinstance(answer, Reply) else Reply(200, b"{", {"content-length": "2"})
            headers = {"content-length": str(len(reply.body)), **reply.headers}
            parts = talk.send(h11.Response(status_code=reply.status, headers=list(headers.items()))) or b""
            writer.write(parts + (talk.send(h11.Data(data=reply.body)) or b""))
            if answer is Fault.DRIP:
                await reader.read()
                return
            writer.write(talk.send(h11.EndOfMessage()) or b"")
            await writer.drain()
            if talk.our_state is h11.MUST_CLOSE:
                return
            talk.start_next_cycle()

    def _answer(self, request: Request) -> Reply | Fault:
        if request.path == "/_taken":
            return json_reply(200, self.taken)
        if request.path == "/_next":
            return self._told(request)
        self.asked += 1
        return self._next.popleft() if self._next else self.handle(request)

    def _told(self, request: Request) -> Reply:
        try:
            told = orjson.loads(request.body)
            answer: Reply | Fault = (
                Fault(told["fault"])
                if "fault" in told
                else Reply(int(told["status"]), str(told.get("body", "")).encode(), dict(told.get("headers", {})))
            )
            self.next(*[answer] * int(told.get("times", 1)))
        except (ValueError, KeyError, TypeError):
            return Reply(400)
        return Reply(204)


async def _read(talk: h11.Connection, reader: asyncio.StreamReader) -> Request | None:
    """Read one request; None when there is no more."""
    head, body = None, bytearray()
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(await reader.read(65_536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > LARGEST:
                return None
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None, "an end has a beginning"
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            return Request(head.method.decode(), head.target.decode(), headers, bytes(body))
        else:
            return None
