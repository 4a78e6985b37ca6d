"""Reading Server-Sent Events as a client does."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(frozen=True)
class Message:
    """One message of a stream; a comment has neither event nor data."""

    event: str
    id: str | None
    data: Any
    comment: str | None


@dataclass
class Reader:
    """Makes messages out of lines, and remembers the last id, as a browser does."""

    last_id: str | None = None
    lines: list[str] = field(default_factory=list)

    def feed(self, line: str) -> Message | None:
        if line:
            self.lines.append(line)
        if line or not self.lines:
            return None
        event, data, comment, found = "message", [], None, None
        for each in self.lines:
            name, _, value = each.partition(":")
            value = value.removeprefix(" ")
            if name == "event":
                event = value
            elif name == "data":
                data.append(value)
            elif name == "id":
                found = self.last_id = value
            elif not name:
                comment = value
        self.lines.clear()
        return Message(event, found, json.loads("\n".join(data)) if data else None, comment)


def messages(text: str) -> list[Message]:
    """Give the messages of a stream that has ended."""
    reader = Reader()
    found = (reader.feed(line) for line in text.split("\n"))
    return [each for each in found if each is not None]


def happened(text: str) -> list[dict[str, Any]]:
    """Give the events of a stream that has ended."""
    return [each.data for each in messages(text) if each.event == "message" and each.data is not None]


@dataclass
class Listener:
    """A stream that is being read."""

    answer: httpx.Response
    lines: AsyncIterator[str]
    reader: Reader

    async def message(self, *, seconds: float = 30) -> Message | None:
        """Give the next message, comments included; None when the stream has ended."""
        async with asyncio.timeout(seconds):
            async for line in self.lines:
                found = self.reader.feed(line)
                if found is not None:
                    return found
        return None

    async def event(self, *, seconds: float = 30) -> dict[str, Any]:
        """Give the next event."""
        while True:
            found = await self.message(seconds=seconds)
            assert found is not None, "the stream has ended"
            if found.event == "message" and found.data is not None:
                assert isinstance(found.data, dict)
                return found.data

    async def control(self) -> str:
        """Give the name of the next message that is no event of the clinic."""
        while True:
            found = await self.message()
            assert found is not None, "the stream has ended"
            if found.event != "message":
                return found.event

    async def end(self, *, seconds: float = 30) -> list[dict[str, Any]]:
        """Wait for the end; give the events that came before it."""
        found = []
        while (message := await self.message(seconds=seconds)) is not None:
            if message.event == "message" and message.data is not None:
                found.append(message.data)
        return found


@asynccontextmanager
async def listening(
    client: httpx.AsyncClient, headers: Mapping[str, str], *, last_id: str | None = None
) -> AsyncIterator[Listener]:
    """Listen to a live server within the block."""
    named = dict(headers) if last_id is None else {**headers, "Last-Event-ID": last_id}
    async with client.stream("GET", "/v1/events", headers=named) as answer:
        assert answer.status_code == 200, await answer.aread()
        yield Listener(answer, answer.aiter_lines(), Reader(last_id))
