"""The next dose: one variable at a time, in the order of the rules, and never beyond their bounds."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.dosing import EXERCISE, Dose, Ladder, load_percent, step_down, step_up
from clinical.library import load
from clinical.prescription import default_dosage
from clinical.progression import Outcome, Performed
from clinical.suggesting import Advised, Bounds, Day, Spell, advise, counts, held_since, lasts, read, replay, told

BIRD_DOG = Dose("co_bird_dog", 3, reps=8, hold_seconds=5, per_week=4)
WALK = Dose("ae_walk_interval", 3, duration_seconds=300, per_week=5)
BRISK = Dose("ae_walk_brisk", 1, duration_seconds=1500, per_week=5)
EASIER = Dose("co_bird_dog_leg", 2, reps=8, hold_seconds=3, per_week=4)
LADDER = Ladder(BIRD_DOG, "strength", easier=EASIER)
WALKING = Ladder(WALK, "aerobic", harder=BRISK)
NAMES = {code: exercise.name for code, exercise in load().exercises.items()}
GREEN = Performed(1, 0, 100, 5)
HARD = Performed(6, 3, 40, 9, "pain")
MONDAY = date(2026, 3, 2)


def changes(dose: Dose, ladder: Ladder, *, up: bool = True) -> list[str]:
    """Take steps until there is none left; what changed, and to what."""
    found: list[str] = []
    while (step := (step_up if up else step_down)(dose, ladder)) is not None and len(found) < 50:
        dose = step.to
        found.append(f"{step.change} {dose.code if step.change == EXERCISE else getattr(dose, step.change)}")
        if step.change == EXERCISE:
            break
    return found


def test_steps_come_in_their_order() -> None:
    weighted = replace(BIRD_DOG, hold_seconds=55, load_kg=Decimal(2))
    assert changes(replace(BIRD_DOG, sets=2, hold_seconds=None), replace(LADDER, harder=EASIER)) == [
        "reps 10",
        "reps 12",
        "sets 3",
        "sets 4",
        "exercise co_bird_dog_leg",
    ]
    assert changes(weighted, LADDER)[:5] == ["reps 10", "reps 12", "sets 4", "hold_seconds 60", "load_kg 2.5"]
    assert changes(replace(BIRD_DOG, reps=4, sets=4, hold_seconds=60), LADDER) == [f"reps {n}" for n in (6, 8, 10, 12)]
    assert changes(BIRD_DOG, LADDER, up=False) == [
        "reps 5",
        "reps 4",
        "hold_seconds 3",
        "sets 2",
        "sets 1",
        "exercise co_bird_dog_leg",
    ]


def test_walking_grows_by_a_minute_or_two_and_a_fifth_of_the_week_at_most() -> None:
    walked = [f"duration_seconds {60 * minutes}" for minutes in (6, 7, 8, 9, 10)]
    assert changes(WALK, replace(WALKING, harder=None)) == walked, "up to twice the usual bout"
    short = replace(WALK, duration_seconds=240)
    step = step_up(short, WALKING)
    assert step is not None
    assert step.change == EXERCISE, "a minute would be more than a fifth"
    assert step.to.duration_seconds == 840, (
        "and so would 25 minutes at once: 3 x 4 minutes and a fifth, in whole minutes"
    )
    brisk = step_up(replace(BRISK, duration_seconds=1200), Ladder(BRISK, "aerobic"))
    assert brisk is not None
    assert brisk.to.duration_seconds == 1320
    breathing = Ladder(Dose("br_slow_4_6", 1, duration_seconds=300), "relaxation")
    assert step_up(breathing.usual, breathing) is None, "what lasts a fixed time has no step of its own"
    timed = Ladder(Dose("sh_table_slide", 2, reps=10), "aerobic", harder=Dose("x", 2, reps=5))
    assert step_up(replace(timed.usual, reps=None, duration_seconds=60), timed) == step_up(
        replace(timed.usual, reps=15, sets=4), timed
    )


def test_load_grows_by_five_percent_or_the_smallest_weight() -> None:
    full = replace(BIRD_DOG, reps=12, sets=4, hold_seconds=60)

    def raised(kilograms: str) -> Decimal | None:
        step = step_up(replace(full, load_kg=Decimal(kilograms)), LADDER)
        return None if step is None else step.to.load_kg

    assert [raised(each) for each in ("20", "7", "2", "4.9", "300", "0")] == [
        Decimal(21),
        Decimal("7.5"),
        Decimal("2.5"),
        Decimal("5.4"),
        None,
        None,
    ]


def test_a_prescription_in_another_unit_than_the_usual_one_has_no_range() -> None:
    assert step_up(Dose("co_plank", 4, reps=5), Ladder(Dose("co_plank", 3, hold_seconds=20), "endurance")) is None
    down = step_down(Dose("co_plank", 4, reps=2), Ladder(Dose("co_plank", 3, hold_seconds=20), "endurance"))
    assert down is not None
    assert down.to.reps == 1


DOSES = st.builds(
    Dose,
    st.just("co_bird_dog"),
    st.integers(1, 10),
    st.none() | st.integers(1, 100),
    st.none() | st.integers(1, 600),
    st.none() | st.integers(1, 7200),
    st.none() | st.decimals(0, 300, places=2),
    st.integers(1, 42),
)
LADDERS = st.builds(Ladder, DOSES, st.sampled_from(["strength", "aerobic"]), st.none() | DOSES, st.none() | DOSES)
VARIABLES = ("sets", "reps", "hold_seconds", "duration_seconds", "load_kg")


@given(DOSES, LADDERS)
def test_one_variable_changes_and_no_bound_is_crossed(dose: Dose, ladder: Ladder) -> None:
    for step, upwards in ((step_up(dose, ladder), True), (step_down(dose, ladder), False)):
        if step is None:
            continue
        changed = [name for name in VARIABLES if getattr(dose, name) != getattr(step.to, name)]
        if step.change == EXERCISE:
            continue
        assert changed == [step.change]
        now, then = getattr(dose, step.change), getattr(step.to, step.change)
        assert (then > now) is upwards
        most = {"sets": 4, "reps": 100, "hold_seconds": 60, "duration_seconds": 7200, "load_kg": 300}
        assert then > 0
        assert not upwards or then <= most[step.change]
        if step.change == "duration_seconds" and upwards:
            assert then * 5 <= now * 6
            assert then - now in {60, 120}
        if step.change == "load_kg":
            assert then - now == Decimal("0.5") or load_percent(now, then) <= 10
        if not upwards and step.change != "sets":
            assert then * 10 >= now * 7 - 10


@pytest.mark.parametrize("code", sorted(load().exercises))
def test_every_exercise_of_the_library_has_a_way_up_that_ends(code: str) -> None:
    exercise = load().exercises[code]
    usual = default_dosage(exercise)
    dose = Dose(code, usual.sets, usual.reps, usual.hold_seconds, usual.duration_seconds, None, len(usual.weekdays))
    assert len(changes(dose, Ladder(dose, exercise.type))) < 50


# ------------------------------------------------------------------ with the decision, in words


def say(*sessions: Performed, days: int = 10, dose: Dose = BIRD_DOG, ladder: Ladder = LADDER, **more: Any) -> Advised:
    return advise(dose, ladder, sessions, days_since_change=days, names=NAMES, **more)


def test_every_suggestion_says_what_and_why() -> None:
    two = replace(BIRD_DOG, reps=12, sets=2)
    assert say(GREEN, GREEN, dose=two).explanation == (
        "2 → 3 sets of Bird dog: the last two sessions were easy and done in full"
    )
    assert say(GREEN, HARD).explanation == "8 → 5 repetitions of Bird dog: pain went above 5 in the last session"
    assert say(replace(GREEN, pain_during=9)).explanation == "Stop Bird dog: pain reached 8 or more in a session"
    assert say(GREEN, new_neurological_symptom=True).decision.outcome is Outcome.STOP
    assert say().explanation == "Keep Bird dog as it is: no session at this dose yet"
    least = replace(BIRD_DOG, reps=1, hold_seconds=1, sets=1)
    assert say(HARD, dose=least).explanation.startswith("Bird dog → Bird dog, leg only: pain went above 5")
    nothing = say(HARD, dose=least, ladder=replace(LADDER, easier=None))
    assert (nothing.change, nothing.after) == (None, None)
    assert nothing.explanation.startswith("Less of Bird dog, but the rules know no step: ")
    full = replace(BIRD_DOG, reps=12, sets=4, hold_seconds=60)
    assert say(GREEN, GREEN, dose=full).explanation.startswith("More of Bird dog, but the rules know no step: ")
    loaded = say(GREEN, GREEN, dose=replace(full, load_kg=Decimal("10.00")))
    assert loaded.explanation.startswith("10 → 10.5 kg of Bird dog")
    assert read(told(loaded.before)) == loaded.before
    assert read(told(BIRD_DOG)) == BIRD_DOG


SESSIONS = st.lists(
    st.builds(
        Performed,
        st.none() | st.integers(0, 10),
        st.none() | st.integers(-10, 10),
        st.none() | st.integers(0, 120),
        st.none() | st.integers(0, 10),
        st.sampled_from([None, "pain", "no_time"]),
    ),
    max_size=4,
)


@given(SESSIONS, st.integers(0, 30), DOSES, st.booleans())
def test_the_same_question_has_the_same_answer(
    sessions: list[Performed],
    days: int,
    dose: Dose,
    symptom: bool,
) -> None:
    first, again = (say(*sessions, days=days, dose=dose, new_neurological_symptom=symptom) for _ in range(2))
    assert first == again
    assert (first.after is None) == (first.change is None)
    assert first.change is None or first.decision.outcome in {Outcome.PROGRESS, Outcome.REGRESS}
    assert Bounds().allow(first) is False


# ------------------------------------------------------------------ without a human


def test_only_what_is_bounded_is_done_without_a_human() -> None:
    both = frozenset({Outcome.PROGRESS, Outcome.REGRESS, Outcome.STOP})
    more, less = say(GREEN, GREEN), say(HARD)
    assert Bounds(both, max_reps=10).allow(more)
    assert not Bounds(both, max_reps=9).allow(more)
    assert not Bounds(both, max_sets=9).allow(more), "a variable without a bound is left alone"
    assert not Bounds(frozenset({Outcome.REGRESS}), max_reps=10).allow(more)
    assert Bounds(both).allow(less)
    assert not Bounds(both).allow(say(replace(GREEN, pain_during=9))), "to stop is for a human to end"
    heavy = say(GREEN, GREEN, dose=replace(BIRD_DOG, reps=12, sets=4, hold_seconds=60, load_kg=Decimal(2)))
    assert Bounds(both, max_load_kg=Decimal(5)).allow(heavy)
    assert not Bounds(both, max_load_kg=Decimal(5), max_load_percent=10).allow(heavy)
    other = say(HARD, dose=replace(BIRD_DOG, reps=1, hold_seconds=1, sets=1))
    assert [Bounds(both, exercise_change=allowed).allow(other) for allowed in (True, False)] == [True, False]


# ------------------------------------------------------------------ day by day


def course(*history: Performed, follow: bool, every: int = 4, spells: Sequence[Spell] = ()) -> list[str]:
    days = [Day(MONDAY + timedelta(days=every * place), one) for place, one in enumerate(history)]
    since = MONDAY - timedelta(days=10)
    found = replay(BIRD_DOG, LADDER, days, since=since, names=NAMES, follow=follow, spells=spells)
    return [f"{each.advised.decision.outcome} {each.advised.before.reps}" for each in found]


def test_a_history_is_judged_day_by_day() -> None:
    assert course(GREEN, GREEN, GREEN, follow=False) == ["maintain 8", "progress 8", "progress 8"]
    assert course(GREEN, GREEN, GREEN, GREEN, follow=True) == ["maintain 8", "progress 8", "maintain 10", "progress 10"]
    assert course(GREEN, replace(GREEN, pain_during=9), GREEN, follow=True) == ["maintain 8", "stop 8"]
    assert len(course(GREEN, replace(GREEN, pain_during=9), GREEN, follow=False)) == 3


def test_a_flare_up_is_no_evidence_and_the_usual_dose_begins_anew_after_it() -> None:
    four = [GREEN] * 6
    spell = Spell(MONDAY + timedelta(days=7), MONDAY + timedelta(days=9))
    assert course(*four, follow=False, every=4, spells=[spell]) == [
        "maintain 8",
        "progress 8",  # its last day before the flare-up
        "maintain 8",  # day 8: it flares
        "maintain 8",  # day 12: one session at the usual dose
        "progress 8",  # day 16: two, and a week after the flare-up
        "progress 8",
    ]
    mistake = replace(spell, mistake=True)
    assert course(*four, follow=False, spells=[mistake])[2:4] == ["maintain 8", "progress 8"]
    bad = replace(GREEN, pain_during=9)
    assert course(GREEN, GREEN, bad, follow=False, spells=[replace(spell, ended=None)])[2] == "stop 8"


def test_a_day_counts_unless_a_flare_up_lies_on_or_behind_it() -> None:
    first, last = MONDAY + timedelta(days=7), MONDAY + timedelta(days=9)
    spells = [Spell(first, last)]
    day = timedelta(days=1)
    assert counts(first - day, spells, first - day), "nobody knows of it yet"
    assert [counts(on, spells, last + day) for on in (first - day, first, last, last + day)] == [False] * 3 + [True]
    mistakes = [Spell(first, last, mistake=True)]
    assert [counts(on, mistakes, last) for on in (first - day, first, last)] == [True, False, False]
    assert [lasts(spells, on) for on in (first - day, first, last - day, last)] == [False, True, True, False]
    assert [held_since(MONDAY, each, last) for each in (spells, mistakes, [Spell(first)])] == [last, MONDAY, MONDAY]
