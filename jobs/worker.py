"""The worker: Procrastinate keeps the timetable, the retries and the pool; our rows decide what is due.

Nothing hangs on the queue: a job that is killed, run twice or late does no harm. So no request ever defers a job, and
the queue's NOTIFY trigger, which takes a lock of the whole server at commit, fires only for the worker's own few rows a
minute; the worker does not listen either, it asks once a second. A pooler's transaction mode suits both.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import structlog
import uvloop
from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from procrastinate.exceptions import AlreadyEnqueued, UniqueViolation
from procrastinate.jobs import DeleteJobCondition, Status
from procrastinate.manager import JobManager
from psycopg.conninfo import make_conninfo

from core import clock, logs
from core.database import libpq_url, make_engine, make_sessions
from core.settings import Settings
from integrations.channels import open_channels
from services import jobs, time_zones
from services import sandbox as clocks
from services.authentication import tokens_of
from services.cron import EVERY_MINUTE
from services.notifications import texts
from services.timetable import TIMETABLE, Entry

GRACE_SECONDS = 8.0
"""For so long a stopping worker lets its jobs finish; what is cut off is done again by whoever comes next."""

PATIENCE_SECONDS = 55.0
"""After so long a run begins no further message; the next minute's run goes on."""

ABREAST = 4
"""In so many clinics a run sends at a time: mail servers take a while for each letter."""

POLL_SECONDS = 1.0
CONCURRENCY = 4
STALLED_SECONDS = 60
MOST_DEATHS = 5
"""So often a job of dead workers is begun; then it is a dead letter. The timetable makes it anew in any case."""

KEPT_HOURS = 7 * 24
"""Failed jobs stay in the queue's table for a week; what each run did stands in `job_runs`."""

log = structlog.get_logger("jobs")

Task = Callable[..., Coroutine[Any, Any, None]]


def conninfo(url: str) -> str:
    """Turn our database URL into psycopg's, TLS and all, with the queue's schema in front."""
    path = "-c search_path=procrastinate,public"
    return make_conninfo(libpq_url(url), application_name="physio-queue", options=path)


def make_app(url: str, reach: jobs.Reach, *, sandbox: bool = False) -> App:
    """Make the queue's app, with one task for each entry of the timetable, and one that tidies the queue itself.

    Two of a kind may run at once, which does no harm; a lock would let a worker that died hold up its job's successor.
    sandbox: whether the clock may have been moved, and must be looked at before each job.
    """
    app = App(connector=PsycopgConnector(conninfo=conninfo(url), min_size=1, max_size=4))
    for entry in TIMETABLE:
        task = app.task(name=entry.job, queueing_lock=entry.job, retry=_retry(entry))(
            _task(entry.job, reach, sandbox=sandbox)
        )
        app.periodic(cron=entry.cron)(task)
    tidy = app.task(name="queue.tidy", queueing_lock="queue.tidy", pass_context=True)(_tidy)
    app.periodic(cron=EVERY_MINUTE)(tidy)
    return app


def _retry(entry: Entry) -> RetryStrategy | bool:
    """Try a daily job five times, 1 to 16 minutes apart; one of every minute comes again by itself."""
    return False if entry.cron == EVERY_MINUTE else RetryStrategy(max_attempts=5, exponential_wait=60)


def _task(job: str, reach: jobs.Reach, *, sandbox: bool) -> Task:
    async def start(timestamp: int) -> None:  # noqa: ARG001 - which tick it was does not matter: rows say what is due
        if sandbox:
            await see_the_clock(reach)
        done = await jobs.run(job, reach, at=clock.now())
        if any(done.counts.values()):
            log.info("job done", job=job, run_id=str(done.id), counts=done.counts)

    return start


async def see_the_clock(reach: jobs.Reach) -> None:
    """Let the clock of this process show what a sandbox's does; elsewhere it is the world's."""
    async with reach.sweep() as session:
        clock.move(await clocks.ahead(session))


async def _tidy(context: JobContext, timestamp: int) -> None:  # noqa: ARG001 - as above
    """Give back the jobs of workers that died, and forget finished ones."""
    manager = context.app.job_manager
    await give_back(manager)
    await manager.delete_old_jobs(
        nb_hours=KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
    )


async def give_back(manager: JobManager) -> None:
    """Let the jobs of dead workers be done by others.

    Of one name only one may wait: the timetable may have made it anew meanwhile, or several workers died over it.
    """
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_SECONDS):
        try:
            if job.attempts >= MOST_DEATHS:  # it may be what they die of
                await manager.finish_job(job, Status.FAILED, delete_job=False)
            else:
                await manager.retry_job(job)
        except UniqueViolation:
            await manager.finish_job(job, Status.ABORTED, delete_job=True)


async def _catch_up(app: App) -> None:
    """Do at once what comes several times an hour: a worker that starts has time to make up for.

    But for the watch: it would report as late what the others are about to do.
    """
    for entry in TIMETABLE:
        if entry.cron.startswith("*") and entry.job != "jobs.watch":
            try:
                await app.tasks[entry.job].defer_async(timestamp=int(clock.now().timestamp()))
            except AlreadyEnqueued:
                log.info("already waiting", job=entry.job)


@asynccontextmanager
async def opened(settings: Settings, connections: int, ending: Callable[[], bool] = bool) -> AsyncIterator[jobs.Reach]:
    """Give what a job over all clinics works with.

    connections: for sweeps, and as many for single clinics besides those that sending takes.
    """
    assert settings.worker_database_url is not None, "PHYSIO_WORKER_DATABASE_URL"
    assert settings.sweeper_database_url is not None, "PHYSIO_SWEEPER_DATABASE_URL"
    worker_url = settings.worker_database_url.get_secret_value()
    cache = settings.statement_cache
    sweeper = make_engine(
        settings.sweeper_database_url.get_secret_value(),
        pool_size=connections,
        statement_cache=cache,
        application_name="physio-sweeper",
    )
    worker = make_engine(
        worker_url, pool_size=connections + ABREAST, statement_cache=cache, application_name="physio-worker"
    )
    texts.load()  # a broken file stops the start, with its name and line
    channels = open_channels(settings)
    reach = jobs.Reach(
        sweeper=make_sessions(sweeper),
        worker=make_sessions(worker),
        sender=channels.email,
        sms=channels.sms,
        push=channels.push,
        web_push=channels.web_push,
        public_url=settings.public_url,
        key=tokens_of(settings.secret_key.get_secret_value()).key,
        patience=PATIENCE_SECONDS,
        abreast=ABREAST,
        ending=ending,
    )
    try:
        yield reach
    finally:
        await channels.close()
        await sweeper.dispose()
        await worker.dispose()


async def serve(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT, while starting too; then stop within ten seconds."""
    stopping = asyncio.Event()
    working = asyncio.create_task(_work(settings, stopping))

    def stop() -> None:
        """Let the jobs know before the worker waits for them: sending ends with the letter under way."""
        if not stopping.is_set():
            stopping.set()
            working.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    with suppress(asyncio.CancelledError):
        await working


async def _work(settings: Settings, stopping: asyncio.Event) -> None:
    assert settings.worker_database_url is not None, "PHYSIO_WORKER_DATABASE_URL"
    async with opened(settings, CONCURRENCY, stopping.is_set) as reach:
        app = make_app(settings.worker_database_url.get_secret_value(), reach, sandbox=settings.sandbox)
        # Not `async with app.open_async()`: cut off, it would leave its pool, whose tasks swallow the cancellation that ends
        # the loop, and the process would wait for them for ever.
        try:
            await app.open_async()
            async with reach.sweeper() as session:
                warning = await time_zones.differing(await session.connection())
            if warning is not None:
                log.warning("old rules", about=warning)
            if settings.environment == "production" and settings.smtp_url is None:
                log.warning("no mail leaves the house", about="PHYSIO_SMTP_URL is not set: mail goes to a folder")
            await _catch_up(app)
            await app.run_worker_async(
                concurrency=CONCURRENCY,
                listen_notify=False,
                fetch_job_polling_interval=POLL_SECONDS,
                shutdown_graceful_timeout=GRACE_SECONDS,
                delete_jobs=DeleteJobCondition.SUCCESSFUL,
                install_signal_handlers=False,
            )
        finally:
            await app.close_async()


def main(settings: Settings) -> None:
    """Run the worker in this process."""
    logs.configure(settings.log_level)
    clock.steer(settings.clock_file)
    uvloop.run(serve(settings))
