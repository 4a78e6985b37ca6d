"""What differs between two versions of a program, field by field, and in words that a patient understands.

Phases are paired by name and kind, then by name, then by kind; exercises by their code, first within paired phases, then
across them. What has no partner was added or removed; every field of a pair that differs is named by itself.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date
from decimal import Decimal
from typing import Any, Literal, TypeVar

from clinical.phase_criteria import all_in_words

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
CRITERIA = ("entry", "exit")
SIDES = {"none": "no side", "left": "left side", "right": "right side", "both": "both sides", "each": "each side"}


@dataclass(frozen=True)
class Item:
    """One prescribed exercise. `exercise` is its pinned description; `pain_ceiling` None: the program's own holds."""

    exercise_code: str
    exercise: Mapping[str, Any]
    sets: int
    reps: int | None
    hold_seconds: int | None
    duration_seconds: int | None
    load_kg: Decimal | None
    load_label: str | None
    tempo: str | None
    rest_seconds: int | None
    side: str
    sessions_per_day: int
    weekdays: Sequence[int]
    pain_ceiling: int | None
    effort_ceiling: int | None
    note: str
    accepted_contraindications: Mapping[str, Any] | None

    @property
    def name(self) -> str:
        """What the exercise is called."""
        return str(self.exercise.get("name", self.exercise_code))


@dataclass(frozen=True)
class Phase:
    """One phase with its exercises in their order; `weeks` None: until further notice.

    entry, exit: criteria as they are kept, see clinical/phase_criteria.py.
    """

    name: str
    kind: str
    weeks: int | None
    entry_criteria: str
    exit_criteria: str
    entry: Sequence[Mapping[str, Any]]
    exit: Sequence[Mapping[str, Any]]
    items: Sequence[Item]


@dataclass(frozen=True)
class Version:
    """What one version prescribes. Phases count from `starts_on`; stop above `pain_ceiling` (0-10).

    `progression` says who takes the steps that the rules suggest: `mode`, and the `bounds` of what goes by itself.
    """

    starts_on: date
    pain_ceiling: int
    phases: Sequence[Phase]
    progression: Mapping[str, Any]


@dataclass(frozen=True)
class Change:
    """One difference. `phase` is the phase's name, of what was removed the old one; `text` says it to the patient.

    Of what moved, `before` and `after` are names of phases (field `phase`), or places from 1 (field `position`).
    """

    kind: Literal["changed", "added", "removed", "moved"]
    place: Literal["program", "phase", "item"]
    text: str
    phase: str | None = None
    exercise_code: str | None = None
    exercise_name: str | None = None
    field: str | None = None
    before: Any = None
    after: Any = None


def changes(before: Version, after: Version) -> list[Change]:
    """Return what differs: the program, then its phases, then the exercises, in the order of the newer version."""
    found = []
    for name in ("starts_on", "pain_ceiling"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            words = _PROGRAM[name](_said(old), _said(new))
            found.append(Change("changed", "program", words, field=name, before=old, after=new))
    old, new = dict(before.progression), dict(after.progression)
    if old != new:
        found.append(Change("changed", "program", _steps(old, new), field="progression", before=old, after=new))
    by_name: tuple[Callable[[Phase], Hashable], ...] = (
        lambda each: (each.name, each.kind),
        lambda each: each.name,
        lambda each: each.kind,
    )
    pairs, removed, added = _pair(before.phases, after.phases, by_name)
    found += [_gone("phase", f"The phase {each.name} is no longer part of the program", each.name) for each in removed]
    found += [_new("phase", f"New phase: {each.name}", each.name) for each in added]
    for place, (old_phase, new_phase, was) in enumerate(pairs, 1):
        found += _phase(old_phase, new_phase, was, place)
    return found + _items(pairs, removed, added)


def _phase(old: Phase, new: Phase, was: int, place: int) -> list[Change]:
    found = []
    for name in (each.name for each in fields(Phase) if each.name != "items"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            told = (
                (_criteria(name, before), _criteria(name, after)) if name in CRITERIA else (_said(before), _said(after))
            )
            words = _PHASE[name](old.name if name == "name" else new.name, *told)
            found.append(Change("changed", "phase", words, new.name, field=name, before=before, after=after))
    if was != place:
        words = f"The phase {new.name} has another place in the order"
        found.append(Change("moved", "phase", words, new.name, field="position", before=was, after=place))
    return found


def _items(
    pairs: "Sequence[tuple[Phase, Phase, int]]", removed: Sequence[Phase], added: Sequence[Phase]
) -> list[Change]:
    found: list[Change] = []
    gone = [(phase, item) for phase in removed for item in phase.items]
    come = [(phase, item) for phase in added for item in phase.items]
    for old_phase, new_phase, _ in pairs:
        same, lost, won = _pair(old_phase.items, new_phase.items, (lambda item: item.exercise_code,))
        gone += [(old_phase, item) for item in lost]
        come += [(new_phase, item) for item in won]
        for place, (old, new, was) in enumerate(same, 1):
            found += _fields(old, new, new_phase.name)
            if was != place:
                words = f"{new.name} has another place in the order"
                found.append(_moved(words, new_phase.name, new, "position", was, place))
    across, lost_items, won_items = _pair(gone, come, (lambda pair: pair[1].exercise_code,))
    for (old_phase, old), (new_phase, new), _ in across:
        words = f"{new.name} moves from the phase {old_phase.name} to {new_phase.name}"
        found.append(_moved(words, new_phase.name, new, "phase", old_phase.name, new_phase.name))
        found += _fields(old, new, new_phase.name)
    found += [_gone("item", f"No longer: {item.name}", phase.name, item) for phase, item in lost_items]
    found += [_new("item", f"New: {item.name}, {dose_in_words(item)}", phase.name, item) for phase, item in won_items]
    return found


def _fields(old: Item, new: Item, phase: str) -> list[Change]:
    """Name every field that differs, of the pinned description every part."""
    found = []
    differing: list[tuple[str, Any, Any]] = [
        (each.name, getattr(old, each.name), getattr(new, each.name))
        for each in fields(Item)
        if each.name not in {"exercise_code", "exercise"}
    ]
    parts = sorted(part for part in {*old.exercise, *new.exercise} if old.exercise.get(part) or new.exercise.get(part))
    differing += [(f"exercise.{part}", old.exercise.get(part), new.exercise.get(part)) for part in parts]
    for name, before, after in differing:
        if before != after:
            words = _in_words(name, new.name, before, after)
            found.append(Change("changed", "item", words, phase, new.exercise_code, new.name, name, before, after))
    return found


def _moved(text: str, phase: str, item: Item, field: str, before: Any, after: Any) -> Change:
    return Change("moved", "item", text, phase, item.exercise_code, item.name, field, before, after)


def _new(place: Literal["phase", "item"], text: str, phase: str, item: Item | None = None) -> Change:
    code, name = (None, None) if item is None else (item.exercise_code, item.name)
    return Change("added", place, text, phase, code, name)


def _gone(place: Literal["phase", "item"], text: str, phase: str, item: Item | None = None) -> Change:
    code, name = (None, None) if item is None else (item.exercise_code, item.name)
    return Change("removed", place, text, phase, code, name)


Thing = TypeVar("Thing")


def _pair(
    before: Sequence[Thing], after: Sequence[Thing], keys: Sequence[Callable[[Thing], Hashable]]
) -> tuple[list[tuple[Thing, Thing, int]], list[Thing], list[Thing]]:
    """Pair what has the same key, the first key first, and of equal ones the first with the first.

    Returns pairs in the order of `after`, each with the place (from 1) that it had among the pairs in `before`; what is
    left of `before`; what is left of `after`.
    """
    old, new = dict(enumerate(before)), dict(enumerate(after))
    partner: dict[int, int] = {}
    for key in keys:
        waiting: dict[Hashable, list[int]] = {}
        for place, thing in old.items():
            waiting.setdefault(key(thing), []).append(place)
        for place, thing in list(new.items()):
            if waiting.get(key(thing)):
                partner[place] = waiting[key(thing)].pop(0)
                del old[partner[place]], new[place]
    ranks = {place: rank for rank, place in enumerate(sorted(partner.values()), 1)}
    pairs = [(before[partner[place]], after[place], ranks[partner[place]]) for place in sorted(partner)]
    return pairs, list(old.values()), list(new.values())


# ------------------------------------------------------------------ in words
def dose_in_words(item: Item) -> str:
    """Say a dose: `3 sets of 10 repetitions`."""
    if item.reps is not None:
        amount = f"{item.reps} repetitions" + (f", each held {item.hold_seconds} seconds" if item.hold_seconds else "")
    elif item.hold_seconds is not None:
        amount = f"{item.hold_seconds} seconds held"
    else:
        amount = f"{item.duration_seconds} seconds"
    return f"{item.sets} {'set' if item.sets == 1 else 'sets'} of {amount}"


def _criteria(name: str, kept: Sequence[Mapping[str, Any]]) -> str:
    return all_in_words(kept, entry=name == "entry") or "nothing"


def _said(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, Decimal):
        return f"{value:f}".rstrip("0").rstrip(".") if "." in f"{value:f}" else f"{value:f}"
    return str(value)


def _steps(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    if before["mode"] == after["mode"]:
        return "Your therapist has set anew how far your dose may change by itself"
    return {
        "suggest": "Your therapist decides on each change of your dose when he looks at it",
        "approve": "Changes of your dose wait for your therapist, who decides on each",
        "auto": "Your dose may now change by itself, as far as your therapist has set",
    }[after["mode"]]


_PROGRAM: Mapping[str, Callable[[str, str], str]] = {
    "starts_on": lambda before, after: f"The phases are counted from {after}, no longer from {before}",
    "pain_ceiling": lambda before, after: f"Stop when pain is above {after} (was {before})",
}
_PHASE: Mapping[str, Callable[[str, str, str], str]] = {
    "name": lambda _name, before, after: f"The phase {before} is now called {after}",
    "kind": lambda name, before, after: f"The phase {name} is about {after} (was {before})",
    "weeks": lambda name, before, after: f"The phase {name} lasts {_weeks(after)} (was {_weeks(before)})",
    "entry_criteria": lambda name, before, after: f"The phase {name} begins when: {after} (was: {before})",
    "exit_criteria": lambda name, before, after: f"The phase {name} is done when: {after} (was: {before})",
    "entry": lambda name, before, after: f"Before the phase {name} is reached: {after} (was: {before})",
    "exit": lambda name, before, after: f"In the phase {name} is reached: {after} (was: {before})",
}
_ITEM: Mapping[str, str] = {
    "sets": "{before} → {after} sets of {name}",
    "reps": "{before} → {after} repetitions of {name}",
    "hold_seconds": "{before} → {after} seconds held in {name}",
    "duration_seconds": "{before} → {after} seconds of {name}",
    "load_kg": "{before} → {after} kg for {name}",
    "load_label": "{name}: load {before} → {after}",
    "tempo": "{name}: tempo {before} → {after}",
    "rest_seconds": "{name}: {before} → {after} seconds of rest between sets",
    "side": "{name}: {before} → {after}",
    "sessions_per_day": "{name}: {before} → {after} times a day",
    "weekdays": "{name}: {before} → {after}",
    "pain_ceiling": "{name}: stop when pain is above {after} (was {before})",
    "effort_ceiling": "{name}: effort of at most {after} of 10 (was {before})",
    "note": "{name}: the note is now: {after}",
    "accepted_contraindications": "{name}: your therapist has looked again at whether it is safe for you",
}


_UNITS: Mapping[str, str] = {
    "reps": "repetitions",
    "hold_seconds": "seconds held",
    "duration_seconds": "seconds",
    "load_kg": "kg",
    "rest_seconds": "seconds of rest",
}


def _weeks(said: str) -> str:
    return "until further notice" if said == "none" else f"{said} {'week' if said == '1' else 'weeks'}"


def _in_words(field: str, name: str, before: Any, after: Any) -> str:
    if field.startswith("exercise."):
        return f"{name}: the description has changed ({field.partition('.')[2].replace('_', ' ')})"
    if field in _UNITS and before is None:
        return f"{name}: now {_said(after)} {_UNITS[field]}"
    if field in _UNITS and after is None:
        return f"{name}: {_said(before)} {_UNITS[field]} no more"
    return _ITEM[field].format(name=name, before=_value(field, before), after=_value(field, after))


def _value(field: str, value: Any) -> str:
    if field == "weekdays":
        return "every day" if len(value) == len(WEEKDAYS) else ", ".join(WEEKDAYS[day - 1] for day in value)
    if field == "side":
        return SIDES[value]
    if field == "pain_ceiling" and value is None:
        return "the program's limit"
    return _said(value)
