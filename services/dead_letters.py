"""What was given up: letters that nobody could send, and jobs that the queue tries no more. Ids and codes, no address.

A replay is safe to repeat: what already waits again, or was sent since, stays as it is.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import fetch, fetchrow
from core.errors import Forbidden, NotFound
from models.identity import Role
from models.notifications import Notification, NotificationStatus
from schemas import pages
from schemas.jobs import DeadLetter, DeadLetterKind
from services import access, audit
from services.access import Action, Actor
from services.timetable import TIMETABLE

DEAD = (NotificationStatus.DROPPED, NotificationStatus.REFUSED)
DELIVERY = "notifications.deliver"
"""The job whose scope a service needs to have a letter sent again."""

ANY_JOB = "*"
QUEUE = "queue-"
"""What the id of a job in the queue begins with."""

MOST = 1_000
"""So many are listed, or sent again, at once on the command line."""

_COLUMNS = (
    Notification.id,
    Notification.clinic_id,
    Notification.template,
    Notification.channel,
    Notification.status,
    Notification.last_error,
    Notification.attempts,
    Notification.created_at,
)

# One failed job of a kind is enough to see, and none that has succeeded since.
_FAILED = """
SELECT DISTINCT ON (q.task_name) q.id, q.task_name, q.status::text AS status, q.attempts, e.at
FROM procrastinate.procrastinate_jobs q
CROSS JOIN LATERAL (SELECT max(v.at) AS at FROM procrastinate.procrastinate_events v WHERE v.job_id = q.id) e
WHERE q.status = 'failed' AND q.task_name = ANY ($1) AND NOT EXISTS (
  SELECT FROM job_runs r WHERE r.job = q.task_name AND r.status = 'succeeded' AND r.clinic_id IS NULL
    AND r.started_at > e.at
)
ORDER BY q.task_name, q.id DESC
"""
_JOB = """
SELECT q.id, q.task_name, q.status::text AS status, q.attempts,
       (SELECT max(v.at) FROM procrastinate.procrastinate_events v WHERE v.job_id = q.id) AS at
FROM procrastinate.procrastinate_jobs q WHERE q.id = $1 AND q.task_name = ANY ($2)
"""
_WAITS = """
SELECT q.id, q.task_name, q.status::text AS status, q.attempts, q.scheduled_at AS at
FROM procrastinate.procrastinate_jobs q WHERE q.task_name = $1 AND q.status = 'todo' LIMIT 1
"""
_RETRY = "SELECT procrastinate.procrastinate_retry_job_v2($1, $2, NULL, NULL, NULL)"


# ------------------------------------------------------------------ looking
async def browse(
    session: AsyncSession, actor: Actor, page: pages.Page, *, kind: DeadLetterKind
) -> pages.Paged[DeadLetter]:
    """List the clinic's letters that were given up, the newest first, or the failed jobs of the queue. Raises Forbidden."""
    access.require(actor, Action.READ_JOBS)
    if kind is DeadLetterKind.JOB:
        return pages.Paged(await failed_jobs(session), None)
    mine = (Notification.clinic_id == actor.clinic_id, Notification.status.in_(DEAD))
    query: Any = select(*_COLUMNS).where(*mine)
    found = await pages.fetch(session, query, page, keys=(Notification.id,), descending=True)
    return pages.Paged([_letter(row) for row in found.items], found.next_cursor)


async def failed_jobs(session: AsyncSession) -> list[DeadLetter]:
    """List the jobs that the queue has given up and that have not succeeded since; they belong to no clinic."""
    rows = await fetch(session, _FAILED, [entry.job for entry in TIMETABLE])
    return [_job(row) for row in rows]


async def letters(session: AsyncSession, *conditions: ColumnElement[bool]) -> Sequence[DeadLetter]:
    """List the letters of all clinics that were given up, as the sweeper; for the command line."""
    query = select(*_COLUMNS).where(Notification.status.in_(DEAD), *conditions).order_by(Notification.id.desc())
    return [_letter(row) for row in (await session.execute(query.limit(MOST))).all()]


# ------------------------------------------------------------------ again
async def replay(session: AsyncSession, actor: Actor, dead_id: str, *, at: datetime) -> DeadLetter:
    """Let a letter be sent again, or a job of the queue be run again, now.

    A service needs the scope of the job; a job of the queue works for all clinics and is a service's matter only.
    Raises Forbidden, NotFound.
    """
    access.require(actor, Action.REPLAY_JOBS)
    if dead_id.startswith(QUEUE):
        found = await _failed(session, int(dead_id.removeprefix(QUEUE)))
        _check_scope(actor, found["task_name"], also_admin=False)
        again = await _run_again(session, found, at)
        if found["status"] == "failed":
            await audit.record(session, actor, "job.replay", at=at, subject=("job", None))
        return again
    _check_scope(actor, DELIVERY, also_admin=True)
    letter_id = UUID(dead_id)
    again, changed = await replay_letter(session, actor.clinic_id, letter_id, at=at)
    if changed:
        await audit.record(session, actor, "notification.replay", at=at, subject=("notification", letter_id))
    return again


def _check_scope(actor: Actor, job: str, *, also_admin: bool) -> None:
    scoped = not actor.scopes.isdisjoint({job, ANY_JOB})
    if not (scoped if actor.role is Role.SERVICE else also_admin):
        raise Forbidden


async def replay_letter(
    session: AsyncSession, clinic_id: UUID, letter_id: UUID, *, at: datetime
) -> tuple[DeadLetter, bool]:
    """Owe a letter of the clinic again that was given up, with all its attempts; tell whether it was. Raises NotFound."""
    mine = (Notification.clinic_id == clinic_id, Notification.id == letter_id)
    anew = {"attempts": 0, "tries": 0, "tried": [], "last_error": None, "confirm_by": None}
    again = {**anew, "status": NotificationStatus.OWED, "due_at": at}
    dead = update(Notification).where(*mine, Notification.status.in_(DEAD))
    changed = await session.scalar(dead.values(**again).returning(Notification.id))
    row = (await session.execute(select(*_COLUMNS).where(*mine))).one_or_none()
    if row is None:
        raise NotFound
    return _letter(row), changed is not None


async def replay_job(session: AsyncSession, job_id: int, *, at: datetime) -> DeadLetter:
    """Let the queue run a failed job again, unless the same job waits already. Raises NotFound."""
    return await _run_again(session, await _failed(session, job_id), at)


async def _failed(session: AsyncSession, job_id: int) -> asyncpg.Record:
    row = await fetchrow(session, _JOB, job_id, [entry.job for entry in TIMETABLE])
    if row is None:
        raise NotFound
    return row


async def _run_again(session: AsyncSession, found: asyncpg.Record, at: datetime) -> DeadLetter:
    if found["status"] != "failed":
        return _job(found)
    waits = await fetchrow(session, _WAITS, found["task_name"])
    if waits is not None:  # two of one job never wait at once
        return _job(waits)
    await fetch(session, _RETRY, found["id"], at)
    return _job(await _failed(session, found["id"]))


# ------------------------------------------------------------------ shapes
def _letter(row: Any) -> DeadLetter:
    return DeadLetter(
        id=str(row.id),
        kind=DeadLetterKind.NOTIFICATION,
        clinic_id=row.clinic_id,
        name=row.template,
        channel=row.channel.value,
        status=row.status.value,
        error=row.last_error,
        attempts=row.attempts,
        at=row.created_at,
    )


def _job(row: asyncpg.Record) -> DeadLetter:
    return DeadLetter(
        id=f"{QUEUE}{row['id']}",
        kind=DeadLetterKind.JOB,
        clinic_id=None,
        name=row["task_name"],
        channel=None,
        status=row["status"],
        error=None,
        attempts=row["attempts"],
        at=row["at"],
    )
