"""What waits for each job, since when, and who is told that it waits too long.

It is read from the rows that are due, not from what a worker says: so it is true when no worker runs at all, and a job
that hangs does not hide itself. Every question is bounded: counts end at MOST.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from core.database import as_identity, fetch, fetchrow
from models.identity import Account, AccountStatus, Membership, Role
from models.notifications import NotificationChannel
from services import notifications
from services.cron import EVERY_MINUTE, next_start
from services.timetable import TIMETABLE

PATIENCE = timedelta(minutes=10)
"""How long a due row may wait beyond the start of its job before somebody is told."""

MOST = 10_000
"""Counts end here: more is not worth the time."""

CLINICS = 100
"""So many clinics are told at once; the next minute tells the next."""

log = structlog.get_logger("jobs")

# Rows that wait, by job: since when. A row of a plan waits since it was due, not since it could have been made ahead.
_SINCE: Mapping[str, tuple[str, ...]] = {
    "check-ins.dispatch": (
        "SELECT clinic_id, next_due_at AS since FROM check_in_plans WHERE status = 'active' AND next_due_at <= $1",
        "SELECT clinic_id, opens_at FROM check_ins WHERE status = 'due' AND opens_at <= $1 AND closes_at > $1",
        "SELECT clinic_id, remind_at FROM check_ins WHERE status = 'open' AND remind_at <= $1 AND closes_at > $1",
    ),
    "check-ins.close": (
        "SELECT clinic_id, closes_at AS since FROM check_ins WHERE status IN ('due', 'open') AND closes_at <= $1",
    ),
    "alerts.escalate": (
        "SELECT clinic_id, respond_by AS since FROM alerts"
        " WHERE status = 'open' AND overdue_at IS NULL AND respond_by <= $1",
        "SELECT clinic_id, escalate_at FROM alerts WHERE status = 'open' AND escalate_at <= $1",
    ),
    "notifications.deliver": (
        "SELECT clinic_id, due_at AS since FROM notifications"
        " WHERE status IN ('owed', 'failed') AND due_at <= $1 AND channel <> 'in_app'",
        "SELECT clinic_id, confirm_by FROM notifications WHERE status = 'sent' AND confirm_by <= $1",
    ),
    "programs.follow-up": ("SELECT clinic_id, owed_at AS since FROM evaluations_owed WHERE owed_at <= $1",),
    "flares.review": ("SELECT clinic_id, review_at AS since FROM flares WHERE closed_at IS NULL AND review_at <= $1",),
    # With a day to spare: the day may not have begun where the patient is. An account just opened or an episode that
    # was just taken up again has not waited longer than that. $3 the slots: whether they may be asked is not known here.
    "instruments.remind": (
        "SELECT i.clinic_id, greatest((i.next_on + 1)::timestamp AT TIME ZONE 'UTC', p.updated_at, e.updated_at) AS since"
        " FROM instrument_plans i"
        " JOIN patients p ON p.clinic_id = i.clinic_id AND p.id = i.patient_id AND p.account_id IS NOT NULL"
        " JOIN episodes e ON e.clinic_id = i.clinic_id AND e.id = i.episode_id AND e.status NOT IN ('on_hold', 'discharged')"
        " WHERE i.status = 'active' AND i.asked_of = 'patient' AND i.reminded_on IS DISTINCT FROM i.next_on"
        " AND i.next_on + 1 <= ($1 AT TIME ZONE 'UTC')::date AND i.instrument_code <> ALL ($3::text[])",
    ),
    "licenses.expire": (
        "SELECT l.clinic_id, (l.expires_on + 1)::timestamp AT TIME ZONE 'UTC' AS since"
        " FROM licenses l JOIN clinics c ON c.id = l.clinic_id"
        " WHERE l.status IN ('verified', 'expiring') AND l.expires_on < local_day($1, c.zone)",
    ),
    "consents.expire": (  # with a day to spare: the last day of a consent ends where the patient is
        "SELECT clinic_id, (expires_on + 2)::timestamp AT TIME ZONE 'UTC' AS since"
        " FROM consents WHERE status IN ('given', 'offered') AND expires_on + 2 <= ($1 AT TIME ZONE 'UTC')::date",
    ),
}


def _waiting(job: str) -> str:
    mine = "AND ($2::uuid IS NULL OR clinic_id = $2)"

    rows = (f"(SELECT since FROM ({part}) r(clinic_id, since) WHERE true {mine} ORDER BY since LIMIT {MOST})"  # noqa: S608
            for part in _SINCE[job])  # fmt: skip
    return f"SELECT '{job}' AS job, count(*)::int AS waiting, min(since) AS oldest FROM ({' UNION ALL '.join(rows)}) w"  # noqa: S608


_MEASURE = " UNION ALL ".join(_waiting(job) for job in _SINCE)

_MINUTELY = [entry.job for entry in TIMETABLE if entry.cron == EVERY_MINUTE and entry.job in _SINCE]
_CLINICS = (
    "SELECT clinic_id FROM ("  # noqa: S608 - built of constants
    + " UNION ALL ".join(part for job in _MINUTELY for part in _SINCE[job])
    + ") w WHERE since < $2 AND ($3::uuid IS NULL OR clinic_id = $3)"
    f" GROUP BY clinic_id ORDER BY min(since) LIMIT {CLINICS}"
)


@dataclass(frozen=True)
class Backlog:
    """What is due for one job and not done. oldest: since when the first of it waits."""

    job: str
    cron: str
    waiting: int = 0
    oldest: datetime | None = None

    def age_seconds(self, at: datetime) -> int | None:
        """How long the oldest row has waited at `at`."""
        return None if self.oldest is None else max(0, int((at - self.oldest).total_seconds()))

    def overdue(self, at: datetime) -> bool:
        """Whether the oldest row waits longer than it may; for a job of once a day, counted from its next start."""
        if self.oldest is None:
            return False
        since = self.oldest if self.cron == EVERY_MINUTE else next_start(self.cron, self.oldest)
        return at - since > PATIENCE


async def measure(session: AsyncSession, *, at: datetime, clinic_id: UUID | None = None) -> dict[str, Backlog]:
    """Give the backlog of every job of the timetable at `at`, of one clinic or, as the sweeper, of all."""
    rows = {row["job"]: row for row in await fetch(session, _MEASURE, at, clinic_id, list(load().slots))}
    return {
        entry.job: Backlog(entry.job, entry.cron, rows[entry.job]["waiting"], rows[entry.job]["oldest"])
        if entry.job in rows
        else Backlog(entry.job, entry.cron)
        for entry in TIMETABLE
    }


async def watch(
    session: AsyncSession, *, at: datetime, clinic_id: UUID | None = None
) -> tuple[list[Backlog], list[UUID]]:
    """Find the jobs whose rows wait too long and, of those of every minute, the clinics that wait; says so in the log.

    The log line holds the job, how many and how long: nothing about anybody.
    """
    found = await measure(session, at=at, clinic_id=clinic_id)
    late = [each for each in found.values() if each.overdue(at)]
    for each in late:
        log.error(
            "job overdue",
            code="jobs_overdue",
            job=each.job,
            waiting=each.waiting,
            oldest_seconds=each.age_seconds(at),
        )
    if not late:
        return [], []
    rows = await fetch(session, _CLINICS, at, at - PATIENCE, clinic_id)
    return late, [row["clinic_id"] for row in rows]


async def tell(session: AsyncSession, clinic_id: UUID, *, at: datetime) -> int:
    """Owe each admin of a clinic a letter that work is late, once in an hour; give how many are new."""
    admins = (
        select(Account.id)
        .join(Membership, Membership.account_id == Account.id)
        .where(
            Membership.clinic_id == clinic_id,
            Membership.role == Role.CLINIC_ADMIN,
            Membership.ended_at.is_(None),
            Account.status == AccountStatus.ACTIVE,
        )
    )
    async with as_identity(session):
        accounts = (await session.scalars(admins)).all()
    return await notifications.owe_many(
        session,
        [
            {
                "clinic_id": clinic_id,
                "template": "jobs_overdue",
                "channel": NotificationChannel.EMAIL,
                "dedupe_key": f"jobs_overdue:{account_id}:{at:%Y-%m-%dT%H}",
                "due_at": at,
                "account_id": account_id,
                "patient_id": None,
                "parameters": {},
            }
            for account_id in accounts
        ],
    )


# ------------------------------------------------------------------ for probes: without a clinic
_LAST_WATCH = """
SELECT started_at, (counts ->> 'overdue')::int AS overdue FROM job_runs
WHERE job = 'jobs.watch' AND status = 'succeeded' ORDER BY started_at DESC LIMIT 1
"""


async def punctuality(session: AsyncSession, *, at: datetime) -> str:
    """Say whether jobs are `on_time`, `overdue`, or `silent`: nobody has looked for ten minutes, so no worker runs."""
    last = await fetchrow(session, _LAST_WATCH)
    if last is None or at - last["started_at"] > PATIENCE:
        return "silent"
    return "overdue" if last["overdue"] else "on_time"
