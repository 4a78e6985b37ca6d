"""What is measured. Both sides run in turns, A B A B, and medians are compared: the machine may be noisy."""

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from uuid import UUID

from benchmarks import dataset, floor, servers
from benchmarks.dataset import Person
from benchmarks.load import Outcome, Request, WrongAnswerError, run
from benchmarks.report import Result, at_least, at_most
from core.crypto import new_id
from dev.postgres import EmbeddedPostgres

CLIENTS = 16
READ_CLIENTS = 8

ANSWERS = {
    "answers": {
        "pain_now": 3,
        "pain_worst_24h": 5,
        "function_limit": 2,
        "flare": False,
        "sleep_hours": 7.5,
        "new_symptoms": False,
    }
}


@dataclass(frozen=True)
class Plan:
    """How often: rounds of each side, requests of a write round and of a read round. warm: whether each side warms up."""

    rounds: int = 3
    warm: bool = True
    writes: int = 3_000
    reads: int = 400
    starts: int = 3
    people: int = 400
    sweep_plans: int = 100_000
    progression_items: int = 10_000


@dataclass
class Bench:
    """A run's servers and people."""

    postgres: EmbeddedPostgres
    folder: Path
    plan: Plan
    tell: Callable[[str], None]
    patients: list[Person] = field(default_factory=list)
    therapists: list[Person] = field(default_factory=list)
    items: dict[UUID, list[UUID]] = field(default_factory=dict)

    def sign_in(self) -> None:
        """Sign in everybody that the measures need."""
        cluster = self.postgres.cluster
        self.patients = asyncio.run(dataset.sign_in(cluster, servers.SECRET, "patient", self.plan.people))
        self.therapists = asyncio.run(dataset.sign_in(cluster, servers.SECRET, "therapist", 20))
        self.items = asyncio.run(dataset.items_in_force(cluster))


# ------------------------------------------------------------------ hot writes and reads


def requests(bench: Bench) -> list[Result]:
    """Measure everything that goes through one API process: two writes, two reads, and its memory after that."""
    asyncio.run(_floor_table(bench))
    with (
        servers.api(bench.postgres.cluster, bench.folder) as ours,
        servers.floor(bench.postgres.cluster, bench.folder) as theirs,
    ):
        found = [
            _write(bench, "check-in answer", ours, theirs, _answers, _floor_answers),
            _write(bench, "session log", ours, theirs, _sessions, _floor_sessions),
            *_reads(bench, "GET /v1/me/today", "/v1/me/today", bench.patients, ours, theirs, 25),
            *_reads(
                bench, "GET /v1/worklist, 100 patients", "/v1/worklist?limit=100", bench.therapists, ours, theirs, 60
            ),
        ]
        return [*found, at_most("memory of an API process after load", ours.rss(), "MiB", theirs.rss(), 200)]


async def _floor_table(bench: Bench) -> None:
    connection = await dataset.connect(bench.postgres.cluster)
    await connection.execute(floor.TABLE)
    await connection.close()


Maker = Callable[[Bench, int], list[Request]]


def _write(
    bench: Bench, name: str, ours: servers.Running, theirs: servers.Running, mine: Maker, other: Maker
) -> Result:
    def one(server: servers.Running, maker: Maker, count: int) -> float:
        return run(server.port, CLIENTS, maker(bench, count), bench.folder).per_second

    value, least = _in_turns(
        bench,
        name,
        lambda share: one(ours, mine, int(bench.plan.writes * share)),
        lambda share: one(theirs, other, int(bench.plan.writes * share)),
    )
    return at_least(f"{name}, {CLIENTS} clients", value, "req/s", least, 0.35)


def _in_turns(
    bench: Bench, name: str, ours: Callable[[float], float], theirs: Callable[[float], float]
) -> tuple[float, float]:
    """Run both sides by turns after a short warm-up; give both medians."""
    if bench.plan.warm:
        bench.tell(f"{name}: warm-up")
        for side in (ours, theirs):
            with suppress(WrongAnswerError):  # a cold server may send some away: that is what warming up is for
                side(0.2)
    figures: tuple[list[float], list[float]] = ([], [])
    for turn in range(bench.plan.rounds):
        for kept, side, who in ((figures[0], ours, "ours"), (figures[1], theirs, "floor")):
            bench.tell(f"{name}: {who}, {turn + 1} of {bench.plan.rounds}")
            kept.append(side(1))
    return median(figures[0]), median(figures[1])


def _answers(bench: Bench, count: int) -> list[Request]:
    open_now = asyncio.run(dataset.open_check_ins(bench.postgres.cluster, bench.patients, count))
    body = json.dumps(ANSWERS)
    return [Request("POST", f"/v1/check-ins/{key}/answers", person.token, body) for person, key in open_now]


def _floor_answers(bench: Bench, count: int) -> list[Request]:
    body = json.dumps(ANSWERS)
    return [
        Request("POST", f"/check-ins/{person.clinic_id}/{person.subject_id}/answers", person.token, body)
        for person in _people(bench.patients, count)
    ]


def _sessions(bench: Bench, count: int) -> list[Request]:
    return [
        Request("PUT", f"/v1/sessions/{new_id(datetime.now(UTC))}", person.token, _session(bench, person))
        for person in _people(bench.patients, count)
    ]


def _floor_sessions(bench: Bench, count: int) -> list[Request]:
    return [
        Request("PUT", f"/sessions/{person.clinic_id}/{person.subject_id}", person.token, _session(bench, person))
        for person in _people(bench.patients, count)
    ]


def _session(bench: Bench, person: Person) -> str:
    """Make the body of a session: every exercise of the day, three sets each."""
    items = [
        {"item_id": str(key), "sets": [{"reps": 10}] * 3, "effort": 4, "pain_during": 2}
        for key in bench.items[person.subject_id]
    ]
    moment = datetime.now(UTC).isoformat()
    head = {"performed_at": moment, "device_zone": "UTC", "pain_before": 3, "pain_after": 3, "effort": 4}
    return json.dumps({**head, "items": items})


def _people(people: Sequence[Person], count: int) -> Iterator[Person]:
    return islice(cycle(people), count)


def _reads(
    bench: Bench,
    name: str,
    path: str,
    people: Sequence[Person],
    ours: servers.Running,
    theirs: servers.Running,
    most: float,
) -> list[Result]:
    def mine(clients: int, share: float) -> Outcome:
        count = max(clients, int(bench.plan.reads * share))
        return run(
            ours.port, clients, [Request("GET", path, each.token) for each in _people(people, count)], bench.folder
        )

    def other(clients: int, share: float) -> Outcome:
        count = max(clients, int(bench.plan.reads * share))
        asked = [
            Request("GET", f"/check-ins/{each.clinic_id}/{each.subject_id}", each.token)
            for each in _people(bench.patients, count)
        ]
        return run(theirs.port, clients, asked, bench.folder)

    alone = _in_turns(bench, name, lambda share: mine(1, share).p95, lambda share: other(1, share).p95)
    crowd = _in_turns(
        bench, f"{name}, {READ_CLIENTS} clients",
        lambda share: mine(READ_CLIENTS, share).p95, lambda share: other(READ_CLIENTS, share).p95,
    )  # fmt: skip
    return [
        at_most(f"{name}, p95", alone[0], "ms", alone[1], most),
        at_most(f"{name}, p95 of {READ_CLIENTS} clients", crowd[0], "ms", crowd[1], None),
    ]


# ------------------------------------------------------------------ start


def start(bench: Bench) -> list[Result]:
    """Measure from starting everything over existing data until it answers; the floor is its own server's start.

    Stops the run's own database server: it comes last.
    """
    floors = []
    for turn in range(bench.plan.starts):
        bench.tell(f"start: floor, {turn + 1} of {bench.plan.starts}")
        with servers.floor(bench.postgres.cluster, bench.folder) as running:
            floors.append(running.started_in)
    bench.postgres.stop()
    ours = []
    for turn in range(bench.plan.starts):
        bench.tell(f"start: ours, {turn + 1} of {bench.plan.starts}")
        with servers.house(bench.folder) as running:
            ours.append(running.started_in)
    return [at_most("start to first answer, over existing data", median(ours), "s", median(floors), 3)]
