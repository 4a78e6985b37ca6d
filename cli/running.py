"""Everything on one machine: database, API and worker under one roof, until Ctrl-C."""

import ctypes
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from rich.panel import Panel

from cli.environment import console, exported
from core.settings import Settings

READY_SECONDS = 60
STOP_SECONDS = 10
"""The worker lets its jobs finish for 8 seconds; the rest needs less."""
LOST_SECONDS = 2
"""Without a database there is nothing left to finish."""
DEMO = ("admin@demo.example", "therapist@demo.example", "patient@demo.example")
PASSWORD = "physio-demo-2026"  # noqa: S105 - fictional people, loopback only

_libc = ctypes.CDLL(None)


class StopRequest:
    """Whether Ctrl-C or SIGTERM came.

    A plain flag: an exception out of a handler may land where it is lost, and a `threading.Event` may lock itself out
    when a handler sets it while the same thread waits for it.
    """

    made = False


class Household:
    """The child processes; when one that should run ends, all end."""

    def __init__(self, settings: Settings) -> None:
        self.environment = {**os.environ, **exported(settings)}
        self.environment.pop("PHYSIO_DATABASE_URL", None)  # no child needs to own the schema
        self.logs = settings.data_dir / "logs"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.children: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str, *arguments: str) -> None:
        """Start `physio <arguments>` in a session of its own: Ctrl-C reaches us, and we pass it on in order."""
        with (self.logs / f"{name}.log").open("ab") as log:
            said = None if name == "demo" else log  # the demo clinic shows a progress bar
            self.children[name] = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "cli", *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one libc call, nothing of Python's is touched
            )

    def last_words(self, name: str) -> str:
        """Give the end of what a child wrote."""
        log = self.logs / f"{name}.log"
        return log.read_text(errors="replace")[-1500:] if log.exists() else ""

    def ended(self) -> tuple[str, int] | None:
        """Give a child that ended, and its exit status; one that ended well and was not meant to stay is forgotten."""
        for name, child in list(self.children.items()):
            status = child.poll()
            if status is not None:
                if status == 0 and name not in {"api", "worker"}:
                    del self.children[name]
                    continue
                return name, status
        return None

    def stop(self, seconds: float) -> None:
        """Ask every child to finish, and insist after so many seconds."""
        for child in self.children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + seconds
        for child in self.children.values():
            try:
                child.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def claim(settings: Settings) -> None:
    """See that the port is free, before anything starts. Raises SystemExit with what to do when it is not."""
    host, port = settings.host, settings.port
    kind = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(kind) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind((host, port))
        except OSError as error:
            raise SystemExit(f"physio: {_taken(settings, error.strerror or '')}") from None


def _taken(settings: Settings, why: str) -> str:
    """Say who has the port, as far as can be told, and what to do."""
    from dev.ground import BESIDE  # noqa: PLC0415
    from dev.postgres import EmbeddedPostgres  # noqa: PLC0415

    address = f"{settings.host}:{settings.port}"
    holder = EmbeddedPostgres(settings.data_dir).holder
    if holder is not None:
        return (
            f"Physio runs here already: process {holder} has the database in {settings.data_dir.absolute()}, and"
            f" {address} is taken.\nUse it: http://{address}/docs\nStop it: Ctrl-C in its terminal, or kill {holder}\n"
            f"Start a second one beside it: {BESIDE}"
        )
    who = "another Physio, with a data folder of its own, is there" if _is_physio(address) else why
    return f"cannot listen on {address} ({who}). Choose another port: PHYSIO_PORT=8001 make run"


def _is_physio(address: str) -> bool:
    """Tell whether what listens there answers as our API does."""
    try:
        with urllib.request.urlopen(f"http://{address}/livez", timeout=1) as answer:
            return "x-request-id" in answer.headers
    except OSError:  # URLError is one
        return False
    except http.client.HTTPException:  # something that speaks, but not HTTP
        return False


def run(settings: Settings, *, fill: bool, database_is_up: Callable[[], bool]) -> int:
    """Run API and worker until Ctrl-C; `fill` lets the demo clinic be made meanwhile. Returns the exit status.

    When the API, the worker or the embedded database ends by itself, the rest is stopped too.
    """
    household = Household(settings)
    with _signals() as asked_to_stop:
        try:
            household.start("api", "serve")
            if _wait_until_ready(settings, household, lambda: asked_to_stop.made or not database_is_up()):
                _tell(settings, fill=fill)
                # The demo clinic's days are lived on a clock of their own: the worker, on ours, would close them
                # meanwhile. So it comes after, and a demo clinic that was interrupted is made anew the next time.
                if fill:
                    unfinished(settings).touch()
                    household.start("demo", "demo")
                else:
                    household.start("library", "library", "sync")
            found = None
            while not asked_to_stop.made and (found := household.ended()) is None and database_is_up():
                if household.children.keys().isdisjoint({"worker", "demo"}):
                    unfinished(settings).unlink(missing_ok=True)
                    household.start("worker", "worker")
                time.sleep(0.1)
            if asked_to_stop.made:
                console.print("physio: stopping")
                return 0
            name, status = found or ("the database", 1)
            console.print(household.last_words(name), markup=False)
            console.print(f"[red]physio: {name} ended with status {status}; stopping the rest[/red]")
            return status or 1
        finally:
            household.stop(STOP_SECONDS if database_is_up() else LOST_SECONDS)


def unfinished(settings: Settings) -> Path:
    """Give the file that is there while the demo clinic is being made."""
    return settings.data_dir / "demo-unfinished"


def _wait_until_ready(settings: Settings, household: Household, in_vain: Callable[[], bool]) -> bool:
    """Wait for the first ready answer; false once that is in vain. Raises SystemExit when none comes."""
    deadline = time.monotonic() + READY_SECONDS
    url = f"http://{settings.host}:{settings.port}/readyz"
    while time.monotonic() < deadline:
        if in_vain():
            return False
        found = household.ended()
        if found is not None:
            console.print(household.last_words(found[0]), markup=False)
            raise SystemExit(f"physio: the API did not start (status {found[1]}); is port {settings.port} in use?")
        try:
            with urllib.request.urlopen(url, timeout=1):
                return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise SystemExit(f"physio: no answer from {url} within {READY_SECONDS} s")


def _tell(settings: Settings, *, fill: bool) -> None:
    address = f"http://{settings.host}:{settings.port}"
    lines = [f"API        {address}/v1", f"Try it     {address}/docs", f"OpenAPI    {address}/openapi.json"]
    if settings.demo:
        lines += ["", *(f"Sign in    {each}" for each in DEMO), f"Password   {PASSWORD}"]
    if fill:
        lines += ["", "The demo clinic is being made: its sign-ins work in about half a minute."]
    lines += ["", f"Logs       {settings.data_dir / 'logs'}", "Ctrl-C stops everything; the data stays."]
    console.print(Panel("\n".join(lines), title="Physio", expand=False))


@contextmanager
def _signals() -> Iterator[StopRequest]:
    """Let Ctrl-C and SIGTERM make the request that is given here."""
    asked_to_stop = StopRequest()

    def stop(_number: int, _frame: FrameType | None) -> None:
        asked_to_stop.made = True

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked_to_stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _end_with_parent() -> None:
    """Ask the kernel to send us SIGTERM should the parent be killed; Linux only."""
    if sys.platform == "linux":
        _libc.prctl(1, signal.SIGTERM)
