"""Drawing aside: one child process per server, started when first needed.

Drawing holds the interpreter for up to a tenth of a second and takes some 150 MB that are never given back. So it is
done by a child (`services.documents.worker`), which alone loads the libraries. It ends when the parent does, however
the parent ends: its standard input is closed then. It also ends after a while without work and after many drawings, so
that the memory is given back, and the next drawing starts another one. Nothing is written to disk or to a log.
"""

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from weakref import WeakKeyDictionary

import orjson

from core.errors import Unavailable

if TYPE_CHECKING:  # the child, too, comes by here, and starts in half the time without them
    from schemas.reports import ReportSnapshot
    from services.charts import Spec

Form = Literal["svg", "png"]
Paper = Literal["a4", "us-letter"]

TIMEOUT_SECONDS = 20.0
"""How long a drawing may take, the wait for earlier ones included."""

IDLE_SECONDS = 60.0
"""After so long without work the child ends."""

DRAWINGS = 500
"""So many drawings, and the child is replaced."""

QUEUE = 16
"""So many may wait; who comes then is told to come back."""

RETRY_AFTER = 2
ATTEMPTS = 2
LENGTH_BYTES = 4
DRAWN, UNPRINTABLE = b"\x00", b"\x01"

COMMAND: Sequence[str] = (sys.executable, "-m", "services.documents.worker")
ROOT = Path(__file__).resolve().parents[2]


class UnprintableDocumentError(RuntimeError):
    """The document could not be set. Says nothing about its contents, so that none of it reaches a log."""


async def chart(spec: "Spec", form: Form) -> bytes:
    """Draw a Vega-Lite specification. Raises Unavailable."""
    return await _of_this_loop().draw({"draw": form, "spec": spec})


async def progress_report(snapshot: "ReportSnapshot", *, paper: Paper) -> bytes:
    """Draw a report's charts and set it as PDF: the same bytes for the same snapshot.

    Raises Unavailable, UnprintableDocumentError.
    """
    return await _of_this_loop().draw({"draw": "report", "paper": paper, "snapshot": snapshot.model_dump(mode="json")})


async def close() -> None:
    """End the child, if there is one; call it when the server stops."""
    drawer = _DRAWERS.pop(asyncio.get_running_loop(), None)
    if drawer is not None:
        await drawer.close()


@dataclass
class _Drawer:
    """The child of one event loop, and who waits for it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    child: asyncio.subprocess.Process | None = None
    drawn: int = 0
    waiting: int = 0
    idle: asyncio.TimerHandle | None = None

    async def draw(self, request: dict[str, object]) -> bytes:
        """Let the child draw, one thing after the other. Raises Unavailable, UnprintableDocumentError."""
        if self.waiting >= QUEUE:
            raise Unavailable(RETRY_AFTER)
        self.waiting += 1
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS), self.lock:
                return await self._draw(orjson.dumps(request))
        except TimeoutError:
            raise Unavailable(RETRY_AFTER) from None
        finally:
            self.waiting -= 1

    async def _draw(self, request: bytes) -> bytes:
        for _ in range(ATTEMPTS):
            child = await self._running()
            try:
                answer = await _ask(child, request)
            except (OSError, asyncio.IncompleteReadError):  # it is gone; the next one may be luckier
                await self._end()
            except BaseException:  # the time is over, or nobody waits any more: what it answers now must not be read
                self._kill()
                raise
            else:
                await self._rest()
                if answer[:1] == UNPRINTABLE:
                    raise UnprintableDocumentError
                return answer[1:]
        raise Unavailable(RETRY_AFTER)

    async def _running(self) -> asyncio.subprocess.Process:
        """Give the child, started if there is none. In a session of its own: Ctrl-C is for the parent."""
        if self.idle is not None:
            self.idle.cancel()
        if self.child is None:
            self.drawn = 0
            self.child = await asyncio.create_subprocess_exec(
                *COMMAND,
                cwd=ROOT,
                env={name: value for name, value in os.environ.items() if not name.startswith("PHYSIO_")},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        return self.child

    async def _rest(self) -> None:
        """End the child when it has drawn enough, else in a while."""
        self.drawn += 1
        if self.drawn >= DRAWINGS:
            await self._end()
        else:
            self.idle = asyncio.get_running_loop().call_later(IDLE_SECONDS, self._dismiss)

    def _dismiss(self) -> None:
        """Let the idle child go; it ends by itself once its input is closed."""
        child, self.child = self.child, None
        assert child is not None
        assert child.stdin is not None
        child.stdin.close()

    def _kill(self) -> None:
        child, self.child = self.child, None
        if child is not None and child.returncode is None:
            child.kill()

    async def _end(self) -> None:
        child = self.child
        self._kill()
        if child is not None:
            await child.wait()

    async def close(self) -> None:
        """End the child."""
        if self.idle is not None:
            self.idle.cancel()
        await self._end()


async def _ask(child: asyncio.subprocess.Process, request: bytes) -> bytes:
    assert child.stdin is not None
    assert child.stdout is not None
    if child.stdin.is_closing():  # it died before it was asked; uvloop would call writing to it a RuntimeError
        raise BrokenPipeError
    child.stdin.write(len(request).to_bytes(LENGTH_BYTES, "big") + request)
    await child.stdin.drain()
    length = int.from_bytes(await child.stdout.readexactly(LENGTH_BYTES), "big")
    return await child.stdout.readexactly(length)


_DRAWERS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Drawer] = WeakKeyDictionary()


def _of_this_loop() -> _Drawer:
    return _DRAWERS.setdefault(asyncio.get_running_loop(), _Drawer())
