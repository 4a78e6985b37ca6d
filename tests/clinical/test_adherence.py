"""Adherence: every worked example, and shares that stay shares."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.adherence import (
    Band,
    PlannedSession,
    adherence,
    check_in_completion,
    day_done,
    day_streak,
    dose,
    streak,
)
from clinical.library import load
from clinical.rounding import half_up, percent
from clinical.rulebook import AdherenceExample


def decimal(value: float | None) -> Decimal | None:
    return None if value is None else Decimal(str(value))


def test_no_example_is_forgotten() -> None:
    assert len(load().adherence.examples) == 4


@pytest.mark.parametrize("example", load().adherence.examples, ids=lambda example: str(example.name))
def test_worked_example(example: AdherenceExample) -> None:
    found = adherence([PlannedSession(asked, done, excused=excused) for asked, done, excused in example.sessions])
    assert found.session_percent == decimal(example.expect["session"])
    assert found.exercise_percent == decimal(example.expect["exercise"])
    assert found.band == example.expect["band"]


def test_excused_sessions_and_empty_ones_count_nowhere() -> None:
    found = adherence([PlannedSession(4, 4), PlannedSession(4, 0, excused=True), PlannedSession(0, 0)])
    assert (found.scheduled, found.completed, found.session_percent) == (1, 1, Decimal("100.0"))


def test_a_session_is_completed_with_half_of_it_and_at_least_one_exercise() -> None:
    assert PlannedSession(4, 2).completed
    assert not PlannedSession(5, 2).completed
    assert not PlannedSession(1, 0).completed


def test_doing_more_of_one_thing_does_not_make_up_for_another() -> None:
    found = adherence([PlannedSession(2, 3, 20, 60), PlannedSession(2, 0, 20, 0)])
    assert (found.exercise_percent, found.dose_percent) == (Decimal("50.0"), Decimal("50.0"))


def test_a_dose_that_was_never_measured_is_none_and_not_zero() -> None:
    assert adherence([PlannedSession(2, 2)]).dose_percent is None


@pytest.mark.parametrize(
    ("done", "band"), [(10, Band.HIGH), (8, Band.HIGH), (7, Band.PARTIAL), (5, Band.PARTIAL), (4, Band.LOW)]
)
def test_bands_have_sharp_edges(done: int, band: Band) -> None:
    assert adherence([PlannedSession(1, 1)] * done + [PlannedSession(1, 0)] * (10 - done)).band is band


@pytest.mark.parametrize(
    ("given_dose", "amount"),
    [
        ((3, 10, None, None), 30),
        ((2, 5, 6, None), 10),
        ((2, None, 30, None), 60),
        ((1, None, None, 300), 300),
        ((None, None, None, 300), 300),
        ((3, None, None, None), 0),
        ((0, 10, None, None), 0),
    ],
)
def test_dose(given_dose: tuple[int | None, int | None, int | None, int | None], amount: int) -> None:
    assert dose(*given_dose) == amount


@pytest.mark.parametrize(
    ("days", "length"),
    [
        ([], 0),
        ([True, True], 2),
        ([True, False, True], 1),
        ([True, None, True, None], 2),
        ([True, False], 0),
        ([None], 0),
    ],
)
def test_a_streak_counts_scheduled_days_only(days: list[bool | None], length: int) -> None:
    assert streak(days) == length


MONDAY = date(2026, 3, 2)


def dated(days: Sequence[bool | None]) -> list[tuple[date, bool | None]]:
    return [(MONDAY + timedelta(days=number), done) for number, done in enumerate(days)]


def test_a_day_is_done_with_half_of_the_sessions_that_were_due() -> None:
    done, missed = PlannedSession(2, 2), PlannedSession(4, 1)
    assert day_done([done, done])
    assert day_done([done, missed])
    assert day_done([done, missed, missed]) is False
    assert day_done([missed]) is False
    assert day_done([done, PlannedSession(4, 0, excused=True)])
    assert day_done([PlannedSession(4, 4, flare=True), PlannedSession(4, 0, excused=True)]) is None
    assert day_done([]) is None


def test_a_streak_knows_since_when_and_the_longest_one() -> None:
    found = day_streak(dated([True, None, True, True, False, None, True, None, True]))
    assert (found.days, found.since, found.longest) == (2, MONDAY + timedelta(days=6), 3)
    assert found.reached((1, 3, 7)) == [(1, MONDAY), (3, MONDAY + timedelta(days=3))]
    empty = day_streak([])
    assert (empty.days, empty.since, empty.longest, empty.reached((1,))) == (0, None, 0, [])


def test_check_in_completion_is_a_share_of_those_due() -> None:
    assert check_in_completion(2, 3) == Decimal("66.7")
    assert check_in_completion(4, 3) == Decimal("100.0")
    assert check_in_completion(0, 0) is None


def test_half_is_rounded_up_on_the_stated_decimals() -> None:
    assert [half_up(Decimal(text), 1) for text in ("0.25", "0.35", "-0.25")] == [
        Decimal("0.3"),
        Decimal("0.4"),
        Decimal("-0.3"),
    ]
    assert half_up(Decimal("2.5")) == 3
    assert percent(1, 3) == Decimal("33.3")
    assert percent(1, 0) is None


SESSIONS = st.lists(
    st.builds(
        PlannedSession,
        st.integers(0, 12),
        st.integers(0, 15),
        st.integers(0, 500),
        st.integers(0, 900),
        st.booleans(),
    )
)


@given(SESSIONS)
def test_every_share_is_between_nothing_and_all(sessions: Sequence[PlannedSession]) -> None:
    found = adherence(sessions)
    for share in (found.session_percent, found.exercise_percent, found.dose_percent):
        assert share is None or 0 <= share <= 100
    assert 0 <= found.completed <= found.scheduled <= len(sessions)
    assert (found.session_percent is None) == (found.scheduled == 0)


@given(SESSIONS)
def test_the_order_of_sessions_does_not_matter(sessions: Sequence[PlannedSession]) -> None:
    assert adherence(sessions) == adherence(sessions[::-1])


@given(st.lists(st.sampled_from([True, False, None])))
def test_a_streak_is_never_longer_than_what_was_done(days: list[bool | None]) -> None:
    assert 0 <= streak(days) <= days.count(True)
    assert streak([*days, None]) == streak(days)
    assert streak([*days, True]) == streak(days) + 1
    assert streak([*days, False]) == 0


@given(st.lists(st.sampled_from([True, False, None]), max_size=40))
def test_a_streak_of_days_is_the_streak_and_the_longest_is_no_shorter(days: list[bool | None]) -> None:
    found = day_streak(dated(days))
    assert found.days == streak(days) <= found.longest <= days.count(True)
    assert (found.since is None) == (found.days == 0)
    assert sorted(found.first) == list(range(1, found.longest + 1))
