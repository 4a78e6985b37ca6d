"""Two versions of a program compared: nothing is missed, nothing is made up, and a patient understands it."""

from collections import Counter
from dataclasses import fields, replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.program_changes import Change, Item, Phase, Version, changes, dose_in_words

BIRD_DOG = Item(
    exercise_code="bird_dog",
    exercise={"name": "Bird dog", "cues": ["Slowly"]},
    sets=2,
    reps=8,
    hold_seconds=None,
    duration_seconds=None,
    load_kg=Decimal("2.50"),
    load_label=None,
    tempo=None,
    rest_seconds=30,
    side="each",
    sessions_per_day=1,
    weekdays=[1, 3, 5],
    pain_ceiling=None,
    effort_ceiling=5,
    note="",
    accepted_contraindications=None,
)
PLANK = replace(BIRD_DOG, exercise_code="plank", exercise={"name": "Plank"}, reps=None, hold_seconds=20, sets=1)
BRIDGE = replace(BIRD_DOG, exercise_code="bridge", exercise={"name": "Bridge"})
DAYS = {"measure": "days_in_phase", "op": "gte", "value": 14}
CALM = Phase("Calm", "mobility", 2, "", "Pain at most 3", [], [DAYS], [BIRD_DOG, PLANK])
STRONG = Phase("Strong", "strength", None, "", "", [], [], [BRIDGE])
BY_HAND = {"mode": "suggest", "bounds": None}
FIRST = Version(date(2026, 3, 2), 5, [CALM, STRONG], BY_HAND)


def said(before: Version, after: Version) -> list[str]:
    return [change.text for change in changes(before, after)]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"sets": 3}, "2 → 3 sets of Bird dog"),
        ({"reps": 10}, "8 → 10 repetitions of Bird dog"),
        ({"load_kg": Decimal(10)}, "2.5 → 10 kg for Bird dog"),
        ({"load_kg": None}, "Bird dog: 2.5 kg no more"),
        ({"hold_seconds": 5}, "Bird dog: now 5 seconds held"),
        ({"weekdays": [1, 2, 3, 4, 5, 6, 7]}, "Bird dog: Mon, Wed, Fri → every day"),
        ({"side": "left"}, "Bird dog: each side → left side"),
        ({"pain_ceiling": 3}, "Bird dog: stop when pain is above 3 (was the program's limit)"),
        ({"note": "Slower"}, "Bird dog: the note is now: Slower"),
        ({"exercise": {"name": "Bird dog", "cues": []}}, "Bird dog: the description has changed (cues)"),
    ],
)
def test_a_change_of_the_dose_in_words(changed: dict[str, Any], text: str) -> None:
    after = replace(FIRST, phases=[replace(CALM, items=[replace(BIRD_DOG, **changed), PLANK]), STRONG])
    assert said(FIRST, after) == [text]


def test_a_part_that_older_programs_did_not_pin_is_no_change() -> None:
    shown = replace(BIRD_DOG, exercise={**BIRD_DOG.exercise, "media": []})
    assert said(FIRST, replace(FIRST, phases=[replace(CALM, items=[shown, PLANK]), STRONG])) == []


OTHER: dict[str, Any] = {
    "exercise": {"name": "Bird dog"},
    "weekdays": [2],
    "side": "left",
    "load_kg": Decimal(7),
    "accepted_contraindications": {"codes": ["pregnancy"], "reason": "Seen"},
}


def test_every_field_that_there_is_is_named_when_it_changes() -> None:
    for field in fields(Item):
        if field.name == "exercise_code":
            continue
        value = OTHER.get(field.name, "4" if field.name in {"load_label", "tempo", "note"} else 9)
        after = replace(FIRST, phases=[replace(CALM, items=[replace(BIRD_DOG, **{field.name: value}), PLANK]), STRONG])
        (change,) = changes(FIRST, after)
        assert (change.kind, change.place, change.phase) == ("changed", "item", "Calm")
        assert change.field == ("exercise.cues" if field.name == "exercise" else field.name)
        assert "{" not in change.text
    of_phase: dict[str, Any] = {
        "name": "Rest",
        "kind": "stability",
        "weeks": 1,
        "entry_criteria": "x",
        "exit_criteria": "",
        "entry": [DAYS],
        "exit": [],
    }
    assert {field.name for field in fields(Phase)} == {*of_phase, "items"}
    for name, value in of_phase.items():
        (change,) = changes(FIRST, replace(FIRST, phases=[replace(CALM, **{name: value}), STRONG]))
        assert (change.place, change.field, change.after) == ("phase", name, value)
    by_itself = {"mode": "auto", "bounds": {"max_reps": 12}}
    of_program: dict[str, Any] = {"pain_ceiling": 4, "starts_on": date(2026, 4, 1), "progression": by_itself}
    assert {field.name for field in fields(Version)} == {*of_program, "phases"}
    for name, value in of_program.items():
        (change,) = changes(FIRST, replace(FIRST, **{name: value}))
        assert (change.place, change.field, change.after) == ("program", name, value)


def test_who_takes_the_steps_is_told_and_how_far() -> None:
    auto = {"mode": "auto", "bounds": {"max_reps": 12}}
    wider = replace(FIRST, progression={"mode": "auto", "bounds": {"max_reps": 15}})
    assert said(replace(FIRST, progression=auto), wider) == [
        "Your therapist has set anew how far your dose may change by itself"
    ]
    assert said(wider, FIRST) == ["Your therapist decides on each change of your dose when he looks at it"]


def test_what_comes_goes_and_moves_is_told_once() -> None:
    after = replace(
        FIRST, phases=[replace(CALM, items=[PLANK]), replace(STRONG, items=[BRIDGE, replace(BIRD_DOG, sets=3)])]
    )
    assert said(FIRST, after) == ["Bird dog moves from the phase Calm to Strong", "2 → 3 sets of Bird dog"]
    assert said(FIRST, replace(FIRST, phases=[CALM])) == [
        "The phase Strong is no longer part of the program",
        "No longer: Bridge",
    ]
    new = Phase(
        "Go", "functional", None, "", "", [], [], [replace(PLANK, exercise_code="walk", exercise={"name": "Walk"})]
    )
    assert said(FIRST, replace(FIRST, phases=[CALM, STRONG, new])) == [
        "New phase: Go",
        "New: Walk, 1 set of 20 seconds held",
    ]
    assert said(FIRST, replace(FIRST, phases=[replace(CALM, items=[PLANK, BIRD_DOG]), STRONG])) == [
        "Plank has another place in the order",
        "Bird dog has another place in the order",
    ]
    assert said(FIRST, replace(FIRST, phases=[replace(CALM, weeks=1), STRONG])) == [
        "The phase Calm lasts 1 week (was 2 weeks)"
    ]


ITEMS = st.builds(
    lambda item, sets: replace(item, sets=sets), st.sampled_from([BIRD_DOG, PLANK, BRIDGE]), st.integers(1, 3)
)
PHASES = st.builds(
    lambda phase, name, weeks, items: replace(phase, name=name, weeks=weeks, items=items),
    st.sampled_from([CALM, STRONG]),
    st.sampled_from(["Calm", "Strong", "Go"]),
    st.sampled_from([None, 2]),
    st.lists(ITEMS, min_size=1, max_size=4),
)
VERSIONS = st.builds(
    lambda phases, ceiling: Version(date(2026, 3, 2), ceiling, phases, BY_HAND),
    st.lists(PHASES, min_size=1, max_size=3),
    st.integers(3, 5),
)


def codes(version: Version) -> Counter[str]:
    return Counter(item.exercise_code for phase in version.phases for item in phase.items)


def told(found: list[Change], kind: str) -> Counter[str]:
    return Counter(change.exercise_code for change in found if change.kind == kind and change.exercise_code is not None)


@settings(max_examples=120)
@given(before=VERSIONS, after=VERSIONS)
def test_nothing_is_told_of_equal_versions_and_of_others_all(before: Version, after: Version) -> None:
    assert changes(before, before) == []
    found = changes(before, after)
    assert (found == []) == (before == after)
    assert codes(before) - told(found, "removed") + told(found, "added") == codes(after)
    sets = Counter[str]()
    for version, sign in ((before, -1), (after, 1)):
        for phase in version.phases:
            for item in phase.items:
                sets[item.exercise_code] += sign * item.sets
    if not told(found, "removed") and not told(found, "added"):  # then the differing sets add up to the difference
        for change in found:
            if change.field == "sets" and change.exercise_code is not None:
                sets[change.exercise_code] -= change.after - change.before
        assert not any(sets.values())


@pytest.mark.parametrize(
    ("dose", "text"),
    [
        ({"reps": 8}, "2 sets of 8 repetitions"),
        ({"reps": 8, "hold_seconds": 5, "sets": 1}, "1 set of 8 repetitions, each held 5 seconds"),
        ({"hold_seconds": 20}, "2 sets of 20 seconds held"),
        ({"duration_seconds": 600, "sets": 1}, "1 set of 600 seconds"),
    ],
)
def test_a_dose_in_words(dose: dict[str, Any], text: str) -> None:
    assert (
        dose_in_words(replace(BIRD_DOG, **{"reps": None, "hold_seconds": None, "duration_seconds": None} | dose))
        == text
    )
