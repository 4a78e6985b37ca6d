"""The worker is killed between the commit and the letter, again and again: each letter still arrives.

The mail server is real and stands in this process. It kills the worker that speaks to it: when that one has said hello
(nothing was sent yet), or when it has handed the letter over and waits for the answer (sent, and nobody noted it).
"""

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes
from email.policy import default
from typing import Any

from aiosmtpd.controller import Controller

from services.notifications import LEASE
from tests.live import free_port
from tests.soak.crowd import one
from tests.soak.figures import Figure, Tell, exactly, none, told
from tests.soak.house import Child, House, until

NAME = "outbox"
HELLO, HANDED_OVER = "hello", "handed over"

_OWED = """
INSERT INTO clinics (name, country, zone) SELECT 'Clinic ' || n, 'US', 'UTC' FROM generate_series(1, 2) n;
INSERT INTO notifications (clinic_id, address, channel, template, dedupe_key, due_at)
SELECT id, n || '@' || right(id::text, 12) || '.example', 'email', 'check_in_reminder', 'soak:' || n,
       now() - interval '1 hour'
FROM clinics, generate_series(1, {each}) n
"""


@dataclass(frozen=True)
class Size:
    """kills: all together. letters: owed at the start. lanes: workers that are killed side by side."""

    kills: int
    letters: int
    lanes: int
    limit: float = 60.0


SHORT = Size(kills=2, letters=30, lanes=1)
LONG = Size(kills=200, letters=200, lanes=2)


@dataclass
class Desk:
    """A mail server on loopback that may end whoever speaks to it. `taken`: Message-ID and recipient of each letter."""

    taken: list[tuple[str, str]]
    deadly: str | None = None
    victim: Child | None = None
    kills: Counter[str] = field(default_factory=Counter)
    controller: Controller | None = None

    async def handle_EHLO(  # noqa: N802 - the library's name
        self, _server: Any, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self._kill(HELLO)
        return responses

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802 - the library's name
        message = message_from_bytes(envelope.content, policy=default)
        self.taken.append((str(message["Message-ID"]), str(message["To"])))
        self._kill(HANDED_OVER)
        return "250 taken"

    def _kill(self, when: str) -> None:
        if self.deadly == when and self.victim is not None:
            self.deadly = None
            os.kill(self.victim.pid, signal.SIGKILL)
            self.kills[when] += 1


def run(house: House, size: Size, seed: int, tell: Tell) -> list[Figure]:
    """Run the test in an empty database."""
    taken: list[tuple[str, str]] = []
    desks = [Desk(taken) for _ in range(size.lanes)]
    with house:
        with house.rows() as rows:
            rows.execute(_OWED.format(each=size.letters // 2).encode())
        workers = [_lane(house, desk, number) for number, desk in enumerate(desks, 1)]
        try:
            _kill_all(house, desks, workers, size, seed, tell)
            tell("the rest", 0.9)
            _deliver_the_rest(house, workers[0], size.limit)
        finally:
            for desk in desks:
                assert desk.controller is not None
                desk.controller.stop()
        tell("counting", 0.95)
        return _judge(house, desks, taken, size)


def _lane(house: House, desk: Desk, number: int) -> Child:
    """Open a mail server, and make the worker that sends through it."""
    port = free_port()
    desk.controller = Controller(desk, hostname="127.0.0.1", port=port)
    desk.controller.start()
    return house.worker(number, smtp_url=f"smtp://127.0.0.1:{port}")


def _kill_all(house: House, desks: Sequence[Desk], workers: Sequence[Child], size: Size, seed: int, tell: Tell) -> None:
    share = -(-size.kills // size.lanes)
    clock = threading.Lock()
    failures: list[BaseException] = []

    def kill(desk: Desk, worker: Child, luck: random.Random) -> None:
        try:
            for _ in range(share):
                desk.victim, desk.deadly = worker, luck.choice((HELLO, HANDED_OVER))
                worker.start()
                assert worker.ended(size.limit), f"no letter in {size.limit} s: {worker.last_words}"
                with clock:
                    house.move_on(LEASE + timedelta(seconds=1))  # what the dead one had taken may be taken again
        except BaseException as error:  # noqa: BLE001 - told below, in the thread that can fail the test
            failures.append(error)

    threads = [
        threading.Thread(target=kill, args=(desk, worker, random.Random(seed + place)))
        for place, (desk, worker) in enumerate(zip(desks, workers, strict=True))
    ]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        threads[0].join(0.2)
        killed = sum(desk.kills.total() for desk in desks)
        tell(f"{killed} kills, {len(desks[0].taken)} letters", killed / size.kills * 0.9)
    if failures:
        raise failures[0]


def _deliver_the_rest(house: House, worker: Child, limit: float) -> None:
    waiting = "SELECT count(*) FROM notifications WHERE status IN ('owed', 'failed')"
    worker.start()
    with house.rows() as rows:
        until(lambda: one(rows, waiting)[0] == 0, limit, lambda: worker.last_words)
    worker.stop()


def _judge(house: House, desks: Sequence[Desk], taken: list[tuple[str, str]], size: Size) -> list[Figure]:
    with house.rows() as rows:
        owed = {f"<{row[0]}@physio.example>": row[1] for row in rows.execute("SELECT id, address FROM notifications")}
        (unsent,) = one(rows, "SELECT count(*) FROM notifications WHERE status <> 'sent'")
        (most,) = one(rows, "SELECT max(attempts) FROM notifications")
    kills: Counter[str] = sum((desk.kills for desk in desks), Counter())
    arrived = Counter(taken)
    wrong = [pair for pair in arrived if owed.get(pair[0]) != pair[1]]
    return [
        told(NAME, "workers killed (-9) before a letter left", kills[HELLO]),
        told(NAME, "workers killed (-9) after a letter left", kills[HANDED_OVER]),
        exactly(NAME, "kills between commit and note", kills.total(), size.kills),
        told(NAME, "most attempts of one letter", most),
        exactly(NAME, "letters that arrived", len({key for key, _ in arrived}), len(owed)),
        none(NAME, "letters lost", len(owed.keys() - {key for key, _ in arrived})),
        told(NAME, "copies, under the same Message-ID", arrived.total() - len(arrived)),
        none(NAME, "letters under a wrong Message-ID or to a wrong address", len(wrong)),
        none(NAME, "letters noted as anything but sent", unsent),
    ]
