"""How far a goal is: both directions, no baseline, already there, and back again."""

from datetime import date, timedelta
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.goals import Achievement, Reading, achievement

FIRST = date(2026, 3, 2)


def readings(*values: float) -> list[Reading]:
    """Give one reading a week."""
    return [Reading(FIRST + timedelta(weeks=week), Decimal(str(value))) for week, value in enumerate(values)]


def far(*values: float, baseline: float | None = None, target: float = 4, week: int = 0) -> Achievement:
    """Hold scores of which fewer is better against a target that was set in a week."""
    known = None if baseline is None else Decimal(str(baseline))
    set_on = FIRST + timedelta(weeks=week)
    return achievement(readings(*values), known, Decimal(str(target)), set_on=set_on, lower_is_better=True)


def test_the_way_goes_from_baseline_to_target() -> None:
    found = far(12, 10, 6)
    assert (found.baseline, found.current) == (Decimal(12), Decimal(6))
    assert found.current_on == FIRST + timedelta(weeks=2)
    assert (found.percent, found.holds, found.reached_on) == (Decimal("75.0"), False, None)
    assert far(12, 14).percent == 0
    assert far(12, 2).percent == 100
    assert far(10, 8, baseline=16).percent == Decimal("66.7")


def test_more_is_better_where_the_measure_says_so() -> None:
    found = achievement(readings(3, 5), None, Decimal(7), set_on=FIRST, lower_is_better=False)
    assert (found.percent, found.holds) == (Decimal("50.0"), False)


def test_reached_once_is_known_even_when_it_does_not_hold() -> None:
    found = far(12, 4, 6)
    assert (found.reached_on, found.holds, found.percent) == (FIRST + timedelta(weeks=1), False, Decimal("75.0"))


def test_what_was_reached_before_the_goal_was_set_counts_from_that_day() -> None:
    assert far(12, 3, week=3).reached_on == FIRST + timedelta(weeks=3)
    again = far(12, 3, 9, week=3)
    assert again.reached_on is None, "long past, and not true when it was set"
    assert (again.baseline, again.percent) == (Decimal(9), Decimal(0))


def test_there_is_no_way_from_a_baseline_that_is_as_good_already() -> None:
    assert far(3, 8).percent is None
    assert far(4, 4).percent is None


def test_without_readings_nothing_is_said() -> None:
    assert far(baseline=9) == Achievement(Decimal(9), None, None, None, None, None)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 24), max_size=8), st.integers(0, 24), st.integers(0, 10))
def test_the_way_is_a_share_and_whole_exactly_where_the_target_holds(values: list[int], target: int, week: int) -> None:
    found = far(*values, target=target, week=week)
    assert found.percent is None or 0 <= found.percent <= 100
    if found.percent is not None:
        assert (found.percent == 100) == found.holds
    if found.holds:
        assert found.reached_on is not None
    assert found.reached_on is None or found.reached_on >= FIRST + timedelta(weeks=week)
