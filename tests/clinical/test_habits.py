"""Daily measures: every worked example, values that one odd day does not move, and slopes that keep their promises."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical import habits
from clinical.habit_rules import DailyMeasure, Direction, TrendExample
from clinical.library import load

ON = date(2026, 3, 29)


def measure(code: str) -> DailyMeasure:
    found = habits.measure_of(code)
    assert found is not None
    return found


def days(*answers: tuple[int, float]) -> dict[date, Decimal]:
    """Give answers by days ago."""
    return {ON - timedelta(days=ago): Decimal(str(value)) for ago, value in answers}


@pytest.mark.parametrize("example", load().habits.examples, ids=lambda example: str(example.name))
def test_worked_example(example: TrendExample) -> None:
    found = habits.trend(measure(example.code), days(*example.answers), ON)
    expected = example.expect
    assert (found.direction, found.recent, found.before) == (expected.direction, expected.recent, expected.before)
    assert load().habits.version == "habits-2026-1"


def test_every_measure_is_a_question_with_a_unit_and_every_habit_a_measure() -> None:
    for one in load().habits.measures:
        question = habits.question_of(one.code)
        assert question.unit
        assert question.type in {"integer", "number"}
    assert load().habits.lifestyle.keys() == {"sleep_hours", "stress", "steps", "activity_minutes"}
    assert habits.measure_of("magic") is None


def test_a_value_needs_enough_answered_days_of_its_window() -> None:
    sleep = measure("sleep_hours")
    assert habits.value_on(sleep, days((0, 7), (3, 6)), ON) is None
    assert habits.value_on(sleep, days((0, 7), (3, 6), (6, 4)), ON) == 6
    assert habits.value_on(sleep, days((0, 7), (3, 6), (7, 4)), ON) is None, "eight days ago is another window"
    assert habits.values(sleep, days((8, 4), (3, 6), (2, 6), (0, 7))) == [
        (ON - timedelta(days=2), Decimal(6)),
        (ON, Decimal(6)),
    ]


def test_a_target_is_reached_on_days_and_better_means_what_the_measure_says() -> None:
    steps = days((0, 6000), (1, 5999), (2, 8000), (9, 9000))
    assert habits.reached(measure("steps"), steps, Decimal(6000), ON) == habits.Reached(answered=3, reached=2)
    assert habits.meets(measure("stress"), Decimal(3), Decimal(3))
    assert not habits.meets(measure("stress"), Decimal(4), Decimal(3))


def test_a_ladder_is_climbed_on_the_day_of_the_last_step() -> None:
    run = [ON + timedelta(days=number) for number in range(8)]
    assert habits.earned((1, 7, 14), run) == [(1, run[0]), (7, run[6])]
    assert habits.earned((1, 7), []) == []


ANSWERS = st.dictionaries(st.integers(0, 13), st.integers(0, 24), max_size=14)


@settings(max_examples=60)
@given(ANSWERS)
def test_a_trend_turns_around_with_the_measure_and_stays_among_its_answers(answers: dict[int, int]) -> None:
    given_ = days(*answers.items())
    found = habits.trend(measure("sleep_hours"), given_, ON)
    assert found.recent_answers + found.before_answers == len(answers)
    for value in (found.recent, found.before):
        assert value is None or min(given_.values()) <= value <= max(given_.values())
    turned = measure("sleep_hours").model_copy(update={"lower_is_better": True})
    opposite = {Direction.BETTER: Direction.WORSE, Direction.WORSE: Direction.BETTER}
    assert habits.trend(turned, given_, ON).direction is opposite.get(found.direction, found.direction)
    assert (found.direction is Direction.UNKNOWN) == (found.recent is None or found.before is None)


@settings(max_examples=30)
@given(st.integers(-20, 20), st.integers(0, 100))
def test_the_slope_of_a_line_is_its_slope_and_one_odd_day_does_not_move_it(per_day: int, start: int) -> None:
    line = days(*((13 - number, start + per_day * number) for number in range(14)))
    assert habits.trend(measure("steps"), line, ON).slope_per_week == per_day * 7
    line[ON - timedelta(days=6)] += 5000
    assert habits.trend(measure("steps"), line, ON).slope_per_week == per_day * 7


def test_one_answer_has_no_slope() -> None:
    assert habits.trend(measure("steps"), days((0, 5000)), ON).slope_per_week is None
