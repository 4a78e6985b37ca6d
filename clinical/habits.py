"""Daily answers as measures: a value that one odd day does not move, and whether it changed.

Pure, and with the numbers of `rules/habits.yaml`: product defaults.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from statistics import median

from clinical.forms import Question
from clinical.habit_rules import DailyMeasure, Direction
from clinical.library import load
from clinical.rounding import half_up

Days = Mapping[date, Decimal]
"""The value of each answered local day."""

ASKED_IN = ("daily", "weekly")
"""The question sets that daily measures are answered in; where both ask, the daily answer tells of its day."""

WEEK = 7


@dataclass(frozen=True)
class Trend:
    """The last window against the one before it.

    recent, before: their medians, None with too few answers. slope_per_week: of both windows together, in the unit of
    the measure, None with fewer than two answered days.
    """

    direction: Direction
    recent: Decimal | None
    before: Decimal | None
    recent_answers: int
    before_answers: int
    slope_per_week: Decimal | None


@dataclass(frozen=True)
class Reached:
    """Of the answered days of a window, those that reached a target."""

    answered: int
    reached: int


def measure_of(code: str) -> DailyMeasure | None:
    """Give the daily measure of this code; None when there is none."""
    return next((one for one in load().habits.measures if one.code == code), None)


def question_of(code: str) -> Question:
    """Give the question behind a daily measure: its unit, its ends, its decimals."""
    sets = load().question_sets
    return next(each for name in ASKED_IN for each in sets[name].questions if each.id == code)


def value_on(measure: DailyMeasure, days: Days, on: date) -> Decimal | None:
    """Give the value of the window that ends with `on`; None with too few answers."""
    return _median(measure, list(_window(measure, days, on).values()))


def values(measure: DailyMeasure, days: Days) -> list[tuple[date, Decimal]]:
    """Give the value at each answered day that has one, in order."""
    found = ((day, value_on(measure, days, day)) for day in sorted(days))
    return [(day, value) for day, value in found if value is not None]


def meets(measure: DailyMeasure, value: Decimal, target: Decimal) -> bool:
    """Tell whether a value is as good as the target, or better."""
    return value <= target if measure.lower_is_better else value >= target


def reached(measure: DailyMeasure, days: Days, target: Decimal, on: date) -> Reached:
    """Count the days of the window that ends with `on`, each on its own against the target."""
    window = _window(measure, days, on)
    return Reached(len(window), sum(meets(measure, value, target) for value in window.values()))


def trend(measure: DailyMeasure, days: Days, on: date) -> Trend:
    """Compare the window that ends with `on` with the one before."""
    recent = _window(measure, days, on)
    before = _window(measure, days, on - timedelta(days=measure.window_days))
    now, then = _median(measure, list(recent.values())), _median(measure, list(before.values()))
    return Trend(
        direction=_direction(measure, then, now),
        recent=now,
        before=then,
        recent_answers=len(recent),
        before_answers=len(before),
        slope_per_week=_slope(before | recent),
    )


def earned(ladder: Sequence[int], days: Sequence[date]) -> list[tuple[int, date]]:
    """Give the steps of a ladder that were climbed, each with its day. days: of what is counted, in order."""
    return [(count, days[count - 1]) for count in ladder if count <= len(days)]


def _window(measure: DailyMeasure, days: Days, on: date) -> dict[date, Decimal]:
    window = (on - timedelta(days=back) for back in reversed(range(measure.window_days)))
    return {day: days[day] for day in window if day in days}


def _median(measure: DailyMeasure, answers: Sequence[Decimal]) -> Decimal | None:
    return half_up(median(answers), 2) if len(answers) >= measure.least_answers else None


def _direction(measure: DailyMeasure, before: Decimal | None, recent: Decimal | None) -> Direction:
    if before is None or recent is None:
        return Direction.UNKNOWN
    if abs(recent - before) < Decimal(str(measure.steady)):
        return Direction.STEADY
    return Direction.BETTER if (recent < before) is measure.lower_is_better else Direction.WORSE


def _slope(days: Days) -> Decimal | None:
    """Give the median of the slopes between all pairs of days, per week: few odd days do not move it."""
    points = sorted(days.items())
    slopes = [
        Fraction(later - earlier) / (second - first).days
        for place, (first, earlier) in enumerate(points)
        for second, later in points[place + 1 :]
    ]
    return half_up(median(slopes) * WEEK, 2) if slopes else None
