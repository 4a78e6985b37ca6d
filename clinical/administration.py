"""When an instrument is next due, by its plan and the day of the last answers; numbers in `rules/administration.yaml`."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import StrictBool, StrictInt

from clinical.reading import Strict


class Occasion(StrEnum):
    """Why it is due; of two on the same day the first stands."""

    INTAKE = "intake"
    REPORT = "report"
    DISCHARGE = "discharge"
    INTERVAL = "interval"


class AdministrationExample(Strict):
    """A worked example; days count from the first one of the plan."""

    name: str
    intake: StrictBool
    every_weeks: StrictInt | None = None
    report: StrictInt | None = None
    discharge: StrictInt | None = None
    last: StrictInt | None
    expect: tuple[StrictInt, Occasion] | None


class Administration(Strict):
    """When instruments are due."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    ahead_days: StrictInt
    examples: tuple[AdministrationExample, ...]


@dataclass(frozen=True)
class Schedule:
    """When to ask: at the start, every so many weeks, before a report and before the discharge on these local days."""

    starts_on: date
    intake: bool
    every_weeks: int | None = None
    report_on: date | None = None
    discharge_on: date | None = None


def next_due(schedule: Schedule, last_on: date | None, *, ahead_days: int) -> tuple[date, Occasion] | None:
    """Return the day from which the instrument is due, and why; None when nothing is left to ask.

    last_on: the local day of the last answers in this episode, of this plan or not.
    """
    order = list(Occasion)
    found = sorted(
        _occasions(schedule, last_on, timedelta(days=ahead_days)), key=lambda each: (each[0], order.index(each[1]))
    )
    return found[0] if found else None


def _occasions(schedule: Schedule, last_on: date | None, ahead: timedelta) -> Iterator[tuple[date, Occasion]]:
    begins = schedule.starts_on
    if schedule.intake and last_on is None:
        yield begins, Occasion.INTAKE
    if schedule.every_weeks is not None:
        yield max(begins, last_on or begins) + timedelta(weeks=schedule.every_weeks), Occasion.INTERVAL
    for day, occasion in ((schedule.report_on, Occasion.REPORT), (schedule.discharge_on, Occasion.DISCHARGE)):
        if day is not None and (last_on is None or last_on < day - ahead):
            yield max(begins, day - ahead), occasion
