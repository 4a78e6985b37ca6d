"""Live updates: one task per process asks the database what happened, and hands it to all who listen.

It asks each second, per clinic somebody listens in, within one short transaction that is bound to the clinic like every
other; between rounds it holds no connection, and without listeners it does not run. Who may know is asked anew for
every event that is handed out: the sign-in and the care links as they are at that moment. A listener holds a socket and
at most a page of events that were just decided on; one that is too slow is let go, and goes on where it was.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import Context
from dataclasses import dataclass, field
from uuid import UUID

import asyncpg
import structlog
from fastapi.sse import format_sse_event
from sqlalchemy.ext.asyncio import AsyncSession

from core import clock
from core.crypto import Key
from core.database import TROUBLE, Sessions, begin_bound, commit, lending
from core.errors import TooMany, Unavailable
from schemas.events import LiveEvent
from services import authentication, events
from services.access import Actor
from services.events import Bookmark, Happened, Position

POLL_SECONDS = 1.0
"""Between two rounds; a round that takes long is followed by a rest of twice its length."""
MOMENT_SECONDS = 0.05
AGAIN_SECONDS = 0.2
"""After a round that failed; doubled up to POLL_SECONDS."""
HEARTBEAT_SECONDS = 15.0
CHECK_SECONDS = 5.0
"""How soon a sign-in that has ended ends a stream on which nothing is sent; where something is, it is asked first."""
STALE_SECONDS = 2.0
"""For so long a decision to tell something stands; a listener who has not taken it by then is let go."""
LIFE_SECONDS = 3600.0
"""No stream lives longer, whatever its sign-in says."""
PATIENCE_SECONDS = 5.0
"""For so much longer than it asked a listener with an end waits for the first round."""
SETTLED_SECONDS = 2.0
"""After so long a transaction's number is sure not to be used again, should the database crash: a commit that does not
wait for the disk is on it within less than a second."""
PER_ACCOUNT = 10
PER_PROCESS = 500
"""Streams; the server refuses new connections from 1000 on."""
FULL_SECONDS = 10
"""After so long it is worth trying again."""
PAGE = 100
"""Events of one clinic read at once, and so the most that waits for one listener."""
LINE_SECONDS = 1.5

_READS = ("transaction_read_only = on", "statement_timeout = '2s'")

log = structlog.get_logger(__name__)


class TooManyStreams(TooMany):
    """You listen in too many places at once: close one."""


class _OtherDatabaseError(Exception):
    """Its transactions are counted from elsewhere: what was known means nothing there."""


@dataclass(eq=False)
class Stream:
    """One listener.

    bookmark: up to where everything was decided on; None until the first round, then with `lost` true if the client is
    to load everything anew. behind: it is being brought up to the others. until: when it wants to end, on the monotonic
    clock.
    """

    actor: Actor
    fingerprint: bytes
    bookmark: Bookmark | None
    lost: bool
    until: float
    checked: float
    behind: bool = True
    ended: bool = False
    waiting: deque[tuple[float, bytes]] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def position(self) -> Position:
        """Up to where everything was decided on."""
        assert self.bookmark is not None
        return self.bookmark.position

    def give(self, frame: bytes) -> None:
        """Hand something over that was decided on just now."""
        self.waiting.append((time.monotonic(), frame))
        self.news.set()

    def end(self) -> None:
        """Tell nothing more, what waits included."""
        self.ended = True
        self.news.set()

    def lose(self) -> None:
        """Forget where it is: it begins anew, and the client is told to load everything."""
        self.bookmark, self.lost, self.behind = None, True, True

    @property
    def too_slow(self) -> bool:
        """Whether it has not taken in time what waits for it."""
        return bool(self.waiting) and time.monotonic() - self.waiting[0][0] > STALE_SECONDS


class Live:
    """All listeners of this process, and the one task that asks for them."""

    def __init__(self, sessions: Callable[[], Sessions | None], gate: asyncio.Semaphore, key: Key) -> None:
        """gate: places that have a connection, as requests take them. key: seals the ids of events."""
        self._sessions = sessions
        self._gate = gate
        self._key = key
        self._streams: dict[Stream, None] = {}
        self._accounts: Counter[UUID] = Counter()
        self._horizons: deque[tuple[float, int]] = deque()
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self.rounds = 0

    def __len__(self) -> int:
        """How many listen."""
        return len(self._streams)

    # ------------------------------------------------------------------ listeners

    def admit(self, actor: Actor) -> None:
        """See that there is room for one more. Raises TooManyStreams, and Unavailable when the process is full."""
        if self._accounts[actor.account_id] >= PER_ACCOUNT:
            raise TooManyStreams(FULL_SECONDS)
        if self._closed or len(self._streams) >= PER_PROCESS:
            raise Unavailable(FULL_SECONDS)

    @contextmanager
    def joined(
        self, actor: Actor, fingerprint: bytes, bookmark: Bookmark | None, *, lost: bool, seconds: float | None
    ) -> Iterator[Stream]:
        """Listen within the block. seconds: how long at most; 0 for what there is already."""
        now = time.monotonic()
        until = now + LIFE_SECONDS if seconds is None else now + min(seconds, LIFE_SECONDS)
        stream = Stream(actor, fingerprint, bookmark, lost, until, now, ended=self._closed)
        if bookmark is not None:
            self._begin(stream)
        self._streams[stream] = None
        self._accounts[actor.account_id] += 1
        self._wanted.set()
        if self._task is None and not self._closed:
            # A context of its own: the request that came first must not lend its id to the log of all rounds.
            self._task = asyncio.get_running_loop().create_task(self._run(), name="live", context=Context())
        try:
            yield stream
        finally:
            del self._streams[stream]
            self._accounts[actor.account_id] -= 1
            if not self._accounts[actor.account_id]:
                del self._accounts[actor.account_id]
            if not self._streams:
                self._wanted.set()

    async def frames(self, stream: Stream) -> AsyncIterator[bytes]:
        """Give what the listener is to be sent, as it comes, until his stream ends."""
        while True:
            while stream.waiting and not stream.ended and not stream.too_slow:
                yield stream.waiting.popleft()[1]
            if stream.behind:
                self._wanted.set()  # he has taken what there was
            left = stream.until - time.monotonic()
            over = left <= 0 and (not stream.behind or left < -PATIENCE_SECONDS)
            if stream.ended or over or stream.too_slow:
                return
            stream.news.clear()
            try:
                async with asyncio.timeout(min(HEARTBEAT_SECONDS, left if left > 0 else PATIENCE_SECONDS)):
                    await stream.news.wait()
            except TimeoutError:
                if not stream.waiting:
                    yield format_sse_event(comment="still here", id=self._id(stream))

    def close(self) -> None:
        """End every stream at once; the process stops."""
        self._closed = True
        self._wanted.set()
        for stream in self._streams:
            stream.end()

    async def stop(self) -> None:
        """End every stream, and wait for the task."""
        self.close()
        if self._task is not None:
            await self._task

    def _begin(self, stream: Stream) -> None:
        """Tell a listener from where he would go on, and whether to load everything anew."""
        stream.give(format_sse_event(event="reset" if stream.lost else "ready", data_str="{}", id=self._id(stream)))
        stream.lost = False

    def _id(self, stream: Stream) -> str | None:
        """Give the id from which the listener would go on."""
        if stream.bookmark is None:
            return None
        return events.cursor_of(stream.bookmark, stream.actor.clinic_id, key=self._key)

    # ------------------------------------------------------------------ the one who asks

    async def _run(self) -> None:
        failing = 0.0
        try:
            while self._streams and not self._closed:
                self._wanted.clear()
                began = time.monotonic()
                try:
                    await self._round()
                except _OtherDatabaseError:
                    log.warning("live_updates_start_anew")
                    self._horizons.clear()
                    for stream in self._streams:
                        stream.lose()
                    await asyncio.sleep(AGAIN_SECONDS)
                except TROUBLE as error:
                    self._unsettle()
                    if not failing:
                        log.warning("live_updates_wait", reason=type(error).__name__)
                    failing = min(2 * failing, POLL_SECONDS) or AGAIN_SECONDS
                    await asyncio.sleep(failing)
                else:
                    failing = 0.0
                    await self._rest(time.monotonic() - began)
        finally:
            self._task = None
            for stream in self._streams:  # nobody would ever tell them anything
                stream.end()

    async def _rest(self, took: float) -> None:
        """Wait for the next round; somebody new is served almost at once, with all who come in the same moment.

        took: seconds of the last round; it rests at least as long as it works.
        """
        try:
            async with asyncio.timeout(max(POLL_SECONDS, 2 * took)):
                await self._wanted.wait()
                await asyncio.sleep(max(MOMENT_SECONDS, took))
        except TimeoutError:
            pass

    async def _round(self) -> None:
        self.rounds += 1
        for stream in [stream for stream in self._streams if stream.too_slow]:
            stream.end()
        await self._check()
        clinics: dict[UUID, list[Stream]] = {}
        for stream in self._streams:
            if not stream.ended:
                clinics.setdefault(stream.actor.clinic_id, []).append(stream)
        for clinic_id, streams in clinics.items():
            await self._serve(clinic_id, streams)

    async def _check(self) -> None:
        """Ask whether the sign-ins are still good of those to whom nothing was sent for a while."""
        now = time.monotonic()
        due = [stream for stream in self._streams if now - stream.checked > CHECK_SECONDS and not stream.ended]
        if due:
            async with self._session() as session:
                await self._still_signed_in(session, due)

    async def _still_signed_in(self, session: AsyncSession, streams: Sequence[Stream]) -> Mapping[Stream, Actor]:
        """Give who the listeners are now; a stream whose sign-in has ended ends, too."""
        known = await authentication.callers(session, {stream.fingerprint for stream in streams}, at=clock.now())
        now = time.monotonic()
        found = {}
        for stream in streams:
            actor = known.get(stream.fingerprint)
            if actor is None:
                stream.end()
            else:
                stream.checked = now
                found[stream] = actor
        return found

    async def _serve(self, clinic_id: UUID, streams: Sequence[Stream]) -> None:
        """Bring the listeners of a clinic up to now; those far behind by one page."""
        for stream in streams:
            stream.behind = stream.behind or bool(stream.waiting)  # who is slow gets no more until he has taken that
        new = [stream for stream in streams if stream.bookmark is None]
        level = [stream for stream in streams if not stream.behind]
        behind = [stream for stream in streams if stream.behind and not stream.waiting and stream not in new]
        for group, bring in ((new, self._place), (level, self._keep_up), (behind, self._catch_up)):
            if group:
                try:
                    async with self._session() as session:
                        await begin_bound(session, clinic_id, *_READS)
                        await bring(session, clinic_id, group)
                        await commit(session)
                except asyncpg.QueryCanceledError:  # too much to look through: loading everything costs less
                    for stream in group:
                        stream.lose()

    async def _place(self, session: AsyncSession, clinic_id: UUID, streams: Sequence[Stream]) -> None:
        """Let new listeners begin now, and tell each from where he would go on."""
        self._note(await events.horizon(session, clinic_id))
        for stream in streams:
            stream.bookmark = Bookmark(self._settled, clock.now())
            stream.behind = False
            self._begin(stream)

    async def _keep_up(self, session: AsyncSession, clinic_id: UUID, streams: Sequence[Stream]) -> None:
        while streams and not await self._tell(session, clinic_id, streams):
            for stream in streams:  # who has yet to take this page asks for the next one by himself
                stream.behind = stream.behind or bool(stream.waiting)
            streams = [stream for stream in streams if not stream.waiting and stream.bookmark is not None]

    async def _catch_up(self, session: AsyncSession, clinic_id: UUID, streams: Sequence[Stream]) -> None:
        done = await self._tell(session, clinic_id, streams)
        for stream in streams:
            stream.behind = not done or stream.bookmark is None
            stream.news.set()
        if not done:
            self._wanted.set()

    async def _tell(self, session: AsyncSession, clinic_id: UUID, streams: Sequence[Stream]) -> bool:
        """Read on from where the last of these listeners is, and tell each what he may know.

        Gives whether that was all there is.
        """
        stretch = await events.read(session, clinic_id, min(stream.position for stream in streams), limit=PAGE)
        self._note(stretch.horizon)
        for stream in [stream for stream in streams if stream.position.xid > stretch.horizon]:
            stream.lose()  # his place is one of another database
            self._wanted.set()
        streams = [stream for stream in streams if stream.bookmark is not None]
        if stretch.happened:
            actors = await self._still_signed_in(session, streams)
            at = clock.now()
            treated = await events.treated_by(session, list(actors.values()), stretch.happened, at=at)
            written: dict[Bookmark, bytes] = {}
            for stream, actor in actors.items():
                assert stream.bookmark is not None
                for one in stretch.happened:
                    if one.position > stream.position and events.reaches(actor, one, treated):
                        bookmark = Bookmark(one.position, stream.bookmark.at if stream.behind else at)
                        if bookmark not in written:
                            written[bookmark] = self._frame(clinic_id, one, bookmark)
                        stream.give(written[bookmark])
        end = stretch.happened[-1].position if stretch.happened else None
        for stream in streams:
            self._move(stream, end, complete=stretch.complete)
        return stretch.complete

    def _frame(self, clinic_id: UUID, one: Happened, bookmark: Bookmark) -> bytes:
        told = LiveEvent(
            type=one.kind.type,
            resource_type=one.kind.type.partition(".")[0],
            resource_id=one.resource_id,
            patient_id=one.patient_id,
            at=one.at,
        )
        return format_sse_event(
            data_str=told.model_dump_json(), id=events.cursor_of(bookmark, clinic_id, key=self._key)
        )

    def _move(self, stream: Stream, end: Position | None, *, complete: bool) -> None:
        """Note up to where everything was decided on for a listener."""
        assert stream.bookmark is not None
        reached = max(stream.position, end or stream.position)
        if complete:
            stream.bookmark = Bookmark(max(reached, self._settled), clock.now())
        else:
            stream.bookmark = Bookmark(reached, stream.bookmark.at)

    # ------------------------------------------------------------------ connections

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[AsyncSession]:
        """Lend a connection for a moment; it is waited for in line with the requests."""
        sessions = self._sessions()
        if sessions is None:
            raise TimeoutError
        async with asyncio.timeout(LINE_SECONDS):
            await self._gate.acquire()
        try:
            async with lending(sessions) as session:
                yield session
        finally:
            self._gate.release()

    # ------------------------------------------------------------------ numbers of transactions

    def _note(self, horizon: int) -> None:
        now = time.monotonic()
        if self._horizons and horizon < self._horizons[-1][1]:
            raise _OtherDatabaseError
        self._horizons.append((now, horizon))
        while len(self._horizons) > 1 and now - self._horizons[1][0] > SETTLED_SECONDS:
            self._horizons.popleft()

    @property
    def _settled(self) -> Position:
        """Up to here no crash can make a number be used again."""
        return Position(self._horizons[0][1], events.FIRST)

    def _unsettle(self) -> None:
        """Forget what was seen in the last moments before the database went away."""
        if self._horizons:
            newest = self._horizons[-1][0]
            while len(self._horizons) > 1 and newest - self._horizons[-1][0] <= SETTLED_SECONDS:
                self._horizons.pop()
