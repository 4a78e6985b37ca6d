"""Live updates over HTTP: Server-Sent Events."""

import asyncio
from contextlib import suppress
from typing import Annotated, Any

from fastapi import Header, Query, Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from api.dependencies import Caller, Now, Session
from api.live import LIFE_SECONDS, Live, Stream
from api.routes import Router
from api.state import state_of
from schemas.events import LiveEvent
from services import authentication, events
from services.access import Actor
from services.events import CURSOR_LIMIT, Bookmark

RETRY_MILLISECONDS = 2_000
SPREAD_MILLISECONDS = 3_000
"""Clients of a process that stops come back over so long, not all in the same moment."""
SEND_SECONDS = 10.0
"""For so long a client may take nothing."""

router = Router("/v1/events", tags=["events"])

EXAMPLE = """\
retry: 2630

event: ready
data: {}
id: gM4pPSGPIl6uhJ3NFJ5AAZ0t3k8QAAAAAAAAVQEAAAAAAAAAAAAAAAAAAAAA

data: {"type":"check_in.answered","resource_type":"check_in","resource_id":"0198c0de-7a11-7000-8000-000000000001",\
"patient_id":"0198c0de-7a11-7000-8000-000000000002","at":"2026-11-21T13:00:00Z"}
id: ZP0qkE2rRtt6v4J6kXgXAZ0t3k8gAAAAAAAAVgUBmMDeehFwAIAAAAAAAAAJ

: still here
id: 9vX1fW6iUXpXn3m2Ck7eAZ0t3lAQAAAAAAAAWgAAAAAAAAAAAAAAAAAAAAAA

"""


class EventStream(StreamingResponse):
    """An answer that goes on until the listener has enough; it begins when its request is over and committed."""

    media_type = "text/event-stream"

    def __init__(
        self, live: Live, actor: Actor, fingerprint: bytes, bookmark: Bookmark | None, *, lost: bool, wait: int | None
    ) -> None:
        """wait: seconds after which it ends by itself."""
        super().__init__((), headers={"X-Accel-Buffering": "no"})
        self.live = live
        self.place = (actor, fingerprint, bookmark)
        self.lost = lost
        self.wait = wait

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's
        """Send what comes, until the stream ends or the client is gone or takes nothing."""
        with self.live.joined(*self.place, lost=self.lost, seconds=self.wait) as stream:
            watch = asyncio.create_task(_watch(receive, stream))
            try:
                await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
                retry = RETRY_MILLISECONDS + hash(self.place[1]) % SPREAD_MILLISECONDS
                await _send(send, f"retry: {retry}\n\n".encode())
                async for frame in self.live.frames(stream):
                    await _send(send, frame)
                await _send(send, b"", more=False)
            except (TimeoutError, OSError):
                stream.end()
            finally:
                watch.cancel()
                with suppress(asyncio.CancelledError):
                    await watch


async def _send(send: Send, body: bytes, *, more: bool = True) -> None:
    async with asyncio.timeout(SEND_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": more})


async def _watch(receive: Receive, stream: Stream) -> None:
    """End the stream when the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    stream.end()


MESSAGE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "event": {"type": "string", "enum": ["ready", "reset"]},
        "data": {
            "type": "string",
            "contentMediaType": "application/json",
            "contentSchema": {"anyOf": [LiveEvent.model_json_schema(), {"type": "object", "maxProperties": 0}]},
        },
        "id": {"type": "string", "maxLength": CURSOR_LIMIT},
        "retry": {"type": "integer"},
    },
    "additionalProperties": False,
}
"""One message of the stream; one with an `event` is about the stream itself, and its data is empty."""

RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Messages as they come, until the client or its sign-in ends; each is as the schema says",
        "content": {"text/event-stream": {"schema": MESSAGE, "example": EXAMPLE}},
    }
}


@router.get("", status_code=200, response_class=EventStream, responses=RESPONSES)
async def follow_events(
    request: Request,
    session: Session,
    actor: Caller,
    now: Now,
    last_event_id: Annotated[
        str | None,
        Header(
            alias="Last-Event-ID", max_length=CURSOR_LIMIT, description="`id` of the last event; goes before `after`"
        ),
    ] = None,
    after: Annotated[
        str | None, Query(max_length=CURSOR_LIMIT, description="The same, for the first request of a client")
    ] = None,
    wait: Annotated[
        int | None,
        Query(ge=0, le=int(LIFE_SECONDS), description="Seconds after which to end; 0: what there is already"),
    ] = None,
) -> EventStream:
    """Follow what happens within your reach as Server-Sent Events, ids only; after `reset` load everything anew."""
    state = state_of(request)
    state.live.admit(actor)
    cursor = last_event_id or after or None
    bookmark = await events.follow(session, actor, cursor, key=state.tokens.key, at=now)
    fingerprint = authentication.fingerprint(_token(request), tokens=state.tokens)
    return EventStream(
        state.live, actor, fingerprint, bookmark, lost=cursor is not None and bookmark is None, wait=wait
    )


def _token(request: Request) -> str:
    return request.headers["authorization"].partition(" ")[2].strip()
