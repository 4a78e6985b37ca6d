"""Check-ins while workers die, and after nobody worked for hours: every occurrence once, every reminder once."""

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from procrastinate import App, PsycopgConnector

from core.database import make_engine, make_sessions
from jobs.worker import conninfo, give_back
from services import check_ins, jobs
from services.notifications import LEASE
from tests.soak import crowd
from tests.soak.crowd import Rows, one
from tests.soak.figures import Figure, Tell, exactly, none, told, within
from tests.soak.house import Child, House, until

DAY = timedelta(days=1)
CLOSES = 20 * 60

_TOLD_ONCE = """
SELECT count(*) FROM (SELECT patient_id FROM notifications WHERE template = %s GROUP BY patient_id HAVING count(*) = 1) t
"""
_REMINDED = _TOLD_ONCE.replace("%s", "'check_in_reminder'")
_NOTIFIED = _TOLD_ONCE.replace("%s", "'check_in_open'")
_RAISED = """
SELECT count(*) FILTER (WHERE found <> 1 OR repeats > 0) FROM (
  SELECT count(*) AS found, sum(repeats) AS repeats FROM alerts WHERE rule_id IN ('ES08', 'ES09')
  GROUP BY patient_id, rule_id) a
"""


# ------------------------------------------------------------------ one worker killed each second


@dataclass(frozen=True)
class Killing:
    """How much is due, and how often a worker dies.

    people x backlog check-ins are due at the start, and of each patient only the latest is offered. Then a new day dawns,
    `waves` times, every `wave` seconds but not before the last one's work is done; the second brings the reminder. A
    worker is killed every `every` seconds until all is done, at least `kills` times and at most `most` times.
    """

    people: int
    backlog: int
    waves: int
    wave: float
    kills: int
    most: int
    every: float = 1.0
    workers: int = 4
    limit: float = 120.0


SHORT_KILLING = Killing(people=100, backlog=6, waves=2, wave=0.5, kills=2, most=6, every=1.5, workers=3)
LONG_KILLING = Killing(people=1_000, backlog=10, waves=8, wave=3.0, kills=40, most=115)


def killing(house: House, size: Killing, seed: int, tell: Tell) -> list[Figure]:
    """Kill a worker each second, whichever luck picks, while they make, open and close check-ins, and send reminders."""
    name = "workers"
    now, luck = datetime.now(UTC), random.Random(seed)
    with house, house.rows() as rows:
        tell("patients and plans", 0)
        first = (now - size.backlog * DAY).date()
        crowd.settle(rows, size.people, first, now - timedelta(hours=2), spread=90, closes=CLOSES)
        workers = [house.worker(number) for number in range(1, size.workers + 1)]
        for worker in workers:
            worker.start()
        began = time.monotonic()
        kills, waves = 0, 0
        while True:
            passed = time.monotonic() - began
            left, _ = crowd.waiting(rows, house.now)
            if not left and waves == size.waves and kills >= size.kills:
                break
            if not left and waves < size.waves and passed >= (waves + 1) * size.wave:
                waves += 1
                house.move_on(DAY)
            assert passed < size.limit, f"{left} check-ins wait after {size.limit} s and {kills} kills"
            if kills < size.most and passed >= (kills + 1) * size.every:
                worker = luck.choice(workers)
                worker.kill()
                worker.start()
                kills += 1
            tell(f"{kills} kills, {left} check-ins wait", min(0.9, passed / (size.kills * size.every)))
            time.sleep(0.05)
        seconds = time.monotonic() - began
        tell("letters that the dead had taken", 0.92)
        house.move_on(LEASE)
        _nudge(workers[0])
        until(lambda: crowd.waiting(rows, house.now) == (0, 0), size.limit, lambda: workers[0].last_words)
        tell("counting", 0.96)
        for worker in workers:
            worker.stop()
        found = crowd.wrong(rows, house.now, left=now - (size.backlog + 2) * DAY, back=now)
        (mails,) = one(rows, "SELECT count(*) FROM notifications WHERE status <> 'sent' AND channel = 'email'")
        letters = len(list((house.folder / "mail").glob("*.eml")))
        (owed,) = one(rows, "SELECT count(*) FROM notifications WHERE channel = 'email'")
        (reminded,) = one(rows, _REMINDED)
        (alerts,) = one(rows, _RAISED)
        (cut,) = one(rows, f"SELECT count(*) FROM job_runs WHERE status = 'running' OR error = '{jobs.CUT_OFF}'")
        (failed,) = one(
            rows,
            f"SELECT count(*) FROM job_runs WHERE status = 'failed' AND error NOT IN ('CancelledError', '{jobs.CUT_OFF}')",
        )
        left_behind, not_tidied = asyncio.run(_tidy(house, rows))
        return [
            told(name, "workers killed (-9)", kills),
            told(name, "check-ins due", found["due"]),
            told(name, "of them never offered, for the latest was, and excused", found["excused"]),
            told(name, "runs of jobs cut off by a kill", cut),
            within(name, "until every check-in was made, opened or closed", seconds, size.limit),
            none(name, "occurrences missing", found["missing"]),
            none(name, "occurrences doubled", found["doubled"] + found["unwanted"]),
            none(name, "occurrences in a wrong state", found["different"]),
            exactly(name, "patients with exactly one reminder", reminded, size.people),
            none(name, "alerts raised twice for one streak", alerts),
            none(name, "e-mails not sent", mails),
            exactly(name, "letters in the mail", letters, owed),
            none(name, "runs of jobs that failed, other than by being stopped", failed),
            told(name, "queue rows left behind by the dead", left_behind),
            none(name, "of these still there after tidying", not_tidied),
        ]


def _nudge(worker: Child) -> None:
    """Start a worker anew: it does at once what comes every minute, such as sending letters owed a moment ago."""
    worker.stop()
    worker.start()


async def _tidy(house: House, rows: Rows) -> tuple[int, int]:
    """Let the queue give back what the dead held, their last sign of life being long ago; give before and after."""
    mine = "FROM procrastinate.procrastinate_jobs WHERE status = 'doing'"
    (before,) = one(rows, f"SELECT count(*) {mine}")
    rows.execute("UPDATE procrastinate.procrastinate_workers SET last_heartbeat = now() - interval '10 minutes'")
    app = App(connector=PsycopgConnector(conninfo=conninfo(house.database.worker), min_size=1, max_size=1))
    async with app.open_async():
        await give_back(app.job_manager)
    (after,) = one(rows, f"SELECT count(*) {mine}")
    return before, after


# ------------------------------------------------------------------ nobody worked for six hours


async def _work(house: House, at: datetime) -> None:
    """Do what the workers did until `at`."""
    engine = make_engine(house.database.sweeper, pool_size=1)
    sessions = make_sessions(engine)
    more = True
    while more:
        async with sessions.begin() as session:
            more = (await check_ins.dispatch(session, at=at)).more
    async with sessions.begin() as session:
        closed = await check_ins.close_due(session, at=at)
        assert closed.missed + closed.excused < check_ins.AT_ONCE, "there is more to close"
    await engine.dispose()


@dataclass(frozen=True)
class Outage:
    """How many patients are asked during an outage of so many hours, then one of so many days; how many workers return."""

    people: int
    workers: int
    hours: int = 6
    days: int = 6
    limit: float = 120.0


SHORT_OUTAGE = Outage(people=60, workers=2)
LONG_OUTAGE = Outage(people=10_000, workers=4)


def outage(house: House, size: Outage, tell: Tell) -> list[Figure]:
    """Let everybody be asked while nobody works, then start the workers all at once: after hours, and after days.

    During the hours the check-in of the day before closes, too, as the second missed in a row: it owes a reminder.
    During the days each is due several times, and wants to be told when one opens: he is offered the latest, once.
    """
    before = (datetime.now(UTC) + DAY).replace(hour=6, minute=0, second=0, microsecond=0)
    after = before + timedelta(hours=size.hours)
    with house, house.rows() as rows:
        tell("patients and plans", 0)
        house.move_to(before)
        # Each patient's check-in is due within these hours of the day, and stays open for 24 of them.
        crowd.settle(
            rows, size.people, (before - 2 * DAY).date(), before + timedelta(minutes=5), spread=60 * size.hours - 10,
            closes=24 * 60,
        )  # fmt: skip
        tell("the days before", 0.1)
        for day in (before - DAY, before):
            asyncio.run(_work(house, day))
        assert crowd.waiting(rows, before) == (0, 0)
        (reminded,) = one(rows, "SELECT count(*) FROM notifications")
        assert reminded == 0, "there was something to remind of already"
        tell(f"{size.hours} hours later", 0.3)
        found = _hours(house, rows, size, before, after)
        rows.execute("UPDATE check_in_plans SET notify_on_open = true")
        tell(f"{size.days} days later", 0.6)
        return found + _days(house, rows, size, after, after + size.days * DAY)


def _hours(house: House, rows: Rows, size: Outage, before: datetime, after: datetime) -> list[Figure]:
    name = "outage"
    seconds = _return(house, rows, size, after)
    found = crowd.wrong(rows, after, left=before, back=after)
    window = {"from": before, "to": after}
    due = "FROM check_ins WHERE due_at > %(from)s AND due_at <= %(to)s"
    (asked,) = one(rows, f"SELECT count(*) {due}", window)
    (closed,) = one(rows, f"SELECT count(*) {due} AND status <> 'open'", window)
    (reminders,) = one(rows, "SELECT count(*) FROM notifications")
    (once,) = one(rows, _REMINDED)
    return [
        told(name, "hours without a worker", size.hours),
        exactly(name, "check-ins due meanwhile, one per patient", asked, size.people),
        within(name, "until all check-ins were made up for", seconds, size.limit),
        none(name, "of them missed or closed", closed),
        *_as_wanted(name, found),
        exactly(name, "messages", reminders, size.people),
        exactly(name, "patients reminded exactly once", once, size.people),
        *_all_sent(house, rows, name, size.people),
    ]


def _days(house: House, rows: Rows, size: Outage, before: datetime, after: datetime) -> list[Figure]:
    name = "long outage"
    seconds = _return(house, rows, size, after)
    found = crowd.wrong(rows, after, left=before, back=after)
    (opened,) = one(rows, "SELECT count(*) FROM check_ins WHERE status = 'open'")
    (excused,) = one(rows, "SELECT count(*) FROM check_ins WHERE excused_reason = 'outage'")
    (messages,) = one(rows, "SELECT count(*) FROM notifications")
    (once,) = one(rows, _NOTIFIED)
    (alerts,) = one(rows, _RAISED)
    return [
        told(name, "days without a worker", size.days),
        within(name, "until all check-ins were made up for", seconds, size.limit),
        exactly(name, "check-ins opened, the latest of each plan", opened, size.people),
        exactly(name, "check-ins never offered, and excused", excused, size.people * (size.days - 1)),
        *_as_wanted(name, found),
        exactly(name, "further messages", messages - size.people, size.people),
        exactly(name, "patients told exactly once that one is open", once, size.people),
        none(name, "alerts raised twice for one streak", alerts),
        *_all_sent(house, rows, name, 2 * size.people),
    ]


def _return(house: House, rows: Rows, size: Outage, after: datetime) -> float:
    """Start all workers at that moment, and stop them when all is done; give how long the check-ins took."""
    house.move_to(after)
    workers = [house.worker(number) for number in range(1, size.workers + 1)]
    for worker in workers:
        worker.start()
    seconds = until(lambda: crowd.waiting(rows, after)[0] == 0, size.limit, lambda: workers[0].last_words)
    _nudge(workers[0])
    until(lambda: crowd.waiting(rows, after)[1] == 0, size.limit, lambda: workers[0].last_words)
    for worker in workers:
        worker.stop()
    return seconds


def _as_wanted(name: str, found: dict[str, int]) -> list[Figure]:
    return [
        none(name, "occurrences missing or different", found["missing"] + found["different"]),
        none(name, "occurrences doubled", found["doubled"] + found["unwanted"]),
    ]


def _all_sent(house: House, rows: Rows, name: str, letters: int) -> list[Figure]:
    (unsent,) = one(rows, "SELECT count(*) FROM notifications WHERE status <> 'sent'")
    return [
        none(name, "e-mails not sent", unsent),
        exactly(name, "letters in the mail", len(list((house.folder / "mail").glob("*.eml"))), letters),
    ]
