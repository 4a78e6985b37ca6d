"""The timetable with what became of it: each job's last runs, what waits, and when it starts next. Every look is bounded."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import fetch
from models.jobs import JobRun
from schemas.jobs import JobList, JobOut, JobRetry, JobRunOut
from services import access, backlogs
from services.access import Action, Actor
from services.cron import next_start
from services.timetable import TIMETABLE

LOOKED_BACK = timedelta(days=7)
"""How far back a success is looked for, and failures are counted; the last run is found however old it is."""

FAILURES = 1_000
"""Failures are counted up to here."""

_RUNS = f"""
SELECT j.job, r.*, s.started_at AS last_success_at, f.failures
FROM unnest($1::text[]) AS j(job)
LEFT JOIN LATERAL (
  SELECT id, status, started_at, finished_at, counts, error FROM job_runs r
  WHERE r.job = j.job AND ($2::uuid IS NULL OR r.clinic_id = $2 OR r.clinic_id IS NULL)
  ORDER BY r.started_at DESC LIMIT 1
) r ON true
LEFT JOIN LATERAL (
  SELECT r.started_at FROM job_runs r
  WHERE r.job = j.job AND r.status = 'succeeded' AND r.started_at > $3
    AND ($2::uuid IS NULL OR r.clinic_id = $2 OR r.clinic_id IS NULL)
  ORDER BY r.started_at DESC LIMIT 1
) s ON true
CROSS JOIN LATERAL (
  SELECT count(*)::int AS failures FROM (
    SELECT FROM job_runs r
    WHERE r.job = j.job AND r.status = 'failed' AND r.started_at > coalesce(s.started_at, $3)
      AND ($2::uuid IS NULL OR r.clinic_id = $2 OR r.clinic_id IS NULL)
    LIMIT {FAILURES}
  ) failed
) f
"""  # noqa: S608 - built of constants

_RETRIES = """
SELECT task_name, attempts, scheduled_at FROM procrastinate.procrastinate_jobs
WHERE status = 'todo' AND attempts > 0 AND task_name = ANY ($1)
"""


async def browse(session: AsyncSession, actor: Actor, *, at: datetime) -> JobList:
    """Give the timetable as the caller's clinic has it. Raises Forbidden."""
    access.require(actor, Action.READ_JOBS)
    return await overview(session, session, clinic_id=actor.clinic_id, at=at)


async def overview(
    session: AsyncSession, queue: AsyncSession, *, clinic_id: UUID | None = None, at: datetime
) -> JobList:
    """Give the timetable of one clinic or, in a session of the sweeper, of all. queue: a session that may read it."""
    names = [entry.job for entry in TIMETABLE]
    runs = {row["job"]: row for row in await fetch(session, _RUNS, names, clinic_id, at - LOOKED_BACK)}
    waiting = await backlogs.measure(session, at=at, clinic_id=clinic_id)
    retries = {row["task_name"]: row for row in await fetch(queue, _RETRIES, names)}
    items = [
        JobOut(
            job=entry.job,
            cron=entry.cron,
            about=entry.about,
            next_start=next_start(entry.cron, at),
            last_run=_last_run(runs[entry.job]),
            last_success_at=runs[entry.job]["last_success_at"],
            failures_since_success=runs[entry.job]["failures"],
            retry=_retry(retries, entry.job, at),
            backlog=waiting[entry.job].waiting,
            oldest_age_seconds=waiting[entry.job].age_seconds(at),
            overdue=waiting[entry.job].overdue(at),
        )
        for entry in TIMETABLE
    ]
    return JobList(items=items, next_cursor=None, overdue=any(item.overdue for item in items))


async def runs(session: AsyncSession, *, job: str | None = None, limit: int) -> list[JobRunOut]:
    """Give the latest runs, of one job or all, the newest first; for the command line."""
    query = select(JobRun).order_by(JobRun.started_at.desc()).limit(limit)
    return [shown(row) for row in await session.scalars(query if job is None else query.where(JobRun.job == job))]


def shown(row: JobRun) -> JobRunOut:
    """Give a run as it is answered."""
    return JobRunOut(
        id=row.id,
        job=row.job,
        status=row.status,
        dry_run=False,
        started_at=row.started_at,
        finished_at=row.finished_at,
        counts=row.counts,
        error=row.error,
    )


def _last_run(row: asyncpg.Record) -> JobRunOut | None:
    return None if row["id"] is None else JobRunOut.model_validate({**dict(row), "dry_run": False})


def _retry(retries: Mapping[str, asyncpg.Record], job: str, at: datetime) -> JobRetry | None:
    row = retries.get(job)
    return None if row is None else JobRetry(attempts=row["attempts"], next_at=row["scheduled_at"] or at)
