"""A load generator that stays out of the way: raw sockets, prepared bytes, its own process.

`python -m benchmarks.load PLAN` reads a plan (see `Plan`), sends its requests over keep-alive connections to the
loopback, and prints what came back as JSON. Requests are bounded by the plan; nothing is retried.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import cast

import uvloop

LIMIT = 200_000
"""Most requests of one plan."""

TIME_LIMIT = 120
"""Seconds after which a run is given up."""


@dataclass(frozen=True)
class Request:
    """One request; `body` is JSON text, or empty for none."""

    method: str
    path: str
    token: str
    body: str = ""

    def encoded(self, port: int) -> bytes:
        """Give the bytes that go over the wire."""
        lines = [
            f"{self.method} {self.path} HTTP/1.1",
            f"host: 127.0.0.1:{port}",
            f"authorization: Bearer {self.token}",
        ]
        body = self.body.encode()
        if body:
            lines += ["content-type: application/json", f"content-length: {len(body)}"]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Outcome:
    """What one run gave: how many answers by status, the time from first to last (s), each latency (ms)."""

    statuses: dict[str, int]
    seconds: float
    latencies: list[float]

    @property
    def per_second(self) -> float:
        """Requests answered per second."""
        return len(self.latencies) / self.seconds

    @property
    def p50(self) -> float:
        """The median of latency, ms."""
        return median(self.latencies)

    @property
    def p95(self) -> float:
        """The 95th percentile of latency, ms."""
        return quantiles(self.latencies, n=20)[-1] if len(self.latencies) > 1 else self.latencies[0]


class WrongAnswerError(Exception):
    """A server did not answer as it should; a figure would mean nothing."""


def run(port: int, clients: int, requests: Sequence[Request], folder: Path) -> Outcome:
    """Send the requests from a process of their own. Raises WrongAnswerError unless every one is answered with 2xx."""
    plan = folder / "plan.json"
    plan.write_text(json.dumps({"port": port, "clients": clients, "requests": [asdict(each) for each in requests]}))
    command = [sys.executable, "-m", "benchmarks.load", str(plan)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, timeout=TIME_LIMIT)
    outcome = Outcome(**json.loads(done.stdout))
    if sum(count for status, count in outcome.statuses.items() if status.startswith("2")) != len(requests):
        raise WrongAnswerError(f"{requests[0].method} {requests[0].path}: {outcome.statuses}")
    return outcome


class Client(asyncio.Protocol):
    """One keep-alive connection: the next request goes out when the answer to the one before is complete."""

    def __init__(self, queue: Iterator[bytes], statuses: Counter[str], latencies: list[float]) -> None:
        self.queue = queue
        self.statuses = statuses
        self.latencies = latencies
        self.finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._buffer = b""
        self._began = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass

    def send(self) -> None:
        request = next(self.queue, None)
        if request is None:
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._buffer[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        length = int(head[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(self._buffer) < end + 4 + length:
            return
        self.latencies.append((time.perf_counter() - self._began) * 1000)
        self.statuses[head[9:12].decode()] += 1
        self._buffer = b""
        self.send()

    def connection_lost(self, _error: Exception | None) -> None:
        if not self.finished.done():
            self.finished.set_result(None)


async def send_all(port: int, clients: int, requests: Sequence[bytes]) -> Outcome:
    """Share the requests among the clients, all of which are connected before the first is sent."""
    loop = asyncio.get_running_loop()
    statuses: Counter[str] = Counter()
    latencies: list[float] = []
    queue = iter(requests)
    connected = [
        (await loop.create_connection(lambda: Client(queue, statuses, latencies), "127.0.0.1", port))[1]
        for _ in range(clients)
    ]
    began = time.perf_counter()
    for client in connected:
        client.send()
    async with asyncio.timeout(TIME_LIMIT):
        await asyncio.gather(*(client.finished for client in connected))
    return Outcome(dict(statuses), time.perf_counter() - began, latencies)


def main(path: str) -> None:
    """Run the plan in the file."""
    plan = json.loads(Path(path).read_text())
    requests = [Request(**each).encoded(plan["port"]) for each in plan["requests"][:LIMIT]]
    print(json.dumps(asdict(uvloop.run(send_all(plan["port"], plan["clients"], requests)))))


if __name__ == "__main__":
    main(sys.argv[1])
