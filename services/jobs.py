"""Running jobs: the same functions for the worker's timetable and for schedulers outside.

A job is given session factories, not a session: it opens its own transactions, one at a time, and no network call
happens inside one. The worker sweeps all clinics as the sweeper; a service account's run is bound to its clinic.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.crypto import Key, new_id
from core.database import CLINIC, Sessions, fetchrow
from core.errors import Forbidden, NotFound
from integrations.email import EmailSender
from integrations.push import PushSender
from integrations.sms import SmsSender
from integrations.web_push import WebPushSender
from models.jobs import JobRun
from schemas.jobs import JobRunOut
from services import (
    access,
    adherence,
    alerts,
    authentication,
    backlogs,
    check_ins,
    consents,
    delivery,
    education,
    events,
    flares,
    instrument_plans,
    job_board,
    licenses,
    program_phases,
    programs,
    suggestions,
    throttling,
)
from services.access import Action, Actor
from services.isolation import ClinicsFailed, Isolation, clinic_by_clinic

Counts = dict[str, int]

KEYS_KEPT = timedelta(days=30)
RUNS_KEPT = timedelta(days=90)
ANY_JOB = "*"
"""The scope of a service that may run every job."""


@dataclass(frozen=True)
class Reach:
    """What a job works with.

    sweeper: sessions for set-based sweeps. worker: sessions for the work of one clinic. clinic_id: the one clinic that
    the run is for, None for all. public_url: where the app is, for letters. key: the tokens' key, for codes in letters.
    turn: what to wait for before each transaction. patience: after so many seconds no further letter is begun. abreast: in
    how many clinics messages are sent at a time. ending: whether the process is about to stop, so that none is begun
    either. stopwatch: seconds that pass, from any beginning. sms, push, web_push: None for a provider that is not set.
    """

    sweeper: Sessions
    worker: Sessions
    sender: EmailSender
    public_url: str
    clinic_id: UUID | None = None
    key: Key = field(kw_only=True)
    turn: Callable[[], AbstractAsyncContextManager[object]] = nullcontext
    patience: float = float("inf")
    abreast: int = 1
    ending: Callable[[], bool] = bool
    stopwatch: Callable[[], float] = time.monotonic
    sms: SmsSender | None = None
    push: PushSender | None = None
    web_push: WebPushSender | None = None

    @asynccontextmanager
    async def sweep(self, *, dry_run: bool = False) -> AsyncIterator[AsyncSession]:
        """Open one transaction over everything in reach; a dry run is rolled back."""
        info = {} if self.clinic_id is None else {CLINIC: self.clinic_id}
        async with self.turn(), self.sweeper(info=info) as session, session.begin() as transaction:
            yield session
            if dry_run:
                await transaction.rollback()

    @asynccontextmanager
    async def work(self, clinic_id: UUID | None) -> AsyncIterator[AsyncSession]:
        """Open one transaction of one clinic; of none, for what stands outside the clinics."""
        info = {} if clinic_id is None else {CLINIC: clinic_id}
        async with self.turn(), self.worker(info=info) as session, session.begin():
            yield session


# ------------------------------------------------------------------ the jobs
async def _dispatch(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    counts: Counts = {}
    more = True
    while more:
        async with reach.sweep(dry_run=dry_run) as session:
            done = asdict(await check_ins.dispatch(session, at=at, limit=check_ins.AT_ONCE))
        more = done.pop("more") and not dry_run
        counts = {name: counts.get(name, 0) + number for name, number in done.items()}
    return counts


async def _close(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    counts: Counts = {}
    while True:
        async with reach.sweep(dry_run=dry_run) as session:
            closed = await check_ins.close_due(session, at=at, limit=check_ins.AT_ONCE)
        counts = {name: counts.get(name, 0) + number for name, number in asdict(closed).items()}
        if dry_run or closed.missed + closed.excused < check_ins.AT_ONCE:
            return counts


async def _escalate(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    async def remind(session: AsyncSession) -> Counts:
        return {"overdue": await alerts.mark_overdue(session, at=at, limit=alerts.AT_ONCE)}

    async def go_on(session: AsyncSession) -> Counts:
        return asdict(await alerts.escalate(session, at=at, limit=alerts.AT_ONCE))

    counts: Counts = {}
    for step in (remind, go_on):
        while True:
            async with reach.sweep(dry_run=dry_run) as session:
                done = await step(session)
            counts |= {name: counts.get(name, 0) + number for name, number in done.items()}
            if dry_run or sum(done.values()) < alerts.AT_ONCE:
                break
    return counts


async def _deliver(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    return await delivery.deliver(reach, at, dry_run=dry_run)


async def _expire_licenses(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    async with reach.sweep(dry_run=dry_run) as session:
        return await licenses.expire(session, at=at)


async def _clinics(
    reach: Reach,
    clinics: Collection[UUID],
    work: Callable[..., Awaitable[int]],
    name: str,
    at: datetime,
    *,
    dry_run: bool,
) -> Counts:
    """Do something in each of the clinics, in a transaction of its own; see `isolation`."""

    async def one(clinic_id: UUID) -> int:
        async with reach.work(clinic_id) as session:
            return await work(session, clinic_id, at=at, dry_run=dry_run)

    return await clinic_by_clinic(clinics, one, name, off=reach.clinic_id is not None)


async def _expire_consents(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    async with reach.sweep() as session:
        clinics = await consents.clinics_to_review(session, at=at)
    return await _clinics(reach, clinics, consents.expire, "expired", at, dry_run=dry_run)


async def _review_adherence(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    async with reach.sweep() as session:
        clinics = await adherence.clinics_to_review(session)
    found = await _clinics(reach, clinics, adherence.review, "alerts", at, dry_run=dry_run)
    return {"clinics": len(clinics), **found}


async def _assign_articles(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    async with reach.sweep() as session:
        clinics = await education.clinics_to_review(session)

    async def one(clinic_id: UUID) -> int:
        count = 0
        after: UUID | None = education.FIRST
        while after is not None:
            async with reach.work(clinic_id) as session:
                given, after = await education.review(session, clinic_id, at=at, after=after, dry_run=dry_run)
            count += given
        return count

    return await clinic_by_clinic(clinics, one, "assigned", off=reach.clinic_id is not None)


async def _review_flares(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    async with reach.sweep() as session:
        clinics = await flares.clinics_to_review(session, at=at)
    return await _clinics(reach, clinics, flares.review, "changed", at, dry_run=dry_run)


async def _remind_instruments(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    async with reach.sweep() as session:
        clinics = await instrument_plans.clinics_to_remind(session, at=at)
    return await _clinics(reach, clinics, instrument_plans.remind, "reminded", at, dry_run=dry_run)


async def _review_programs(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    async with reach.sweep() as session:
        clinics = await adherence.clinics_to_review(session)
    return await _clinics(reach, clinics, programs.review, "paused", at, dry_run=dry_run)


async def _progress(
    reach: Reach,
    clinics: Collection[UUID],
    evaluate: Callable[[AsyncSession, UUID, UUID | None], Awaitable[suggestions.Evaluated]],
    at: datetime,
    *,
    dry_run: bool,
) -> Counts:
    """Look at the programs of these clinics, batch by batch; then apply, program by program, what may go on by itself.

    All of a clinic's are looked at before anything is applied, and one that cannot be applied holds up no other.
    """
    isolation, counts = Isolation(off=reach.clinic_id is not None), {"programs": 0, "suggestions": 0, "applied": 0}
    for clinic_id in clinics:
        ready: dict[UUID, Collection[UUID]] = {}
        with isolation.of(clinic_id):
            more, last = True, None
            while more:
                async with reach.work(clinic_id) as session:
                    done = await evaluate(session, clinic_id, last)
                last, more = done.last, done.last is not None
                counts["programs"] += done.programs
                counts["suggestions"] += done.suggestions
                ready |= {} if dry_run else done.ready
        for program_id, items in sorted(ready.items()):
            with isolation.of(clinic_id):
                async with reach.work(clinic_id) as session:
                    counts["applied"] += await suggestions.apply(session, clinic_id, program_id, items, at=at)
    return isolation.end(counts)


async def _follow_up(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    async def owed(session: AsyncSession, clinic_id: UUID, _last: UUID | None) -> suggestions.Evaluated:
        return await suggestions.follow_up(session, clinic_id, at=at, dry_run=dry_run)

    async with reach.sweep() as session:
        clinics = await suggestions.clinics_owed(session, at=at)
    return await _progress(reach, clinics, owed, at, dry_run=dry_run)


async def _progress_all(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    async def every(session: AsyncSession, clinic_id: UUID, last: UUID | None) -> suggestions.Evaluated:
        programs = await suggestions.running(session, clinic_id, last)
        return await suggestions.evaluate(session, clinic_id, programs, at=at, dry_run=dry_run)

    async with reach.sweep() as session:
        clinics = await adherence.clinics_to_review(session)
    return await _progress(reach, clinics, every, at, dry_run=dry_run)


async def _review_phases(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    async with reach.sweep() as session:
        clinics = await adherence.clinics_to_review(session)

    async def one(clinic_id: UUID) -> int:
        count, after, more = 0, None, True
        while more:
            async with reach.work(clinic_id) as session:
                ready, after = await program_phases.review(session, clinic_id, at=at, after=after, dry_run=dry_run)
            count, more = count + ready, after is not None
        return count

    return await clinic_by_clinic(clinics, one, "ready", off=reach.clinic_id is not None)


async def _housekeeping(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    """Forget what is kept for a time only. A dry run counts what is of a clinic: keys and runs."""
    async with reach.sweep(dry_run=dry_run) as session:
        keys = await fetchrow(session, _OLD_KEYS, at - KEYS_KEPT, reach.clinic_id)
        runs = await fetchrow(session, _OLD_RUNS, at - RUNS_KEPT, reach.clinic_id)
        passed = 0 if reach.clinic_id is not None else await events.forget(session)  # they are the sweeper's to forget
    assert keys is not None
    assert runs is not None
    counts = {"keys": keys["gone"], "runs": runs["gone"], "events": passed, "sign_ins": 0}
    if dry_run:
        return counts
    async with reach.work(None) as session:
        await throttling.forget(session, at=at)
    gone = authentication.PURGED_AT_ONCE
    while gone == authentication.PURGED_AT_ONCE:
        async with reach.work(None) as session:
            gone = await authentication.purge(session, at=at)
        counts["sign_ins"] += gone
    return counts


_OLD_KEYS = """
WITH gone AS (
  DELETE FROM idempotency_keys WHERE created_at < $1 AND ($2::uuid IS NULL OR clinic_id = $2) RETURNING clinic_id
)
SELECT count(*)::int AS gone FROM gone
"""
_OLD_RUNS = """
WITH gone AS (
  DELETE FROM job_runs WHERE started_at < $1 AND ($2::uuid IS NULL OR clinic_id = $2) RETURNING id
)
SELECT count(*)::int AS gone FROM gone
"""


async def _watch(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    """Find what waits too long, and tell. It asks the rows that are due, so a job that hangs cannot hide itself."""
    async with reach.sweep(dry_run=dry_run) as session:
        late, clinics = await backlogs.watch(session, at=at, clinic_id=reach.clinic_id)

    async def tell(clinic_id: UUID) -> int:
        async with reach.work(clinic_id) as session:
            return await backlogs.tell(session, clinic_id, at=at)

    told = await clinic_by_clinic([] if dry_run else clinics, tell, "told", off=reach.clinic_id is not None)
    return {"overdue": len(late), **told}


JOBS: Mapping[str, Callable[..., Awaitable[Counts]]] = {
    "check-ins.dispatch": _dispatch,
    "check-ins.close": _close,
    "alerts.escalate": _escalate,
    "notifications.deliver": _deliver,
    "jobs.watch": _watch,
    "programs.review": _review_programs,
    "programs.follow-up": _follow_up,
    "programs.progress": _progress_all,
    "programs.phases": _review_phases,
    "flares.review": _review_flares,
    "instruments.remind": _remind_instruments,
    "adherence.review": _review_adherence,
    "education.assign": _assign_articles,
    "licenses.expire": _expire_licenses,
    "consents.expire": _expire_consents,
    "housekeeping": _housekeeping,
}


# ------------------------------------------------------------------ running them
async def run(job: str, reach: Reach, *, at: datetime, dry_run: bool = False) -> JobRunOut:
    """Run a job now, and keep what it did; an error is kept, too, and goes on its way.

    A dry run tells what would happen, changes nothing and leaves no row. Raises NotFound for a name that is no job.
    """
    if job not in JOBS:
        raise NotFound
    if dry_run:
        counts = await JOBS[job](reach, at, dry_run=True)
        return JobRunOut(
            id=None, job=job, status="succeeded", dry_run=True, started_at=at, finished_at=at, counts=counts, error=None
        )
    async with _Run(job, reach, at) as kept:
        kept.counts = await JOBS[job](reach, at, dry_run=False)
    async with reach.sweep() as session:
        row = (await session.scalars(select(JobRun).where(JobRun.id == kept.id))).one()
        return job_board.shown(row)


async def start(actor: Actor, job: str, reach: Reach, *, at: datetime, dry_run: bool) -> JobRunOut:
    """Run a job for a service account; `reach` is bound to its clinic.

    Raises Forbidden, also for a job that is not among the account's scopes; NotFound.
    """
    access.require(actor, Action.RUN_JOBS)
    if actor.scopes.isdisjoint({job, ANY_JOB}):
        raise Forbidden
    return await run(job, reach, at=at, dry_run=dry_run)


LONGEST_RUN = timedelta(hours=1)
"""After so long a run that has not ended never will: its process is gone."""

CUT_OFF = "CutOff"
"""Stands where a failed run's error has its name."""


class _Run:
    """One row about one run, committed before and after, whatever happens in between."""

    def __init__(self, job: str, reach: Reach, at: datetime) -> None:
        self.id = new_id(at)
        self.counts: Counts = {}
        self._job, self._reach, self._at = job, reach, at

    async def __aenter__(self) -> Self:
        async with self._reach.sweep() as session:
            await session.execute(
                update(JobRun)
                .where(
                    JobRun.job == self._job,
                    JobRun.clinic_id.is_not_distinct_from(self._reach.clinic_id),
                    JobRun.status == "running",
                    JobRun.started_at < self._at - LONGEST_RUN,
                )
                .values(status="failed", error=CUT_OFF, finished_at=self._at)
            )
            session.add(JobRun(id=self.id, job=self._job, clinic_id=self._reach.clinic_id, started_at=self._at))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        name = None if kind is None else kind.__name__
        if isinstance(error, ClinicsFailed):
            name, self.counts = error.first, error.counts
        async with self._reach.sweep() as session:
            await session.execute(
                update(JobRun)
                .where(JobRun.id == self.id)
                .values(
                    status="succeeded" if kind is None else "failed",
                    counts=self.counts,
                    error=name,
                    finished_at=func.greatest(JobRun.started_at, func.clock_timestamp()),
                )
            )
