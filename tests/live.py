"""A real server process, and a real worker, on a database of their own: what journeys and the contract test talk to."""

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.settings import DEVELOPMENT_KEY
from tests.conftest import Database
from tests.nursery import Child

ROOT = Path(__file__).parents[1]
START_SECONDS = 60
STOP_SECONDS = 30


@dataclass(frozen=True)
class Live:
    """A running process. `url` is where the API answers (empty for a worker), `log` what it said."""

    url: str
    process: Child
    log: Path

    @property
    def said(self) -> str:
        """Everything that the process has written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")


def environment(database: Database, folder: Path, **settings: Any) -> dict[str, str]:
    """Give the environment of a process on this database; `settings` are named as in `core.settings`."""
    known: Mapping[str, Any] = {
        "environment": "test",
        "api_database_url": database.api,
        "worker_database_url": database.worker,
        "sweeper_database_url": database.sweeper,
        "secret_key": DEVELOPMENT_KEY,
        "data_dir": folder,
        "rate_per_second": 0,
        "host": "127.0.0.1",
    } | settings
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PHYSIO_")}
    return kept | {f"PHYSIO_{name.upper()}": str(value) for name, value in known.items()}


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def serving(database: Database, folder: Path, **settings: Any) -> Iterator[Live]:
    """Run the API until the end of the block; it stops by itself when asked, with status 0."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with _running(["serve"], environment(database, folder, port=port, **settings), folder / "api.log", url) as live:
        _wait_until_ready(live)
        yield live


@contextmanager
def working(database: Database, folder: Path, **settings: Any) -> Iterator[Live]:
    """Run the worker until the end of the block."""
    with _running(["worker"], environment(database, folder, **settings), folder / "worker.log") as live:
        yield live


@contextmanager
def _running(command: list[str], env: dict[str, str], log: Path, url: str = "") -> Iterator[Live]:
    with log.open("wb") as said:
        # What a live process runs, other tests run too.
        env = {name: value for name, value in env.items() if not name.startswith("SLIPCOVER_")}
        with Path(os.devnull).open("rb") as nothing:
            process = Child(command, env, nothing.fileno(), said.fileno(), said.fileno())
    live = Live(url, process, log)
    try:
        yield live
        assert process.poll() is None, f"`{' '.join(command)}` ended by itself:\n{live.said[-4000:]}"
    finally:
        # SIGINT is Ctrl-C: the process ends its work.
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _wait_until_ready(live: Live) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert live.process.poll() is None, f"the API did not start:\n{live.said[-4000:]}"
        try:
            # urllib's opener costs next to nothing; a client of httpx reads the system's certificates each time.
            with urllib.request.urlopen(f"{live.url}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"not ready within {START_SECONDS} s:\n{live.said[-4000:]}")
