"""How far a goal is: from baseline to target, and since when. Nothing of it is kept: it follows what was answered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from clinical.rounding import percent


@dataclass(frozen=True)
class Reading:
    """A value of the goal's measure, and the local day that it tells of."""

    on: date
    value: Decimal


@dataclass(frozen=True)
class Achievement:
    """How far a goal is.

    percent: of the way from baseline to target, 0 to 100; None where there is no way: nothing measured, or the baseline is
    as good as the target already. reached_on: the first day on which the target was reached, not before the goal was set;
    holds: whether the newest reading still does, None without one.
    """

    baseline: Decimal | None
    current: Decimal | None
    current_on: date | None
    percent: Decimal | None
    holds: bool | None
    reached_on: date | None


NOTHING = Achievement(None, None, None, None, None, None)
"""Of a goal in words only."""


def achievement(
    readings: Sequence[Reading], baseline: Decimal | None, target: Decimal, *, set_on: date, lower_is_better: bool
) -> Achievement:
    """Hold readings (the oldest first) against baseline and target.

    Without a baseline the newest reading up to the day on which the goal was set is it, else the first one after.
    """

    def meets(value: Decimal) -> bool:
        return value <= target if lower_is_better else value >= target

    known = sum(reading.on <= set_on for reading in readings)
    since = readings[max(known - 1, 0) :]
    if baseline is None and since:
        baseline = since[0].value
    current = since[-1] if since else None
    met = next((reading.on for reading in since if meets(reading.value)), None)
    return Achievement(
        baseline=baseline,
        current=None if current is None else current.value,
        current_on=None if current is None else current.on,
        percent=None if current is None or baseline is None else _way(baseline, current.value, target, lower_is_better),
        holds=None if current is None else meets(current.value),
        reached_on=None if met is None else max(met, set_on),
    )


def _way(baseline: Decimal, current: Decimal, target: Decimal, lower_is_better: bool) -> Decimal | None:  # noqa: FBT001 - of one caller
    whole = Fraction(baseline - target if lower_is_better else target - baseline)
    if whole <= 0:
        return None
    gone = Fraction(baseline - current if lower_is_better else current - baseline)
    return percent(min(max(gone, Fraction(0)), whole), whole)
