"""The clock of a sandbox."""

from datetime import timedelta
from typing import Annotated

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from schemas.base import In, Instant, Out, UtcDatetime

MOST_DAYS = 400
"""How far the clock is moved by one request, in days."""


class Advance(In):
    """How far: days, hours and minutes add up."""

    days: Annotated[int, Field(ge=0, le=MOST_DAYS)] = 0
    hours: Annotated[int, Field(ge=0, le=24 * MOST_DAYS)] = 0
    minutes: Annotated[int, Field(ge=0, le=60)] = 0

    @property
    def length(self) -> timedelta:
        """All of it."""
        return timedelta(days=self.days, hours=self.hours, minutes=self.minutes)


class ClockMove(In):
    """Where the clock shall go: by so much (`advance`), or to an instant (`to`, safe to send again until it is reached)."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"advance": {"days": 7}}, {"to": "2026-12-31T08:00:00+01:00"}]}
    )

    advance: Advance | None = None
    to: Instant | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "ClockMove":
        if (self.advance is None) == (self.to is None):
            raise PydanticCustomError("clock_move_form", "Send either advance or to")
        return self


class ClockOut(Out):
    """What the clock of the sandbox shows, and how far it runs ahead of the world's."""

    now: UtcDatetime
    ahead_seconds: int


class ClockMoved(ClockOut):
    """Where the clock has gone, and what happened on the way.

    `reached` is false when the time for one request was over: send the same `to` again. `instants` counts the moments
    at which something was due; `counts` what the jobs did at them, by job.
    """

    to: UtcDatetime
    reached: bool
    instants: int
    counts: dict[str, dict[str, int]]
