"""Whether a change matters, by points and by percent."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.change import Change, Value, change
from clinical.forms import ChangeExample, Instrument
from clinical.library import load

EXAMPLES = [(one, example) for one in load().instruments.values() for example in one.change_examples]


def test_no_example_is_forgotten() -> None:
    assert len(EXAMPLES) == 6


def measured(side: object) -> Value:
    return Value(side) if isinstance(side, int) else Value(None, dict(side))  # type: ignore[call-overload]


@pytest.mark.parametrize(("instrument", "example"), EXAMPLES, ids=[one.code for one, _ in EXAMPLES])
def test_worked_example(instrument: Instrument, example: ChangeExample) -> None:
    found = change(instrument, measured(example.baseline), measured(example.current))
    expect = dict(example.expect)
    assert found.points == Decimal(str(expect.pop("change")))
    for name, value in expect.items():
        assert getattr(found, name) == value


def of(code: str, baseline: int | None, current: int | None) -> Change:
    return change(load().instruments[code], Value(baseline), Value(current))


def test_the_yardstick_that_spoke_is_named() -> None:
    assert of("rmdq24", 20, 15).rule == "mic_points"
    assert of("rmdq24", 13, 9).rule == "mic_percent"
    assert of("rmdq24", 13, 8).rule == "both"
    assert of("rmdq24", 13, 12).rule is None


def test_worse_counts_by_points_or_by_percent_too() -> None:
    worse = of("rmdq24", 10, 15)
    assert worse.worsened
    assert (worse.worsened_points, worse.worsened_percent) == (True, True)
    assert not worse.improved
    assert of("nprs", 3, 4).worsened_percent
    assert not of("nprs", 3, 4).worsened_points
    assert not of("nprs", 4, 4).worsened
    assert of("nprs", 4, 2).improved


def test_percent_of_nothing_is_nothing() -> None:
    found = of("nprs", 0, 3)
    assert (found.points, found.percent) == (3, None)
    assert found.worsened_points
    assert not found.worsened_percent


def test_a_missing_score_cannot_be_compared() -> None:
    assert of("nprs", None, 3) == Change(None, None)
    assert of("nprs", 3, None) == Change(None, None)


def test_response_and_remission_are_told_where_they_are_defined() -> None:
    found = of("phq9", 16, 4)
    assert (found.points, found.percent) == (-12, Decimal("-75.0"))
    assert (found.responded, found.remitted) == (True, True)
    assert (of("phq9", 16, 9).responded, of("phq9", 16, 9).remitted) == (False, False)
    assert of("phq9", 0, 2).responded is False
    assert (of("gad7", 10, 4).responded, of("gad7", 10, 4).remitted) == (None, None)


def test_an_instrument_without_a_yardstick_gives_points_only() -> None:
    found = of("phq4", 6, 2)
    assert found.points == -4
    assert not found.improved
    assert (found.responded, found.remitted, found.rule) == (None, None, None)


def psfs(baseline: dict[str, int], current: dict[str, int]) -> Change:
    return change(load().instruments["psfs"], Value(None, baseline), Value(None, current))


def test_activities_count_only_where_both_sides_rate_them() -> None:
    found = psfs({"a": 3, "b": 5}, {"a": 4, "b": 6, "d": 9})
    assert found.activities_compared == 2
    assert found.activities_changed == ()
    assert psfs({"a": 3}, {"b": 3}) == Change(None, None)


def test_one_activity_alone_is_held_to_the_limit_of_a_single_rating() -> None:
    assert not psfs({"a": 3}, {"a": 5}).exceeds_mdc90
    found = psfs({"a": 3}, {"a": 6})
    assert found.exceeds_mdc90
    assert found.improved
    assert found.activities_changed == ("a",)
    assert found.rule == "mdc90"


def test_activities_that_got_harder_are_worse() -> None:
    found = psfs({"a": 8, "b": 6}, {"a": 4, "b": 5})
    assert found.points == Decimal("-2.5")
    assert found.worsened
    assert not found.improved


@given(st.sampled_from(["nprs", "rmdq24", "phq9", "gad7"]), st.integers(0, 10), st.integers(0, 10))
def test_what_is_better_one_way_is_never_better_the_other_way(code: str, one: int, other: int) -> None:
    there, back = of(code, one, other), of(code, other, one)
    assert not (there.improved and there.worsened)
    assert there.improved_points == back.worsened_points
    assert there.points is not None
    assert back.points == -there.points


@given(
    st.dictionaries(st.sampled_from("abcde"), st.integers(0, 10), min_size=1),
    st.dictionaries(st.sampled_from("abcde"), st.integers(0, 10), min_size=1),
)
def test_more_function_in_an_activity_is_an_improvement(baseline: dict[str, int], current: dict[str, int]) -> None:
    there, back = psfs(baseline, current), psfs(current, baseline)
    assert there.improved == back.worsened
    assert there.exceeds_mdc90 == back.exceeds_mdc90
