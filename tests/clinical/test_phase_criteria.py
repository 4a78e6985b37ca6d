"""Criteria of phases: what may be asked, what is met by what, and how a patient reads it."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.adherence import PlannedSession
from clinical.library import load
from clinical.phase_criteria import (
    DAILY,
    WINDOWS,
    Criterion,
    Judged,
    Measure,
    Observed,
    Operator,
    State,
    all_in_words,
    explained,
    faults,
    in_words,
    judge,
    met,
)

BEGAN = date(2026, 3, 2)
PAIN = {"measure": "pain_now", "op": "lte", "value": 3, "over": {"last_n": 3}}


def criterion(**changes: Any) -> Criterion:
    return Criterion.of(PAIN | changes)


def on(day: int) -> date:
    return BEGAN + timedelta(days=day)


def observed(
    day: int = 10,
    *,
    pain: dict[int, int] | None = None,
    done: dict[int, bool] | None = None,
    scores: tuple[int, ...] = (),
    off_plan: tuple[int, ...] = (),
) -> Observed:
    """What is known on a day of the phase, counted from 0. off_plan: days on which one was done that nobody asked for."""
    return Observed(
        began_on=BEGAN,
        today=on(day),
        answers={"pain_now": {on(each): Decimal(value) for each, value in (pain or {}).items()}},
        sessions=[(on(each), PlannedSession(2, 2 * kept)) for each, kept in (done or {}).items()],
        done=[on(each) for each in [*(day for day, kept in (done or {}).items() if kept), *off_plan]],
        scores={"rmdq24": [Decimal(score) for score in scores]},
    )


COUNT: dict[str, Any] = {"measure": "sessions_done", "op": "gte", "value": 2, "over": None}
KEPT: dict[str, Any] = {"measure": "adherence_percent", "op": "gte", "value": 50, "over": {"days": 4}}
SCORE: dict[str, Any] = {"measure": "instrument", "instrument": "rmdq24", "op": "lte", "value": 8, "over": None}
DAYS: dict[str, Any] = {"measure": "days_in_phase", "op": "gte", "value": 10, "over": None}


@pytest.mark.parametrize(
    ("changes", "known", "state", "value"),
    [
        ({}, observed(pain={1: 9, 4: 3, 6: 1, 9: 2}), State.MET, 3),
        ({}, observed(pain={4: 3, 6: 4, 9: 2}), State.NOT_MET, 4),
        ({}, observed(pain={6: 1, 9: 2}), State.NO_DATA, 2),
        ({}, observed(), State.NO_DATA, None),
        ({"over": None}, observed(pain={1: 9, 9: 2}), State.MET, 2),
        ({"op": "gte"}, observed(pain={4: 3, 6: 4, 9: 2}), State.NOT_MET, 2),
        ({"over": {"days": 2}}, observed(pain={8: 1, 9: 3, 10: 9}), State.MET, 3),
        ({"over": {"days": 2}}, observed(pain={7: 1, 9: 3}), State.NO_DATA, 3),
        ({"over": {"days": 11}}, observed(pain=dict.fromkeys(range(11), 0)), State.NO_DATA, None),
        (COUNT, observed(done={1: True, 2: False, 10: True}), State.MET, 2),
        (COUNT | {"over": {"days": 2}}, observed(done={8: True, 9: True}), State.NOT_MET, 1),
        (COUNT, observed(), State.NOT_MET, 0),
        (COUNT, observed(done={1: True, 2: False}, off_plan=(1,)), State.MET, 2),
        (KEPT, observed(done={8: False, 9: False}, off_plan=(8, 9)), State.NOT_MET, 0),
        (KEPT, observed(done={5: False, 6: True, 9: False, 10: False}), State.MET, 50),
        (KEPT, observed(), State.NO_DATA, None),
        (KEPT | {"over": {"days": 11}}, observed(done={9: True}), State.NO_DATA, None),
        (SCORE, observed(scores=(12, 8)), State.MET, 8),
        (SCORE | {"over": {"last_n": 2}}, observed(scores=(12, 8)), State.NOT_MET, 12),
        (SCORE, observed(), State.NO_DATA, None),
        (DAYS, observed(10), State.MET, 10),
        (DAYS, observed(9), State.NOT_MET, 9),
    ],
)
def test_what_is_met_by_what(changes: dict[str, Any], known: Observed, state: State, value: int | None) -> None:
    asked = criterion(**changes)
    assert faults(asked) == []
    found = judge(asked, known)
    assert (found.state, found.value) == (state, value)
    assert explained(asked, found).startswith(
        {State.MET: "Reached: ", State.NOT_MET: "Not reached: ", State.NO_DATA: "Not "}[state]
    )


def test_all_must_be_met_and_nothing_to_reach_makes_nobody_ready() -> None:
    reached, missed = Judged(State.MET, Decimal(1)), Judged(State.NO_DATA, None)
    assert [met(each) for each in ([], [reached], [reached, missed])] == [False, True, False]


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"value": 11}, {"value": "value_range"}),
        (KEPT | {"value": 101}, {"value": "value_range"}),
        (COUNT | {"value": 0}, {"value": "value_range"}),
        (COUNT | {"value": 1.5}, {"value": "value_range"}),
        (SCORE | {"value": 25}, {"value": "value_range"}),
        ({"instrument": "rmdq24"}, {"instrument": "instrument_choice"}),
        (SCORE | {"instrument": None}, {"instrument": "instrument_choice"}),
        (SCORE | {"instrument": "nothing"}, {"instrument": "unknown_instrument"}),
        ({"over": {"days": 3, "last_n": 3}}, {"over": "window_choice"}),
        ({"over": {"days": 57}}, {"over/days": "window_range"}),
        ({"over": {"last_n": 0}}, {"over/last_n": "window_range"}),
        (KEPT | {"over": None}, {"over": "window_unfit"}),
        (KEPT | {"over": {"last_n": 2}}, {"over": "window_unfit"}),
        (COUNT | {"over": {"last_n": 2}}, {"over": "window_unfit"}),
        (DAYS | {"over": {"days": 2}}, {"over": "window_unfit"}),
        (SCORE | {"over": {"days": 2}, "value": -1}, {"value": "value_range", "over": "window_unfit"}),
    ],
)
def test_what_cannot_be_computed_is_told_by_its_place(changes: dict[str, Any], places: dict[str, str]) -> None:
    assert {fault.field: fault.code for fault in faults(criterion(**changes))} == places


def test_an_instrument_without_a_licensed_text_cannot_be_asked_for() -> None:
    code = next(iter(load().slots))
    asked = criterion(**SCORE | {"instrument": code})
    assert faults(asked) == []
    assert [(fault.field, fault.code) for fault in faults(asked, {code})] == [("instrument", "instrument_not_licensed")]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "Pain at most 3 on each of the last 3 days you answered"),
        ({"over": None, "value": 2.5}, "Pain at most 2.5 on the last day you answered"),
        ({"over": {"days": 7}, "value": 10}, "Pain at most 10 on each of the last 7 full days"),
        ({"over": {"days": 1}, "measure": "pain_worst_24h"}, "Worst pain of the day at most 3 on the last full day"),
        (KEPT, "At least 50 % of the planned sessions done in the last 4 full days"),
        (COUNT, "At least 2 sessions done in this phase"),
        (COUNT | {"value": 1, "over": {"days": 1}}, "At least 1 session done in the last day"),
        (DAYS | {"value": 1, "op": "lte"}, "At most 1 day in this phase"),
        (SCORE, "Score of Roland-Morris Disability Questionnaire (24 items) at most 8, the last time"),
        (SCORE | {"over": {"last_n": 2}, "instrument": "gone"}, "Score of gone at most 8, each of the last 2 times"),
    ],
)
def test_a_patient_can_read_it(changes: dict[str, Any], words: str) -> None:
    assert in_words(criterion(**changes)) == words


def test_what_is_asked_before_a_phase_is_asked_of_the_one_before() -> None:
    assert all_in_words([], entry=True) == ""
    assert all_in_words([DAYS, COUNT], entry=True) == (
        "At least 10 days in the phase before; At least 2 sessions done in the phase before"
    )


DAY = st.integers(0, 6)
CRITERIA = st.builds(
    lambda measure, op, value, window, length: Criterion(
        measure,
        op,
        Decimal(value * 10 if measure is Measure.ADHERENCE_PERCENT else value),
        "rmdq24" if measure is Measure.INSTRUMENT else None,
        **({window: length} if window in WINDOWS[measure] else {}),
    ),
    st.sampled_from(Measure),
    st.sampled_from(Operator),
    st.integers(0, 10),
    st.sampled_from(["days", "last_n", "none"]),
    st.integers(1, 4),
)


def plainly(asked: Criterion, day: int, pain: dict[int, int], done: dict[int, bool], scores: list[int]) -> list[int]:
    """Give what a criterion looks at, by days counted from 0: full ones in a window, the last ones, or all."""
    length = asked.days or 0
    full = [each for each in range(day) if each >= day - length] if length <= day else []
    kept = [done[each] for each in full if each in done]
    counted = {
        Measure.DAYS_IN_PHASE: [day],
        Measure.SESSIONS_DONE: [sum(so for each, so in done.items() if not length or each > day - length)],
        Measure.ADHERENCE_PERCENT: [100 * sum(kept) // len(kept)] if kept else [],
        Measure.INSTRUMENT: scores,
        Measure.PAIN_NOW: [pain[each] for each in (full if length else sorted(pain)) if each in pain],
    }
    values = counted.get(asked.measure, [])  # nobody was asked for the others
    return values if length else values[-(asked.last_n or 1) :]


@given(
    CRITERIA,
    DAY,
    st.dictionaries(DAY, st.integers(0, 10)),
    st.dictionaries(DAY, st.booleans()),
    st.lists(st.integers(0, 24), max_size=4),
)
@settings(max_examples=250)
def test_what_is_found_is_what_is_plainly_looked_at(
    asked: Criterion, day: int, pain: dict[int, int], done: dict[int, bool], scores: list[int]
) -> None:
    pain = {each: value for each, value in pain.items() if each <= day}
    done = {each: kept for each, kept in done.items() if each <= day}
    found = judge(asked, observed(day, pain=pain, done=done, scores=tuple(scores)))
    seen = plainly(asked, day, pain, done, scores)
    needed = asked.last_n or (asked.days if asked.measure in DAILY else None) or 1
    fits = [one <= asked.value if asked.op is Operator.LTE else one >= asked.value for one in seen]
    state = State.NO_DATA if len(seen) < needed else State.MET if all(fits) else State.NOT_MET
    assert found.state is state
    assert (found.value is None) is (not seen)
    if found.value is not None:
        assert int(found.value) in seen, "one of those"
        assert all(one <= found.value if asked.op is Operator.LTE else one >= int(found.value) for one in seen)
    assert in_words(asked)
