"""Jobs: the timetable, and what each run did."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from schemas.base import In, Out, UtcDatetime


class RunIn(In):
    """How to run a job."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"dry_run": True}]})

    dry_run: Annotated[bool, Field(description="Tell what would happen, and change nothing")] = False


class JobRunOut(Out):
    """One run of a job. `counts` says what it did; `error` is the name of what went wrong. A dry run has no id."""

    id: UUID | None
    job: str
    status: str
    dry_run: bool
    started_at: UtcDatetime
    finished_at: UtcDatetime | None
    counts: dict[str, int]
    error: str | None


class JobRetry(Out):
    """A failed run that the queue will try again: how often it was tried, and when the next time is."""

    attempts: int
    next_at: UtcDatetime


class JobOut(Out):
    """A job of the timetable (cron, UTC).

    `backlog` counts what is due and not done (up to 20000), for jobs that can tell. `overdue`: the oldest of it waits more
    than 10 minutes longer than it may. Successes and failures (up to 1000) are those of the last seven days.
    """

    job: str
    cron: str
    about: str
    next_start: UtcDatetime
    last_run: JobRunOut | None
    last_success_at: UtcDatetime | None
    failures_since_success: int
    retry: JobRetry | None
    backlog: int
    oldest_age_seconds: int | None
    overdue: bool


class JobList(Out):
    """The whole timetable. `overdue`: whether any job is."""

    items: list[JobOut]
    next_cursor: None
    overdue: bool


class DeadLetterKind(StrEnum):
    """What was given up."""

    NOTIFICATION = "notification"
    JOB = "job"


class DeadLetter(Out):
    """Something that was given up, in ids and codes: a letter (`dropped` after many attempts, or `refused`), or a job.

    `name` is the letter's template, or the job; `error` a code. Sent again it is `owed`, run again `todo`. A job belongs
    to no clinic.
    """

    id: str
    kind: DeadLetterKind
    clinic_id: UUID | None
    name: str
    channel: str | None
    status: str
    error: str | None
    attempts: int
    at: UtcDatetime | None
