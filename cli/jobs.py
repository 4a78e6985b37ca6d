"""`physio jobs …`: what starts because time passed, seen and started from the command line. Ids, codes and numbers only."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from uuid import UUID

import typer

from cli.environment import console, one_machine, with_roles

if TYPE_CHECKING:
    from core.settings import Settings
    from schemas.jobs import DeadLetter, JobList, JobRunOut
    from services.jobs import Reach

jobs = typer.Typer(no_args_is_help=True, help="What starts because time passed: the timetable, runs, dead letters.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
T = TypeVar("T")
WIDE = 180
"""Columns of a terminal that a table takes at least."""


@jobs.command("list")
def list_(
    *,
    json: AsJson = False,
    check: Annotated[bool, typer.Option(help="Exit with status 1 when a job is overdue, for monitoring.")] = False,
) -> None:
    """Show the timetable: what waits, since when, and how the last runs went."""
    found = _ask(_overview)
    if json:
        typer.echo(found.model_dump_json(indent=2))
    else:
        _print(
            ("job", "next start", "last run", "last success", "failed since", "tried again", "waiting", "oldest"),
            [
                (
                    item.job,
                    _moment(item.next_start),
                    "-" if item.last_run is None else f"{item.last_run.status} {_moment(item.last_run.started_at)}",
                    _moment(item.last_success_at),
                    item.failures_since_success,
                    _moment(None if item.retry is None else item.retry.next_at),
                    item.backlog,
                    f"{_age(item.oldest_age_seconds)}{' OVERDUE' if item.overdue else ''}",
                )
                for item in found.items
            ],
        )
    raise SystemExit(1 if check and found.overdue else 0)


@jobs.command()
def runs(
    job: Annotated[str | None, typer.Argument(help="Only the runs of this job.")] = None,
    *,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, the newest first.")] = 20,
    json: AsJson = False,
) -> None:
    """Show the latest runs and what they did."""
    found = _ask(lambda reach, _at: _runs(reach, job, limit))
    if json:
        _print_json(found)
    else:
        _print(("id", "job", "started", "status", "did"), [_row(each) for each in found])


@jobs.command()
def run(
    job: Annotated[str, typer.Argument(help="Its name in the timetable.")],
    *,
    dry_run: Annotated[bool, typer.Option(help="Tell what would happen, and change nothing.")] = False,
    json: AsJson = False,
) -> None:
    """Run a job now, over all clinics; safe to repeat, and beside a worker."""
    from services import jobs as service  # noqa: PLC0415
    from services.isolation import ClinicsFailed  # noqa: PLC0415

    if job not in service.JOBS:
        raise typer.BadParameter(f"no such job: {job}. There are {', '.join(service.JOBS)}", param_hint="JOB")
    try:
        done = _ask(lambda reach, at: service.run(job, reach, at=at, dry_run=dry_run))
    except ClinicsFailed as failed:
        done_all_the_same = ", ".join(f"{name}={number}" for name, number in failed.counts.items())
        raise SystemExit(f"physio: some clinics failed, the first with {failed.first} ({done_all_the_same})") from None
    if json:
        typer.echo(done.model_dump_json(indent=2))
    else:
        _print(("id", "job", "started", "status", "would do" if dry_run else "did"), [_row(done)])


@jobs.command()
def dead(*, json: AsJson = False) -> None:
    """Show what was given up: letters that were dropped or refused, and jobs of the queue."""
    found = _ask(_dead)
    if json:
        _print_json(found)
        return
    _print(
        ("id", "clinic", "what", "status", "error", "attempts", "since"),
        [
            (each.id, each.clinic_id or "-", each.name, each.status, each.error or "-", each.attempts, _moment(each.at))
            for each in found
        ],
    )


@jobs.command()
def replay(
    dead_id: Annotated[str | None, typer.Argument(metavar="ID", help="Its id, as `physio jobs dead` shows it.")] = None,
    *,
    all_: Annotated[bool, typer.Option("--all", help="All that were given up (up to 1000 letters).")] = False,
    json: AsJson = False,
) -> None:
    """Send letters again, or let the queue run jobs again; safe to repeat. What is done stands in the clinic's records."""
    from services.dead_letters import QUEUE  # noqa: PLC0415

    if (dead_id is None) != all_:
        raise typer.BadParameter("give one id, or --all", param_hint="ID")
    if dead_id is not None and not (dead_id.startswith(QUEUE) and dead_id.removeprefix(QUEUE).isdecimal()):
        try:
            UUID(dead_id)
        except ValueError:
            raise typer.BadParameter(f"ids are UUIDs, or {QUEUE} and a number", param_hint="ID") from None
    again = _ask(lambda reach, at: _replay(reach, at, dead_id))
    if json:
        _print_json(again)
    else:
        console.print(f"physio: {len(again)} will be tried again")


# ------------------------------------------------------------------ what is asked
def _ask(question: "Callable[[Reach, datetime], Coroutine[Any, Any, T]]") -> T:
    """Answer a question about the database of the settings, or of a running `make run`, with the clock that it has."""

    async def answer(settings: "Settings") -> T:
        from core import clock, logs  # noqa: PLC0415
        from jobs.worker import opened, see_the_clock  # noqa: PLC0415

        logs.configure(settings.log_level)  # on standard error: the answer stands alone
        async with opened(settings, 2) as reach:
            await see_the_clock(reach)
            return await question(reach, clock.now())

    with one_machine(guest=True) as settings:
        return asyncio.run(answer(with_roles(settings, "worker_database_url", "sweeper_database_url")))


async def _overview(reach: "Reach", at: datetime) -> "JobList":
    from services import job_board  # noqa: PLC0415

    async with reach.sweep() as session, reach.work(None) as queue:
        return await job_board.overview(session, queue, at=at)


async def _runs(reach: "Reach", job: str | None, limit: int) -> "list[JobRunOut]":
    from services import job_board  # noqa: PLC0415

    async with reach.sweep() as session:
        return await job_board.runs(session, job=job, limit=limit)


async def _dead(reach: "Reach", _at: datetime) -> "Sequence[DeadLetter]":
    from services import dead_letters  # noqa: PLC0415

    async with reach.work(None) as queue:
        failed = await dead_letters.failed_jobs(queue)
    async with reach.sweep() as session:
        return [*failed, *await dead_letters.letters(session)]


async def _replay(reach: "Reach", at: datetime, dead_id: str | None) -> "list[DeadLetter]":
    from sqlalchemy import select  # noqa: PLC0415

    from core.errors import NotFound  # noqa: PLC0415
    from models.notifications import Notification  # noqa: PLC0415
    from services import audit, dead_letters  # noqa: PLC0415

    again = []
    named = None if dead_id is None else dead_id.removeprefix(dead_letters.QUEUE)
    if dead_id is None or dead_id != named:
        async with reach.work(None) as queue:
            ids = [each.id for each in await dead_letters.failed_jobs(queue)] if dead_id is None else [dead_id]
            for each in ids:
                job_id = int(each.removeprefix(dead_letters.QUEUE))
                again.append(await dead_letters.replay_job(queue, job_id, at=at))
        if dead_id is not None:
            return again
    async with reach.sweep() as session:
        if dead_id is None:
            found = [(each.clinic_id, UUID(each.id)) for each in await dead_letters.letters(session)]
        else:
            mine = select(Notification.clinic_id, Notification.id).where(Notification.id == UUID(dead_id))
            found = [(row.clinic_id, row.id) for row in await session.execute(mine)]
    if dead_id is not None and not found:
        raise NotFound
    for clinic_id, letter_id in found:
        assert clinic_id is not None, "letters are of a clinic"
        async with reach.work(clinic_id) as session:
            letter, changed = await dead_letters.replay_letter(session, clinic_id, letter_id, at=at)
            if changed:
                again.append(letter)
                subject = ("notification", letter_id)
                await audit.record_operator(session, clinic_id, "notification.replay", at=at, subject=subject)
    return again


# ------------------------------------------------------------------ how it is shown
def _print(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, no_wrap=True)
    for row in rows:
        table.add_row(*map(str, row))
    shown = Console(highlight=False)
    shown.width = max(shown.width, WIDE)  # what does not fit the screen is not cut
    shown.print(table)


def _print_json(found: "Sequence[JobRunOut | DeadLetter]") -> None:
    typer.echo("[" + ",\n ".join(each.model_dump_json() for each in found) + "]")


def _row(each: "JobRunOut") -> tuple[object, ...]:
    did = " ".join(f"{name}={count}" for name, count in each.counts.items())
    return each.id or "-", each.job, _moment(each.started_at), each.status, each.error or did or "-"


def _moment(at: datetime | None) -> str:
    return "-" if at is None else f"{at:%Y-%m-%d %H:%M:%S}Z"


def _age(seconds: int | None) -> str:
    return "-" if seconds is None else f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"
