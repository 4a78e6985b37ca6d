"""How well a program is kept to: three measures, each in percent with one decimal, and None where nothing was due.

There is no gold standard (EARS study, Newman-Beinart 2017); the formulas and bands are product defaults from
`rules/adherence.yaml`. Excused sessions (paused, suspended, agreed) count nowhere.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from clinical.library import load
from clinical.rounding import percent

HUNDRED = 100


class Band(StrEnum):
    """What a share of sessions is called."""

    HIGH = "high"
    PARTIAL = "partial"
    LOW = "low"
    INSUFFICIENT_DATA = "insufficient_data"


@dataclass(frozen=True)
class PlannedSession:
    """A session that was due, and what came of it.

    flare: the day belonged to a flare-up; what was done then counts, what was missed does not. Doses are in the unit of
    `dose`; done_dose is best summed over items as min(done, prescribed), so that more of one exercise does not make up for
    another.
    """

    prescribed_items: int
    done_items: int
    prescribed_dose: int = 0
    done_dose: int = 0
    excused: bool = False
    flare: bool = False

    @property
    def completed(self) -> bool:
        """At least one exercise, and at least half of them, were done."""
        share = load().adherence.completed_from_share
        return self.done_items >= 1 and self.done_items * HUNDRED >= self.prescribed_items * share

    @property
    def counts(self) -> bool:
        """It was due: neither excused nor missed in a flare-up."""
        return not self.excused and (self.completed or not self.flare)


@dataclass(frozen=True)
class Adherence:
    """Percent of sessions, exercises and dose; None when nothing was scheduled (or, for dose, nothing measured)."""

    session_percent: Decimal | None
    exercise_percent: Decimal | None
    dose_percent: Decimal | None
    band: Band
    scheduled: int
    completed: int


def adherence(sessions: Sequence[PlannedSession]) -> Adherence:
    """Return the three measures over `sessions`; those that were not due or that prescribed nothing do not count."""
    due = [session for session in sessions if session.counts and session.prescribed_items > 0]
    completed = sum(session.completed for session in due)
    session_percent = percent(completed, len(due))
    return Adherence(
        session_percent=session_percent,
        exercise_percent=percent(
            sum(min(session.done_items, session.prescribed_items) for session in due),
            sum(session.prescribed_items for session in due),
        ),
        dose_percent=percent(
            sum(min(session.done_dose, session.prescribed_dose) for session in due),
            sum(session.prescribed_dose for session in due),
        ),
        band=_band(completed, len(due)),
        scheduled=len(due),
        completed=completed,
    )


def dose(
    sets: int | None, reps: int | None = None, hold_seconds: int | None = None, duration_seconds: int | None = None
) -> int:
    """Return the amount of work: sets x reps, or sets x seconds held, or sets x seconds; 0 when nothing is given.

    Only amounts of the same kind can be compared: done and prescribed of one item.
    """
    amount = next((part for part in (reps, hold_seconds, duration_seconds) if part is not None), 0)
    return (1 if sets is None else sets) * amount


def streak(days: Sequence[bool | None]) -> int:
    """Scheduled days done in a row up to the last one.

    days: the oldest first; True done, False not done, None not scheduled, excused, in a flare, or still open: these
    neither add nor break.
    """
    run = 0
    for done in reversed(days):
        if done is False:
            break
        run += done is True
    return run


def day_done(sessions: Sequence[PlannedSession]) -> bool | None:
    """Tell whether a scheduled day was done: at least half of its sessions, as of the exercises in each of them.

    None where nothing was due: excused, or in a flare-up.
    """
    due = [session.completed for session in sessions if not (session.excused or session.flare)]
    return sum(due) * HUNDRED >= len(due) * load().habits.day_done_from_share if due else None


@dataclass(frozen=True)
class DayStreak:
    """Scheduled days done in a row: the run that still lasts, since when, and the longest one.

    first: for each length that was ever reached, the day on which it was, for the first time.
    """

    days: int
    since: date | None
    longest: int
    first: Mapping[int, date]

    def reached(self, ladder: Sequence[int]) -> list[tuple[int, date]]:
        """Give the lengths of a ladder that were reached, each with its day."""
        return [(length, self.first[length]) for length in ladder if length in self.first]


def day_streak(days: Sequence[tuple[date, bool | None]]) -> DayStreak:
    """Return the runs of scheduled days done, by the same rule as `streak`. days: in order."""
    run, since, first = 0, None, dict[int, date]()
    for day, done in days:
        if done is False:
            run, since = 0, None
        elif done:
            run, since = run + 1, since or day
            first.setdefault(run, day)
    return DayStreak(run, since, max(first, default=0), first)


def check_in_completion(submitted_in_window: int, due: int) -> Decimal | None:
    """Check-ins answered inside their window, in percent of those due, at most 100; None when none was due."""
    return percent(min(submitted_in_window, due), due)


def _band(completed: int, scheduled: int) -> Band:
    bands = load().adherence.bands
    if scheduled < bands.min_scheduled:
        return Band.INSUFFICIENT_DATA
    if completed * HUNDRED >= bands.high * scheduled:
        return Band.HIGH
    return Band.PARTIAL if completed * HUNDRED >= bands.partial * scheduled else Band.LOW
