"""When an instrument is due, by the examples of the file."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.administration import AdministrationExample, Occasion, Schedule, next_due
from clinical.library import load
from models.instrument_plans import InstrumentOccasion

FIRST = date(2026, 3, 2)
AHEAD = load().administration.ahead_days


def on(days: int | None) -> date | None:
    return None if days is None else FIRST + timedelta(days=days)


@pytest.mark.parametrize("example", load().administration.examples, ids=lambda example: str(example.name))
def test_the_worked_examples(example: AdministrationExample) -> None:
    schedule = Schedule(FIRST, example.intake, example.every_weeks, on(example.report), on(example.discharge))
    found = next_due(schedule, on(example.last), ahead_days=AHEAD)
    assert found == (None if example.expect is None else (on(example.expect[0]), example.expect[1]))


def test_the_words_are_those_of_the_record() -> None:
    assert [one.value for one in Occasion] == [one.value for one in InstrumentOccasion]


DAYS = st.none() | st.integers(0, 200)


@settings(max_examples=60)
@given(st.booleans(), st.none() | st.integers(1, 26), DAYS, DAYS, st.integers(0, 200))
def test_whoever_has_answered_is_not_asked_again_for_the_same_reason(
    intake: bool,
    weeks: int | None,
    report: int | None,
    discharge: int | None,
    day: int,
) -> None:
    schedule = Schedule(FIRST, intake, weeks, on(report), on(discharge))
    answered = on(day)
    assert answered is not None
    found = next_due(schedule, answered, ahead_days=AHEAD)
    if found is not None:
        assert found[0] > answered
        assert found[1] is not Occasion.INTAKE
