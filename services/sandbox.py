"""The clock of a sandbox: it moves ahead, and everything that would have happened happens in order.

The rows say when something is due next, so the way from one such instant to the next costs nothing, however long it is.
At each of them the clock is put there for all processes, and the jobs that have work do it, as the worker would have:
day by day, with no instant passed over. The clock never goes back.
"""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import fetchrow
from core.errors import Conflict, Forbidden, Invalid, Problem
from models.identity import Role
from models.sandbox import SandboxClock
from schemas.sandbox import MOST_DAYS, ClockMove, ClockMoved
from services import access, jobs
from services.access import Action, Actor
from services.cron import next_start
from services.timetable import TIMETABLE

SCOPE = "sandbox"
"""The scope that a service needs; the right to run every job is not enough."""

MOVING = 7_450_804
"""Key of the advisory lock that lets one move at a time happen."""


# When something happens next after $1, by the rows: check-ins are made (a day ahead), open, are reminded of and close;
# alerts run out of time and go on to the next; letters become due, or should have been confirmed; a session that was put
# off is looked at again. Then, by job, what starts every few minutes only: a flare-up has its next look; an instrument is
# due where the patient is; somebody's right to treat ends, with the care link or the license's last day; a consent has had
# its last day. Whose consent it is the sweeper may not see, so that day ends in every zone of the clinic's patients.
_NEXT = """
SELECT least(
  (SELECT min(next_due_at) - interval '24 hours' FROM check_in_plans
   WHERE status = 'active' AND next_due_at > $1::timestamptz + interval '24 hours'),
  (SELECT min(opens_at) FROM check_ins WHERE status = 'due' AND opens_at > $1),
  (SELECT min(remind_at) FROM check_ins WHERE status = 'open' AND remind_at > $1),
  (SELECT min(closes_at) FROM check_ins WHERE status IN ('due', 'open') AND closes_at > $1),
  (SELECT min(respond_by) FROM alerts WHERE status = 'open' AND overdue_at IS NULL AND respond_by > $1),
  (SELECT min(escalate_at) FROM alerts WHERE status = 'open' AND escalate_at > $1),
  (SELECT min(confirm_by) FROM notifications WHERE status = 'sent' AND confirm_by > $1),
  (SELECT min(due_at) FROM notifications WHERE status IN ('owed', 'failed') AND due_at > $1 AND channel <> 'in_app'),
  (SELECT min(owed_at) FROM evaluations_owed WHERE owed_at > $1)
) AS by_rows,
(SELECT min(review_at) FROM flares WHERE closed_at IS NULL AND review_at > $1) AS "flares.review",
(SELECT min(due) FROM (
   SELECT local_instant(i.next_on, '00:00', p.zone) AS due FROM instrument_plans i
   JOIN patients p ON p.clinic_id = i.clinic_id AND p.id = i.patient_id
   WHERE i.status = 'active' AND i.asked_of = 'patient' AND i.reminded_on IS DISTINCT FROM i.next_on
     AND i.next_on >= ($1 AT TIME ZONE 'UTC')::date - 1
 ) asked WHERE due > $1) AS "instruments.remind",
(SELECT min(ends) FROM (
   SELECT local_instant(c.expires_on + 1, '00:00', z.zone) AS ends
   FROM (SELECT DISTINCT clinic_id, expires_on FROM consents
         WHERE status IN ('given', 'offered') AND expires_on >= ($1 AT TIME ZONE 'UTC')::date - 2) c
   JOIN (SELECT DISTINCT clinic_id, zone FROM patients) z ON z.clinic_id = c.clinic_id
 ) said WHERE ends > $1) AS "consents.expire",
least(
  (SELECT min(upper(during)) FROM care_links WHERE upper(during) > $1),
  (SELECT min(ends) FROM (
     SELECT local_instant(l.expires_on + 1, '00:00', c.zone) AS ends FROM licenses l JOIN clinics c ON c.id = l.clinic_id
     WHERE l.status IN ('verified', 'expiring')
   ) licensed WHERE ends > $1)
) AS "programs.review"
"""

# Whether a job that starts every few minutes has something to do at $1.
_DUE = """
SELECT
  EXISTS (SELECT FROM check_in_plans
          WHERE status = 'active' AND next_due_at <= $1::timestamptz + interval '24 hours')
  OR EXISTS (SELECT FROM check_ins WHERE status = 'due' AND opens_at <= $1 AND closes_at > $1)
  OR EXISTS (SELECT FROM check_ins WHERE status = 'open' AND remind_at <= $1 AND closes_at > $1)
    AS "check-ins.dispatch",
  EXISTS (SELECT FROM check_ins WHERE status IN ('due', 'open') AND closes_at <= $1) AS "check-ins.close",
  EXISTS (SELECT FROM alerts WHERE status = 'open' AND overdue_at IS NULL AND respond_by <= $1)
  OR EXISTS (SELECT FROM alerts WHERE status = 'open' AND escalate_at <= $1) AS "alerts.escalate",
  EXISTS (SELECT FROM notifications
          WHERE status IN ('owed', 'failed') AND due_at <= $1 AND channel <> 'in_app')
  OR EXISTS (SELECT FROM notifications WHERE status = 'sent' AND confirm_by <= $1) AS "notifications.deliver",
  EXISTS (SELECT FROM evaluations_owed WHERE owed_at <= $1) AS "programs.follow-up",
  EXISTS (SELECT FROM flares WHERE closed_at IS NULL AND review_at <= $1) AS "flares.review"
"""


FLARES = "flares.review"

_CRON = {entry.job: entry.cron for entry in TIMETABLE}

PASSES = 10
"""So often, at most, is one instant gone over: what a job causes may be due at once, and what cannot be done stays due."""

LEAST_SECONDS = 1.0
"""So long, at least, letters are sent at an instant: each call gets some of them out."""

_BLIND = {entry.job for entry in TIMETABLE if entry.cron.startswith("*")} - {
    "check-ins.dispatch",
    "check-ins.close",
    "notifications.deliver",
    "programs.follow-up",
    "programs.review",
    FLARES,
    "jobs.watch",
}
"""Jobs of every few minutes of which the rows above do not say all: they run first of all, and whenever more is due than a
flare-up's hourly look. So what came up before the move is not late, as an instrument of an episode that was resumed.

`alerts.escalate` is one of them for what it hands back: the alerts of somebody who no longer treats the patient.
"""


class ClockRefused(Invalid):
    """The clock of a sandbox cannot go there."""


class ClockMoving(Conflict):
    """Somebody is moving the clock at the moment."""

    retryable = True


@dataclass(frozen=True)
class Hands:
    """What moves the clock.

    real: the world's time. show: lets this process see how far the clock runs ahead. patience: after so many seconds no
    further instant is begun. stopwatch: seconds that pass, from any beginning.
    """

    real: Callable[[], datetime]
    show: Callable[[timedelta], None]
    patience: float = float("inf")
    stopwatch: Callable[[], float] = time.monotonic


@dataclass
class _Way:
    """What happened so far."""

    instants: int = 0
    counts: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, job: str, counts: dict[str, int]) -> None:
        self.counts.setdefault(job, Counter()).update(counts)


async def ahead(session: AsyncSession) -> timedelta | None:
    """Tell how far the clock of this installation runs ahead; None where the database was not made as a sandbox."""
    seconds = await session.scalar(select(SandboxClock.ahead_seconds))
    return None if seconds is None else timedelta(seconds=seconds)


def check(actor: Actor) -> None:
    """Let admins and services with the scope `sandbox` pass. Raises Forbidden."""
    access.require(actor, Action.MOVE_CLOCK)
    if actor.role is Role.SERVICE and SCOPE not in actor.scopes:
        raise Forbidden


async def move(actor: Actor, form: ClockMove, reach: jobs.Reach, hands: Hands) -> ClockMoved:
    """Move the clock of the installation, and let happen what happens; `reach` is that of a worker, over all clinics.

    Raises Forbidden, ClockRefused, ClockMoving.
    """
    check(actor)
    async with _alone(reach):
        known = await _known(reach)
        now = hands.real() + known
        to = _target(form, now)
        way = _Way()
        reached = await _go(reach, hands, way, now, to)
        found = await _known(reach)
        await jobs.run("jobs.watch", reach, at=hands.real() + found)  # or probes would think that nobody looks
    return ClockMoved(
        now=hands.real() + found,
        ahead_seconds=int(found.total_seconds()),
        to=to,
        reached=reached,
        instants=way.instants,
        counts={job: dict(counts) for job, counts in way.counts.items()},
    )


@asynccontextmanager
async def _alone(reach: jobs.Reach) -> AsyncIterator[None]:
    """Let nobody else move the clock meanwhile. Raises ClockMoving.

    The connection holds the lock, not a transaction: letters are sent on the way, and none may be open as long as that.
    """
    async with reach.sweeper() as guard:
        await guard.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
        if not await guard.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": MOVING}):
            raise ClockMoving
        try:
            yield
        finally:
            await guard.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MOVING})


async def _known(reach: jobs.Reach) -> timedelta:
    async with reach.sweep() as session:
        known = await ahead(session)
    assert known is not None, "whoever calls has looked"
    return known


def _target(form: ClockMove, now: datetime) -> datetime:
    if form.advance is not None:
        pointer, to = "/advance", now + form.advance.length
    else:
        assert form.to is not None
        pointer, to = "/to", form.to
    if to < now:
        raise ClockRefused(Problem(pointer, "clock_backwards", "The clock only moves ahead"))
    if to - now > timedelta(days=MOST_DAYS):
        raise ClockRefused(Problem(pointer, "clock_too_far", f"At most {MOST_DAYS} days at once"))
    return to


async def _go(reach: jobs.Reach, hands: Hands, way: _Way, now: datetime, to: datetime) -> bool:
    """Go from instant to instant, one at least; tell whether the last was reached. What is due by now is done first."""
    began = hands.stopwatch()
    at, passes, blind = now, 0, _BLIND
    while True:
        left = hands.patience - (hands.stopwatch() - began)
        async with reach.sweep() as session:
            due = await _due(session, at) if passes < PASSES else set()
            if due and passes and left < 0:
                return False
            if not due:
                if at >= to:
                    return True
                if at > now and left < 0:
                    return False
                at, due = await _next(session, at, to)
                hands.show(await _set(session, hands, at))
                due |= await _due(session, at)
                passes, blind = 0, _BLIND if due - {FLARES} else set()
                blind |= {*_BLIND, FLARES} if at >= to else set()  # nothing is late where it stops
        way.instants += bool(due) and passes == 0
        for entry in TIMETABLE:
            if entry.job in due | blind:
                hurried = replace(reach, patience=max(left, LEAST_SECONDS))
                way.add(entry.job, (await jobs.run(entry.job, hurried, at=at)).counts)
        passes, blind = passes + 1, set()


async def _due(session: AsyncSession, at: datetime) -> set[str]:
    """Give the jobs that have something to do at this instant, by the rows."""
    row = await fetchrow(session, _DUE, at)
    assert row is not None
    return {job for job, waits in row.items() if waits}


async def _next(session: AsyncSession, after: datetime, to: datetime) -> tuple[datetime, set[str]]:
    """Give the next instant at which something happens, on a full minute as the worker's, and what starts by the hour."""
    row = await fetchrow(session, _NEXT, after)
    assert row is not None
    starts = {entry.job: next_start(entry.cron, after) for entry in TIMETABLE if not entry.cron.startswith("*")}
    instants = {name: _minute(instant) for name, instant in row.items() if instant is not None}
    by_rows = instants.pop("by_rows", to)
    if FLARES in instants:  # several together, at the job's own quarter hour
        instants[FLARES] = next_start(_CRON[FLARES], instants[FLARES] - timedelta(minutes=1))
    starts |= instants
    at = min([*starts.values(), by_rows, to])
    return at, {job for job, start in starts.items() if start <= at}


def _minute(at: datetime) -> datetime:
    full = at.replace(second=0, microsecond=0)
    return full if full == at else full + timedelta(minutes=1)


async def _set(session: AsyncSession, hands: Hands, at: datetime) -> timedelta:
    """Put the clock there, for every process; it may be further already, by the seconds that the work took."""
    seconds = (at - hands.real()).total_seconds()
    moved = update(SandboxClock).values(ahead_seconds=seconds, moved_at=at)
    await session.execute(moved.where(SandboxClock.ahead_seconds < seconds))
    known = await ahead(session)
    assert known is not None
    return known
