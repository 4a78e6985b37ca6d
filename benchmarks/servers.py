"""Processes that are measured: one API process, the floor, and the whole house on existing data."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from dev.cluster import DATABASE, Cluster

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 30
STOP_SECONDS = 30
SECRET = "benchmarks only: the clinics it protects are made of numbers"  # noqa: S105


class NotStartedError(Exception):
    """A server gave no answer in time; its last words are in the message."""


@dataclass(frozen=True)
class Running:
    """A server process that answers."""

    port: int
    pid: int
    started_in: float
    """Seconds from its start to its first answer."""

    def rss(self) -> float:
        """Resident memory of the process now, MiB."""
        return float(psutil.Process(self.pid).memory_info().rss) / 2**20


def free_port() -> int:
    """Give a loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def api(cluster: Cluster, folder: Path, database: str = DATABASE) -> Iterator[Running]:
    """Run one API process over a database, as `physio serve` does."""
    port = free_port()
    environment = {
        "PHYSIO_PORT": str(port),
        "PHYSIO_SECRET_KEY": SECRET,
        "PHYSIO_RATE_PER_SECOND": "0",
        "PHYSIO_API_DATABASE_URL": cluster.url("physio_api", database),
        "PHYSIO_WORKER_DATABASE_URL": cluster.url("physio_worker", database),
        "PHYSIO_SWEEPER_DATABASE_URL": cluster.url("physio_sweeper", database),
    }
    with _running(["cli", "serve"], environment, port, folder / "api.log") as running:
        yield running


@contextmanager
def floor(cluster: Cluster, folder: Path) -> Iterator[Running]:
    """Run the floor, one process."""
    port = free_port()
    url = cluster.url("physio_api", driver="postgresql")
    environment = {"FLOOR_PORT": str(port), "FLOOR_DATABASE_URL": url}
    with _running(["benchmarks.floor"], environment, port, folder / "floor.log") as running:
        yield running


@contextmanager
def house(folder: Path) -> Iterator[Running]:
    """Run everything over the data in `folder`, as `physio up --no-demo` does."""
    port = free_port()
    environment = {"PHYSIO_PORT": str(port), "PHYSIO_DATA_DIR": str(folder)}
    with _running(["cli", "up", "--no-demo"], environment, port, folder / "up.log") as running:
        yield running


@contextmanager
def _running(arguments: list[str], environment: Mapping[str, str], port: int, log: Path) -> Iterator[Running]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PHYSIO_")}
    began = time.perf_counter()
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            env={**clean, **environment},
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
    try:
        yield Running(port, process.pid, _wait(process, port, log, began))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path, began: float) -> float:
    while process.poll() is None and time.perf_counter() - began < READY_SECONDS:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                return time.perf_counter() - began
        except (urllib.error.URLError, OSError):
            time.sleep(0.01)
    raise NotStartedError("\n".join(log.read_text(errors="replace").splitlines()[-8:]))
