"""What may be prescribed, what speaks against it, and what is due on a day."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from clinical.forms import Exercise
from clinical.library import load
from clinical.prescription import (
    Dosage,
    PhaseSpan,
    PlannedItem,
    conflicts,
    default_dosage,
    phase_on,
    sessions_on,
    unknown_conditions,
)

EXERCISES = load().exercises
MONDAY = date(2026, 11, 16)


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES.keys())
def test_the_librarys_own_dose_may_be_prescribed(exercise: Exercise) -> None:
    dosage = default_dosage(exercise)
    assert dosage.dose > 0
    assert len(dosage.weekdays) == exercise.default_dosage.days_per_week


@pytest.mark.parametrize(
    "fields",
    [
        {"reps": 10},
        {"reps": 5, "hold_seconds": 6},
        {"hold_seconds": 30},
        {"duration_seconds": 7200},
        {"reps": 8, "load_kg": "2.5", "tempo": "3-0-1", "effort": 7, "pain_ceiling": 3, "weekdays": (1, 3, 5)},
        {"reps": 8, "tempo": "3-0-1-2", "load_note": "green band", "rest_seconds": 0, "sessions_per_day": 6},
    ],
)
def test_a_sound_dosage_is_taken(fields: dict[str, Any]) -> None:
    assert Dosage(**fields).dose > 0


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"reps": 10, "duration_seconds": 60},
        {"hold_seconds": 10, "duration_seconds": 60},
        {"reps": 0},
        {"reps": 101},
        {"reps": True},
        {"reps": 10, "sets": 0},
        {"reps": 10, "sets": 11},
        {"hold_seconds": 601},
        {"duration_seconds": 7201},
        {"reps": 10, "load_kg": 301},
        {"reps": 10, "load_kg": -1},
        {"reps": 10, "load_kg": "NaN"},
        {"reps": 10, "rest_seconds": 601},
        {"reps": 10, "sessions_per_day": 7},
        {"reps": 10, "sessions_per_day": 0},
        {"reps": 10, "weekdays": ()},
        {"reps": 10, "weekdays": (8,)},
        {"reps": 10, "weekdays": (1, 1)},
        {"reps": 10, "weekdays": (3, 1)},
        {"reps": 10, "tempo": "slow"},
        {"reps": 10, "pain_ceiling": 11},
        {"reps": 10, "effort": -1},
        {"reps": 10, "speed": 3},
    ],
)
def test_an_unsound_dosage_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Dosage(**fields)


def test_a_dose_is_measured_in_its_own_unit() -> None:
    assert Dosage(sets=3, reps=10).dose == 30
    assert Dosage(sets=2, reps=5, hold_seconds=6).dose == 10
    assert Dosage(sets=2, hold_seconds=20).dose == 40
    assert Dosage(duration_seconds=900).dose == 900
    assert Dosage(reps=1, load_kg=Decimal("2.50")).load_kg == Decimal("2.50")


# ------------------------------------------------------------------ contraindications
def against(condition: str) -> set[str]:
    return {code for code, exercise in EXERCISES.items() if conflicts(exercise.contraindications, [condition])}


@pytest.mark.parametrize("code", load().contraindications)
def test_every_condition_of_the_vocabulary_speaks_against_some_exercise(code: str) -> None:
    assert against(code)
    assert unknown_conditions([code]) == []


def test_a_patient_without_conditions_has_no_conflicts() -> None:
    assert all(conflicts(exercise.contraindications, []) == [] for exercise in EXERCISES.values())


def test_late_pregnancy_is_a_pregnancy() -> None:
    assert against("pregnancy") < against("late_pregnancy")


def test_a_condition_nobody_knows_is_named() -> None:
    assert unknown_conditions(["pregnancy", "bad_mood"]) == ["bad_mood"]


def test_a_conflict_tells_the_words_of_the_exercise() -> None:
    found = [
        reason.text
        for exercise in EXERCISES.values()
        for reason in conflicts(exercise.contraindications, ["spondylolisthesis"])
    ]
    assert set(found) == {"spondylolisthesis or stenosis with extension limits"}


# ------------------------------------------------------------------ phases and days
PHASES = [PhaseSpan(2, 4), PhaseSpan(1, 2), PhaseSpan(3, None)]


@pytest.mark.parametrize(("days", "position"), [(-1, None), (0, 1), (13, 1), (14, 2), (41, 2), (42, 3), (4000, 3)])
def test_the_phase_in_force_follows_the_calendar(days: int, position: int | None) -> None:
    assert phase_on(PHASES, MONDAY, MONDAY + timedelta(days=days)) == position


def test_the_last_phase_stays_in_force_and_no_phase_is_none() -> None:
    assert phase_on([PhaseSpan(1, 2)], MONDAY, MONDAY + timedelta(weeks=9)) == 1
    assert phase_on([PhaseSpan(1, None), PhaseSpan(2, 2)], MONDAY, MONDAY + timedelta(weeks=9)) == 1
    assert phase_on([], MONDAY, MONDAY) is None


def test_the_nth_session_holds_what_is_due_that_often() -> None:
    items = [
        PlannedItem("a", (1, 3), 2),
        PlannedItem("b", (1,), 1),
        PlannedItem("c", (2,), 6),
        PlannedItem("d", (1,), 3),
    ]
    assert [(one.slot, one.items) for one in sessions_on(items, MONDAY)] == [
        (1, ("a", "b", "d")),
        (2, ("a", "d")),
        (3, ("d",)),
    ]
    assert [one.items for one in sessions_on(items, MONDAY + timedelta(days=2))] == [("a",), ("a",)]
    assert sessions_on(items, MONDAY + timedelta(days=3)) == []


@given(
    st.lists(
        st.builds(
            PlannedItem,
            st.uuids(),
            st.sets(st.integers(1, 7), min_size=1).map(lambda days: tuple(sorted(days))),
            st.integers(1, 6),
        ),
        max_size=12,
        unique_by=lambda item: item.id,
    ),
    st.dates(),
)
def test_every_item_is_planned_exactly_as_often_as_prescribed(items: list[PlannedItem[Any]], day: date) -> None:
    slots = sessions_on(items, day)
    assert [slot.slot for slot in slots] == list(range(1, len(slots) + 1))
    for item in items:
        times = sum(item.id in slot.items for slot in slots)
        assert times == (item.sessions_per_day if day.isoweekday() in item.weekdays else 0)


@given(
    st.lists(st.integers(1, 12), min_size=1, max_size=5),
    st.integers(0, 600),
)
def test_phases_only_go_forward(weeks: list[int], days: int) -> None:
    phases = [PhaseSpan(position, length) for position, length in enumerate(weeks, 1)]
    today = phase_on(phases, MONDAY, MONDAY + timedelta(days=days))
    tomorrow = phase_on(phases, MONDAY, MONDAY + timedelta(days=days + 1))
    assert today is not None
    assert tomorrow is not None
    assert tomorrow - today in {0, 1}
