"""Jobs: the timetable, and what each run did."""

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


class JobOut(Out):
    """A job of the timetable (cron, UTC). `backlog` counts what is due and not done, for jobs that can tell."""

    job: str
    cron: str
    about: str
    last_run: JobRunOut | None
    backlog: int
    oldest_age_seconds: int | None


class JobList(Out):
    """The whole timetable."""

    items: list[JobOut]
    next_cursor: None
