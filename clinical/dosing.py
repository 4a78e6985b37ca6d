"""What the next dose is: one variable changed at a time, in the order and within the bounds of the rules.

The order and every number stand in `rules/progression.yaml`. A therapist decides; these are the steps offered to him.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from clinical.library import load
from clinical.rulebook import AmountUp, BoutUp, LoadUp, OtherExercise, PercentDown, RepsUp, SetsDown

HUNDRED = 100
MINUTE = 60
GRAMS = 1000
MOST_REPS, MOST_KG, MOST_SECONDS = 100, Decimal(300), 7200
"""What can be prescribed at all: see `clinical.prescription.Dosage`."""

AEROBIC = "aerobic"
"""The type of exercise whose bouts grow; others of a fixed time, such as breathing, go on to the next exercise."""

EXERCISE = "exercise"
"""Stands as the change where not the amount is another but the exercise."""


@dataclass(frozen=True)
class Dose:
    """How much of which exercise: repetitions perhaps held, or a hold, or a duration; per_week: times in seven days."""

    code: str
    sets: int
    reps: int | None = None
    hold_seconds: int | None = None
    duration_seconds: int | None = None
    load_kg: Decimal | None = None
    per_week: int = 7


@dataclass(frozen=True)
class Ladder:
    """Where an exercise stands: its usual dose, and what is harder and easier, at their usual doses.

    type: of the exercise. harder, easier: None where there is none, or none that this patient may be given.
    """

    usual: Dose
    type: str
    harder: Dose | None = None
    easier: Dose | None = None


@dataclass(frozen=True)
class Step:
    """What changes (a field of Dose, or `exercise`), and the dose after it."""

    change: str
    to: Dose


def step_up(dose: Dose, ladder: Ladder) -> Step | None:
    """Return the next step up; None when the rules know of none."""
    return _first(load().progression.step_up, dose, ladder)


def step_down(dose: Dose, ladder: Ladder) -> Step | None:
    """Return the next step down; None when the rules know of none."""
    return _first(load().progression.step_down, dose, ladder)


def load_percent(before: Decimal, after: Decimal) -> Decimal:
    """By how many percent a load grows; `before` is above 0."""
    return (after - before) * HUNDRED / before


def _first(rules: tuple[Any, ...], dose: Dose, ladder: Ladder) -> Step | None:
    return next((step for rule in rules if (step := _TAKE[type(rule)](rule, dose, ladder)) is not None), None)


def _reps_up(rule: RepsUp, dose: Dose, ladder: Ladder) -> Step | None:
    if dose.reps is None or ladder.usual.reps is None:
        return None
    reps = min(dose.reps + rule.by, ladder.usual.reps * rule.most_percent_of_usual // HUNDRED, MOST_REPS)
    return Step("reps", replace(dose, reps=reps)) if reps > dose.reps else None


def _amount_up(rule: AmountUp, dose: Dose, _: Ladder) -> Step | None:
    """Give more sets or a longer hold; what has a duration has no sets to add: its week would grow by too much."""
    now = getattr(dose, rule.change)
    if now is None or dose.duration_seconds is not None:
        return None
    then = min(now + rule.by, rule.most)
    return Step(rule.change, replace(dose, **{rule.change: then})) if then > now else None


def _load_up(rule: LoadUp, dose: Dose, _: Ladder) -> Step | None:
    if not dose.load_kg:
        return None
    smallest = Decimal(rule.smallest_grams) / GRAMS
    raised = dose.load_kg * (HUNDRED + rule.percent) / HUNDRED
    rounded = (raised / smallest).quantize(Decimal(1), ROUND_HALF_UP) * smallest
    then = max(rounded, dose.load_kg + smallest)
    return Step("load_kg", replace(dose, load_kg=then)) if then <= MOST_KG else None


def _bout_up(rule: BoutUp, dose: Dose, ladder: Ladder) -> Step | None:
    now, usual = dose.duration_seconds, ladder.usual.duration_seconds
    if now is None or usual is None or ladder.type != AEROBIC:
        return None
    most = min(usual * rule.most_percent_of_usual // HUNDRED, MOST_SECONDS)
    for by in rule.by:  # the bouts of a week stay as many, so its total grows as each of them does
        if by * HUNDRED <= rule.week_percent * now and now + by <= most:
            return Step("duration_seconds", replace(dose, duration_seconds=now + by))
    return None


def _other(rule: OtherExercise, dose: Dose, ladder: Ladder) -> Step | None:
    found = ladder.harder if rule.to == "harder" else ladder.easier
    if found is None:
        return None
    found = replace(found, per_week=dose.per_week)  # the days stay those that the therapist has set
    return Step(EXERCISE, _no_longer(found, dose) if ladder.type == AEROBIC else found)


def _no_longer(found: Dose, dose: Dose) -> Dose:
    """Keep another way of walking within what the week may grow by, in whole minutes."""
    if found.duration_seconds is None or dose.duration_seconds is None:
        return found
    percent = next(rule.week_percent for rule in load().progression.step_up if isinstance(rule, BoutUp))
    week = dose.sets * dose.duration_seconds * dose.per_week * (HUNDRED + percent)
    bout = week // (HUNDRED * found.sets * found.per_week * MINUTE) * MINUTE
    return replace(found, duration_seconds=max(MINUTE, min(found.duration_seconds, bout)))


def _percent_down(rule: PercentDown, dose: Dose, ladder: Ladder) -> Step | None:
    now, usual = getattr(dose, rule.change), getattr(ladder.usual, rule.change)
    if now is None:
        return None
    least = 1 if usual is None else -(-usual * rule.least_percent_of_usual // HUNDRED)
    then = max(least, now * (HUNDRED - rule.percent) // HUNDRED)
    return Step(rule.change, replace(dose, **{rule.change: then})) if then < now else None


def _sets_down(rule: SetsDown, dose: Dose, _: Ladder) -> Step | None:
    then = max(rule.least, dose.sets - rule.by)
    return Step("sets", replace(dose, sets=then)) if then < dose.sets else None


_TAKE: Mapping[type, Callable[[Any, Dose, Ladder], Step | None]] = {
    RepsUp: _reps_up,
    AmountUp: _amount_up,
    LoadUp: _load_up,
    BoutUp: _bout_up,
    OtherExercise: _other,
    PercentDown: _percent_down,
    SetsDown: _sets_down,
}
