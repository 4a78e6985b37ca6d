"""The house under attack: real processes over a real database, killed and started again, on a clock of their own."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import psycopg

from tests import nursery
from tests.conftest import Database
from tests.live import ROOT, environment, free_port

START_SECONDS = 60
STOP_SECONDS = 30


class Child:
    """One process of ours (`serve` or `worker`) that is killed and started again; its log is one file."""

    def __init__(self, command: str, env: dict[str, str], log: Path, url: str = "", *, cold: bool = True) -> None:
        """command: of `physio`. url: where it answers, for the API. cold: loads its libraries itself, as in a clinic."""
        self.command, self.env, self.log, self.url, self.cold = command, env, log, url, cold
        self.starts = 0
        self.process: subprocess.Popen[bytes] | nursery.Child | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        assert not self.running
        self.starts += 1
        with self.log.open("ab") as said, Path(os.devnull).open("rb") as nothing:
            if not self.cold:
                self.process = nursery.Child([self.command], self.env, nothing.fileno(), said.fileno(), said.fileno())
                return
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", self.command],
                cwd=ROOT,
                env=self.env,
                stdin=nothing,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def kill(self) -> None:
        """End it as a crash would: nothing of it runs on."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def ended(self, seconds: float) -> bool:
        """Wait for its end; tell whether it came."""
        assert self.process is not None
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def wait_until_ready(self) -> None:
        until(self._ready, START_SECONDS, lambda: f"not ready: {self.last_words}")

    def _ready(self) -> bool:
        assert self.running, f"`{self.command}` ended by itself: {self.last_words}"
        try:
            with urllib.request.urlopen(f"{self.url}/readyz", timeout=2):
                return True
        except OSError:  # nobody answers, or says that he is not ready
            return False

    @property
    def last_words(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")[-3000:]

    def stop(self) -> None:
        """End it as an operator would."""
        if self.process is None:
            return
        if self.running:
            self.process.send_signal(signal.SIGINT)
        if not self.ended(STOP_SECONDS):
            self.kill()
            raise AssertionError(f"`{self.command}` did not stop within {STOP_SECONDS} s")


@dataclass
class House:
    """A database, a folder for logs and mail, a clock, and the processes that were started over them."""

    database: Database
    folder: Path
    cold: bool = True

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.children: list[Child] = []
        self.clock = self.folder / "ahead"
        self.clock.write_text("0")

    @property
    def now(self) -> datetime:
        """What the processes think the time is."""
        return datetime.now(UTC) + timedelta(seconds=float(self.clock.read_text()))

    def move_to(self, at: datetime) -> None:
        """Let the clock of all processes show `at`."""
        self._set((at - datetime.now(UTC)).total_seconds())

    def move_on(self, by: timedelta) -> None:
        """Let the clock of all processes jump ahead."""
        self._set(float(self.clock.read_text()) + by.total_seconds())

    def _set(self, ahead: float) -> None:
        fresh = self.folder / "ahead.new"
        fresh.write_text(str(ahead))
        fresh.rename(self.clock)

    def api(self, **settings: Any) -> Child:
        """Make the API's process, not started yet; it keeps its port however often it is killed."""
        port = free_port()
        return self._child("serve", "api", f"http://127.0.0.1:{port}", port=port, **settings)

    def worker(self, number: int = 1, **settings: Any) -> Child:
        """Make a worker's process, not started yet."""
        return self._child("worker", f"worker-{number}", "", **settings)

    def _child(self, command: str, name: str, url: str, **settings: Any) -> Child:
        env = environment(self.database, self.folder, clock_file=self.clock, **settings)
        env = {name: value for name, value in env.items() if not name.startswith("SLIPCOVER_")}
        child = Child(command, env, self.folder / f"{name}.log", url, cold=self.cold)
        self.children.append(child)
        return child

    @contextmanager
    def rows(self) -> Iterator["psycopg.Connection[Any]"]:
        """Look at everything, as the superuser; each statement is a transaction of its own."""
        with psycopg.connect(self.database.superuser.replace("+asyncpg", ""), autocommit=True) as connection:
            yield connection

    def value(self, sql: str, *values: Any) -> Any:
        """Ask for one value."""
        with self.rows() as rows:
            row = rows.execute(sql, values or None).fetchone()
        return None if row is None else row[0]

    def close(self) -> None:
        """Stop whatever still runs."""
        for child in self.children:
            child.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        if kind is None:
            self.close()
            return
        for child in self.children:  # something is wrong already: leave nothing behind, and let that be told
            if child.running:
                child.kill()


def until(
    condition: Callable[[], bool], seconds: float, why: Callable[[], str] = lambda: "", pause: float = 0.05
) -> float:
    """Wait until the condition holds; give the seconds it took. Fails after `seconds`, saying why."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s. {why()}"
        time.sleep(pause)
    return time.monotonic() - began
