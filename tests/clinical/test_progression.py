"""The suggestion that sessions lead to: every worked example, and the order of the outcomes."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.levels import Level
from clinical.library import load
from clinical.progression import Outcome, Performed, decide
from clinical.rulebook import ProgressionExample

GREEN = Performed(1, 0, 100, 5)


def test_no_example_is_forgotten() -> None:
    assert len(load().progression.examples) == 9


@pytest.mark.parametrize("example", load().progression.examples, ids=lambda example: str(example.name))
def test_worked_example(example: ProgressionExample) -> None:
    sessions = [Performed(*session) for session in example.sessions]
    found = decide(sessions, days_since_change=example.days_since_change)
    assert found.outcome == example.expect
    assert found.reasons
    assert found.rule_version == "progression-2026-2"


def outcome(*sessions: Performed, days: int = 10) -> tuple[Outcome, tuple[str, ...]]:
    found = decide(sessions, days_since_change=days)
    return found.outcome, found.reasons


def test_danger_stops_whatever_the_sessions_say() -> None:
    for stopped in (
        decide([GREEN, GREEN], days_since_change=10, new_neurological_symptom=True),
        decide([GREEN, GREEN], days_since_change=10, red_flag_level=Level.URGENT_SAME_DAY),
        decide([], days_since_change=0, red_flag_level=Level.EMERGENCY_NOW),
        decide([replace(GREEN, pain_during=8)], days_since_change=10),
    ):
        assert stopped.outcome is Outcome.STOP
    assert decide([GREEN, GREEN], days_since_change=10, red_flag_level=Level.REFER).outcome is Outcome.PROGRESS


def test_every_reason_is_told() -> None:
    worst = Performed(9, 3, 20, 9, "pain")
    found = decide(
        [worst, worst], days_since_change=10, new_neurological_symptom=True, red_flag_level=Level.EMERGENCY_NOW
    )
    assert found.reasons == ("new_neurological_symptom", "red_flag", "severe_pain")
    assert outcome(replace(worst, pain_during=6), replace(worst, pain_during=6)) == (
        Outcome.REGRESS,
        ("pain_above_amber", "pain_rose_twice", "too_much_twice"),
    )


def test_a_dose_goes_down_only_after_the_same_trouble_twice() -> None:
    rise, hard = replace(GREEN, rise_24h=2), replace(GREEN, completed_percent=49, reason="too_hard")
    assert outcome(rise, rise) == (Outcome.REGRESS, ("pain_rose_twice",))
    assert outcome(rise) == (Outcome.MAINTAIN, ("nothing_else_fits",))
    assert outcome(hard, hard) == (Outcome.REGRESS, ("too_much_twice",))
    assert outcome(hard, replace(hard, completed_percent=50))[0] is Outcome.MAINTAIN
    assert outcome(hard, replace(hard, completed_percent=None))[0] is Outcome.MAINTAIN


def test_hard_effort_and_lingering_pain_hold_the_dose() -> None:
    assert outcome(GREEN, replace(GREEN, effort=8)) == (Outcome.HOLD, ("hard_effort",))
    assert outcome(Performed(4, 2, 100, 5), GREEN) == (Outcome.HOLD, ("pain_lingers",))
    assert outcome(Performed(4, 2, 100, 5), GREEN, GREEN)[0] is Outcome.PROGRESS


@pytest.mark.parametrize("unknown", ["pain_during", "completed_percent", "effort"])
def test_what_is_not_known_never_raises_a_dose(unknown: str) -> None:
    changes: dict[str, Any] = {unknown: None}
    assert outcome(GREEN, replace(GREEN, **changes))[0] is Outcome.MAINTAIN


def test_without_sessions_the_dose_stays() -> None:
    assert outcome() == (Outcome.MAINTAIN, ("no_sessions",))
    assert outcome(GREEN)[0] is Outcome.MAINTAIN


def test_who_did_well_is_told_that_the_dose_was_changed_lately() -> None:
    early = decide([GREEN, GREEN], days_since_change=6)
    assert (early.outcome, early.reasons) == (Outcome.MAINTAIN, ("changed_lately",))
    assert decide([GREEN, GREEN], days_since_change=6, flaring=True).reasons == ("flare_open",)


def test_a_plan_may_carry_its_own_thresholds() -> None:
    careful = load().progression.thresholds.model_copy(update={"amber_max": 3})
    assert (
        decide([GREEN, replace(GREEN, pain_during=4)], days_since_change=10, thresholds=careful).outcome
        is Outcome.REGRESS
    )


def test_a_session_at_a_lighter_dose_only_ever_stops_an_exercise() -> None:
    lighter = replace(GREEN, counts=False)
    assert outcome(GREEN, lighter) == (Outcome.MAINTAIN, ("nothing_else_fits",))
    assert outcome(lighter, lighter) == (Outcome.MAINTAIN, ("no_sessions",))
    assert outcome(GREEN, GREEN, lighter)[0] is Outcome.PROGRESS
    assert outcome(GREEN, replace(lighter, pain_during=7, effort=9))[0] is Outcome.MAINTAIN
    assert outcome(GREEN, replace(lighter, pain_during=8)) == (Outcome.STOP, ("severe_pain",))


def test_in_a_flare_up_nothing_goes_up_or_down() -> None:
    for sessions in ([GREEN, GREEN], [GREEN, replace(GREEN, pain_during=7)], [GREEN, replace(GREEN, effort=9)]):
        found = decide(sessions, days_since_change=10, flaring=True)
        assert (found.outcome, found.reasons) == (Outcome.MAINTAIN, ("flare_open",))
    assert decide([replace(GREEN, pain_during=8)], days_since_change=10, flaring=True).outcome is Outcome.STOP


SESSIONS = st.lists(
    st.builds(
        Performed,
        st.none() | st.integers(0, 10),
        st.none() | st.integers(-10, 10),
        st.none() | st.integers(0, 120),
        st.none() | st.integers(0, 10),
        st.sampled_from([None, "pain", "too_hard", "no_time", "forgot"]),
    ),
    max_size=5,
)


@given(SESSIONS, st.integers(0, 60))
def test_a_dose_goes_up_only_after_two_green_sessions_and_a_week(sessions: list[Performed], days: int) -> None:
    found = decide(sessions, days_since_change=days)
    if found.outcome is Outcome.PROGRESS:
        assert days >= 7
        assert all(one.pain_during is not None and one.pain_during <= 2 for one in sessions[-2:])
        assert len(sessions) >= 2


@given(SESSIONS, st.integers(0, 60))
def test_a_danger_sign_is_never_outweighed(sessions: list[Performed], days: int) -> None:
    assert decide(sessions, days_since_change=days, new_neurological_symptom=True).outcome is Outcome.STOP
