"""A real server and a real worker, as processes, over a database of their own; their clock can be moved ahead."""

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from core.settings import DEVELOPMENT_KEY
from tests.conftest import Database

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 30
STOP_SECONDS = 20


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


@dataclass
class Live:
    """The processes of one installation; `folder` holds their clock, their mail and their logs."""

    database: Database
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def clock(self) -> Path:
        return self.folder / "ahead"

    @property
    def now(self) -> datetime:
        """What the processes think the time is."""
        return datetime.now(UTC) + timedelta(seconds=float(self.clock.read_text()))

    def move_to(self, at: datetime) -> None:
        """Let the clock of all processes show `at`."""
        fresh = self.folder / "ahead.new"
        fresh.write_text(str((at - datetime.now(UTC)).total_seconds()))
        fresh.rename(self.clock)

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            "PHYSIO_ENVIRONMENT": "test",
            "PHYSIO_PORT": str(self.port),
            "PHYSIO_DATA_DIR": str(self.folder),
            "PHYSIO_API_DATABASE_URL": self.database.api,
            "PHYSIO_WORKER_DATABASE_URL": self.database.worker,
            "PHYSIO_SWEEPER_DATABASE_URL": self.database.sweeper,
            "PHYSIO_SECRET_KEY": DEVELOPMENT_KEY,
            "PHYSIO_RATE_PER_SECOND": "0",
            "PHYSIO_CLOCK_FILE": str(self.clock),
        }
        return {**os.environ, **ours, **self.settings}

    def start(self, name: str, *arguments: str) -> None:
        """Start `physio <arguments>`; what it says goes to `<name>.log`."""
        if not self.clock.exists():
            self.clock.write_text("0")
        with (self.folder / f"{name}.log").open("ab") as log:
            command = [sys.executable, "-m", "cli", *arguments]
            self.processes[name] = subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=log, stderr=log)

    def start_api(self) -> None:
        self.start("api", "serve")
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                if httpx.get(f"{self.url}/readyz").is_success:
                    return
            except httpx.TransportError:
                pass
            if self.processes["api"].poll() is not None or time.monotonic() > deadline:
                raise AssertionError(self.said("api"))
            time.sleep(0.05)

    def start_worker(self) -> None:
        self.start("worker", "worker")

    def said(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-4000:]

    def stop(self, name: str) -> int:
        """Stop a process as an operator would; return its exit status."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        return process.wait(STOP_SECONDS)

    def stop_all(self) -> None:
        for name in list(self.processes):
            self.stop(name)
