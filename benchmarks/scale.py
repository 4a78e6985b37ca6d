"""The worklist of a full caseload in a large database, and in one of a tenth of its size: its cost goes by the caseload.

Makes its own data, some 10 GB at full size, so it runs only when it is asked for by name, or tiny in a quick run.
"""

import asyncio
from collections.abc import Sequence
from itertools import cycle, islice
from statistics import median

from benchmarks import caseloads, dataset, servers
from benchmarks.caseloads import CASELOAD, Scale
from benchmarks.dataset import Person
from benchmarks.load import Outcome, Request, run
from benchmarks.measures import Bench
from benchmarks.report import Result, at_most

FULL = Scale(100_000, 100)
TINY = Scale(2 * CASELOAD, 4)
DATABASES = ("physio_caseloads", "physio_caseloads_tenth")
THERAPISTS = 10
"""Of different clinics, one after the other: as many on both sides."""


def worklist(bench: Bench) -> list[Result]:
    """Measure `GET /v1/worklist` over both databases by turns, a client that waits for each answer."""
    cluster = bench.postgres.cluster
    big = FULL if bench.plan.rounds > 1 else TINY
    people = []
    for database, scale in zip(DATABASES, (big, Scale(big.patients // 10, big.days)), strict=True):
        bench.tell(f"{database}: {scale.check_ins} check-ins")
        asyncio.run(caseloads.make(cluster, database, scale, bench.tell))
        people.append(asyncio.run(dataset.sign_in(cluster, servers.SECRET, "therapist", THERAPISTS, database)))
    with (
        servers.api(cluster, bench.folder, DATABASES[0]) as large,
        servers.api(cluster, bench.folder, DATABASES[1]) as small,
    ):
        sides = list(zip((large, small), people, strict=True))
        for server, asking in sides if bench.plan.warm else ():
            _ask(bench, server, asking, 0.2)
        found: list[list[Outcome]] = [[], []]
        for turn in range(bench.plan.rounds):
            for outcomes, (server, asking) in zip(found, sides, strict=True):
                bench.tell(f"worklist at scale: {turn + 1} of {bench.plan.rounds}")
                outcomes.append(_ask(bench, server, asking, 1))
    for database in DATABASES:
        cluster.drop_database(database)
    name = f"worklist of {CASELOAD} patients among {big.patients:,}".replace(",", " ")
    p95, tenth_p95 = (median(each.p95 for each in outcomes) for outcomes in found)
    cost, tenth_cost = (median(each.p50 for each in outcomes) for outcomes in found)
    return [
        at_most(f"{name}, p95", p95, "ms", tenth_p95, 40),
        at_most(f"{name}, median against a tenth of them", cost / tenth_cost, "times", None, 1.3),
    ]


def _ask(bench: Bench, server: servers.Running, people: Sequence[Person], share: float) -> Outcome:
    count = max(len(people), int(bench.plan.reads * share))
    path = f"/v1/worklist?limit={CASELOAD}"
    asked = [Request("GET", path, each.token) for each in islice(cycle(people), count)]
    return run(server.port, 1, asked, bench.folder)
