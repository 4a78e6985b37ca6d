"""Killing the API, and PostgreSQL under it, while phones send: nothing acknowledged is lost, nothing happens twice."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import httpx
import psycopg

from dev.postgres import EmbeddedPostgres
from tests.soak.figures import Figure, Tell, exactly, none, told, within
from tests.soak.house import Child, House, until
from tests.soak.load import KINDS, Load, Sending, Tally, prepare

BACK_WITHIN = 5.0

_KEPT = {
    "check-in answers": "SELECT check_in_id AS id, answers ->> 'note' AS marker FROM check_in_answers a WHERE EXISTS"
    " (SELECT FROM check_ins c WHERE c.clinic_id = a.clinic_id AND c.id = a.check_in_id AND c.answered_at IS NOT NULL"
    " AND c.closes_at > c.due_at + interval '1 hour')",
    "ad hoc check-ins": "SELECT check_in_id AS id, answers ->> 'note' AS marker FROM check_in_answers a WHERE EXISTS"
    " (SELECT FROM check_ins c WHERE c.clinic_id = a.clinic_id AND c.id = a.check_in_id AND c.answered_at IS NOT NULL"
    " AND c.closes_at < c.due_at + interval '1 hour')",
    "session logs": "SELECT id, note AS marker FROM exercise_sessions",
    "outcomes": "SELECT id, answers -> 'activities' -> 0 ->> 'name' AS marker FROM outcomes",
}
"""Every row of a kind that there is, with the words that its request held."""

_EFFECTS = {
    "check-ins with two audit rows": "SELECT count(*) FROM (SELECT resource_id FROM audit_events"
    " WHERE action = 'check_in.answer' GROUP BY resource_id HAVING count(*) > 1) twice",
    "sessions with two audit rows": "SELECT count(*) FROM (SELECT resource_id FROM audit_events"
    " WHERE action = 'session.log' GROUP BY resource_id HAVING count(*) > 1) twice",
    "sessions not asked about exactly once": "SELECT count(*) FROM exercise_sessions s WHERE 1 <> (SELECT count(*)"
    " FROM check_ins c WHERE c.clinic_id = s.clinic_id AND c.session_id = s.id)",
    "sessions without all their items": "SELECT count(*) FROM exercise_sessions s WHERE items_done <> (SELECT count(*)"
    " FROM session_items i WHERE i.clinic_id = s.clinic_id AND i.session_id = s.id)",
}


@dataclass(frozen=True)
class Size:
    """How long, how many, how often.

    The API is killed `every` (from, to) seconds for `seconds`, once at least; PostgreSQL `postmasters` times.
    `check_ins` are open for each patient. pace: rest of a client between two requests, seconds.
    """

    seconds: float
    every: tuple[float, float] = (2.0, 5.0)
    postmasters: int = 5
    patients: int = 8
    check_ins: int = 1_000
    clients: int = 16
    pace: float = 0.1


SHORT = Size(1.0, (0.7, 1.0), postmasters=1, patients=2, check_ins=200, clients=4, pace=0.03)
LONG = Size(180)


def api(house: House, size: Size, seed: int, tell: Tell) -> list[Figure]:
    """Kill the API again and again."""
    name = "api killed"
    luck = random.Random(seed)
    with house:
        tell("patients and programs", 0)
        patients = asyncio.run(prepare(house.database, size.patients, size.check_ins))
        server = house.api()
        server.start()
        server.wait_until_ready()
        kills, away = 0, []
        with Load(server.url, patients, clients=size.clients, pace=size.pace, seed=seed) as load:
            began = time.monotonic()
            while (passed := time.monotonic() - began) < size.seconds:
                tell(f"{kills} kills, {len(load.tally.answered_at)} answers", passed / size.seconds * 0.95)
                time.sleep(luck.uniform(*size.every))
                server.kill()
                killed = time.monotonic()
                kills += 1
                server.start()
                server.wait_until_ready()
                away.append(time.monotonic() - killed)
            load.stop()
        tell("counting", 0.96)
        return [
            told(name, "kills (-9)", kills),
            told(name, "median time away", median(away), "s"),
            *_judge(house, name, load.tally),
        ]


def postgres(house: House, database: EmbeddedPostgres, size: Size, seed: int, tell: Tell) -> list[Figure]:
    """Kill PostgreSQL's postmaster again and again; the API runs on."""
    name = "db killed"
    luck = random.Random(seed)
    with house:
        tell("patients and programs", 0)
        patients = asyncio.run(prepare(house.database, size.patients, size.check_ins))
        server = house.api()
        server.start()
        server.wait_until_ready()
        first = server.pid
        back = [_killed_at_rest(server, database, patients[0].headers)]
        with Load(server.url, patients, clients=size.clients, pace=size.pace, seed=seed) as load:
            for number in range(size.postmasters):
                tell(f"{number} kills, {len(load.tally.answered_at)} answers", number / size.postmasters * 0.95)
                time.sleep(luck.uniform(*size.every))
                ready = _kill(database)
                why = partial("{} {}".format, load.tally.failures, server.log)
                back.append(until(partial(load.answered_since, ready), 60, why, 0.01))
            time.sleep(luck.uniform(*size.every))
            load.stop()
        tell("counting", 0.96)
        return [
            told(name, "kills (-9) of the postmaster, one of them while nobody asked", size.postmasters + 1),
            within(name, "serving again after the database is ready, at the latest", max(back), BACK_WITHIN),
            none(name, "restarts of the API", int(server.pid != first or not server.running)),
            *_judge(house, name, load.tally),
        ]


def _kill(database: EmbeddedPostgres) -> float:
    """Kill the postmaster and start it again; give the moment (monotonic) when it was ready."""
    os.kill(database.pid, signal.SIGKILL)
    database.stop()  # gives the folder back: nothing of it runs any more
    database.start()
    return time.monotonic()


def _killed_at_rest(server: Child, database: EmbeddedPostgres, headers: dict[str, str]) -> float:
    """Kill PostgreSQL while every connection of the API lies in its pool; give the seconds until it serves again."""
    with httpx.Client(base_url=server.url, headers=headers, timeout=10) as client:
        assert client.get("/v1/me").is_success
        ready = _kill(database)
        until(lambda: client.get("/v1/me").is_success, 60, lambda: str(server.log), 0.05)
        return time.monotonic() - ready


def _judge(house: House, name: str, tally: Tally) -> list[Figure]:
    with house.rows() as rows:
        found = [each for kind in KINDS for each in _kept(rows, name, kind, tally)]
        effects = [none(name, what, _count(rows, sql)) for what, sql in _EFFECTS.items()]
    sent = len(tally.sent)
    attempts = sum(one.attempts for one in tally.sent)
    accidents = sum(count for failure, count in tally.failures.items() if failure == "500")
    wrong = Counter(tally.wrong)
    return [
        told(name, "requests", sent),
        told(name, "sent again after no or no final answer", attempts - sent - tally.repeated),
        told(name, "sent again though acknowledged", tally.repeated),
        *found,
        *effects,
        none(name, "answers 500", accidents),
        none(name, "refused, answered differently or never", len(tally.wrong), str(dict(wrong)) if wrong else ""),
    ]


def _kept(rows: "psycopg.Connection[Any]", name: str, kind: str, tally: Tally) -> list[Figure]:
    stored = Counter(marker for _, marker in rows.execute(_KEPT[kind].encode()).fetchall())
    acknowledged = tally.acknowledged(kind)
    lost = [one for one in acknowledged if not stored[one.marker]]
    twice = [marker for marker, count in stored.items() if count > 1]
    strange = stored.keys() - {one.marker for one in tally.sent if one.kind == kind}
    return [
        told(name, f"{kind}, acknowledged", len(acknowledged)),
        none(name, f"{kind}, lost", len(lost), _some(lost)),
        none(name, f"{kind}, twice", len(twice)),
        exactly(name, f"{kind}, stored", stored.total() - len(strange), len(acknowledged)),
    ]


def _some(sendings: list[Sending]) -> str:
    return ", ".join(str(one.id) for one in sendings[:5])


def _count(rows: "psycopg.Connection[Any]", sql: str) -> int:
    row = rows.execute(sql.encode()).fetchone()
    assert row is not None
    return int(row[0])
