"""Flare-ups: how much is done meanwhile, how the dose comes back, and when a human must look.

A flare-up is what the patient calls one: it is never derived from pain alone, and a day on which he says that it flares is
never a settled one. Nothing that is not known raises a dose. Numbers are product defaults from `rules/flares.yaml`; the day
on which the therapist is told is rule ES06's.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from math import ceil
from statistics import median
from typing import Any, Self

from clinical import escalation
from clinical.adherence import dose
from clinical.escalation import Raised
from clinical.levels import FlareStep
from clinical.library import load
from clinical.prescription import default_dosage
from clinical.rounding import half_up

WHOLE = 100
WORST = 10
"""The upper end of the scale of limitation: function is what is left of it."""

SMALLEST_LOAD = Decimal("0.5")
"""A load that goes down is cut to a multiple of this, in kilograms."""


@dataclass(frozen=True)
class Day:
    """What was answered on a local day: pain now and limitation 0-10, and whether it flares; None where nothing was."""

    on: date
    pain: int | None
    limitation: int | None
    flare: bool | None


@dataclass(frozen=True)
class Trained:
    """A session at the present step: its local day, whether it was done (as adherence counts), its highest pain, 0-10.

    One in which a new neurological symptom came up is never a done one.
    """

    on: date
    completed: bool
    pain: int | None
    session_id: str | None = None


@dataclass(frozen=True)
class Standing:
    """Where a flare-up stands.

    since: the local day on which its present step began, full `hours` ago. cleared: a complete red-flag screen belongs to
    it, and nothing urgent of it is open. held_until: up to this day a therapist's choice of step stays. baseline_pain,
    baseline_limitation: before it, 0-10; None where nothing is known. contacted, reassessing: was asked for before.
    symptom_waits: a new symptom was told since the last screen; until the next the dose does not rise.
    """

    step: FlareStep
    opened_on: date
    since: date
    hours: int
    cleared: bool
    held_until: date | None = None
    baseline_pain: int | None = None
    baseline_limitation: int | None = None
    contacted: bool = False
    reassessing: bool = False
    symptom_waits: bool = False


@dataclass(frozen=True)
class Decision:
    """What comes next; `reasons` are codes of what led there, `contact` what rule ES06 raises, empty where nothing is due.

    reassess: a new assessment is asked for now, and was not before. inputs: what was looked at, numbers and codes only.
    """

    step: FlareStep
    reasons: tuple[str, ...]
    contact: tuple[Raised, ...]
    reassess: bool
    rule_version: str
    inputs: Mapping[str, Any]


def next_step(standing: Standing, days: Sequence[Day], sessions: Sequence[Trained], today: date) -> Decision:
    """Return what the rules say on `today`.

    days: those since the flare-up began, the oldest first, each once; days of earlier steps count for re-assessment only.
    sessions: those done at the present step, the oldest first.
    """
    # The day on which the reduced plan began tells how bad it is, whatever was answered later on it: it is no settled one.
    first = standing.since + timedelta(days=standing.step is FlareStep.REDUCED)
    answered = [day for day in days if day.on >= first and (day.pain is not None or day.flare is not None)]
    if standing.held_until is not None and today <= standing.held_until:
        step, reason = standing.step, "held"
    elif standing.step is FlareStep.REDUCED:
        step, reason = _from_reduced(standing, answered)
    elif standing.step is FlareStep.THREE_QUARTERS:
        step, reason = _from_three_quarters(standing, answered, sessions)
    else:
        step, reason = FlareStep.FULL, "over"
    going = step is not FlareStep.FULL
    return Decision(
        step=step,
        reasons=(reason,),
        contact=() if standing.contacted or not going else tuple(escalation.long_flare(standing.opened_on, today)),
        reassess=going and not standing.reassessing and _needs_assessment(standing, days, today),
        rule_version=load().flares.version,
        inputs=_inputs(standing, answered, sessions),
    )


@dataclass(frozen=True)
class Coming:
    """The step that comes next when all goes well: in words for the patient, and the first day on which it can come."""

    step: FlareStep
    not_before: date
    text: str


def coming(step: FlareStep, since: date, held_until: date | None) -> Coming | None:
    """Return what follows a step that began on `since`; None when the flare-up is over."""
    rules = load().flares
    if step is FlareStep.FULL:
        return None
    if step is FlareStep.REDUCED:
        following, text = FlareStep.THREE_QUARTERS, rules.texts.next_three_quarters
        first = since + timedelta(hours=rules.reduced.least_hours)
    else:
        following, text = FlareStep.FULL, rules.texts.next_full
        first = since + timedelta(days=rules.three_quarters.good_days)
    return Coming(following, first if held_until is None else max(first, held_until + timedelta(days=1)), text)


def baseline(values: Sequence[int]) -> int | None:
    """Return the median of answers before a flare-up, rounded half up; None without any."""
    return int(half_up(Decimal(str(median(values))))) if values else None


def _from_reduced(standing: Standing, answered: Sequence[Day]) -> tuple[FlareStep, str]:
    rules = load().flares
    last = answered[-rules.settled.days :]
    if not standing.cleared or standing.symptom_waits:
        return FlareStep.REDUCED, "screen_missing"
    if standing.hours < rules.reduced.least_hours:
        return FlareStep.REDUCED, "too_early"
    if len(last) == rules.settled.days and all(_settled(standing, day) for day in last):
        return FlareStep.THREE_QUARTERS, "days_settled"
    return FlareStep.REDUCED, "not_settled"


def _from_three_quarters(
    standing: Standing, answered: Sequence[Day], sessions: Sequence[Trained]
) -> tuple[FlareStep, str]:
    rules = load().flares.three_quarters
    if not standing.cleared:
        return FlareStep.REDUCED, "screen_missing"
    last = answered[-rules.worse_days :]
    if len(last) == rules.worse_days and all(_worse(standing, day) for day in last):
        return FlareStep.REDUCED, "days_worse"
    missing = _missing(answered, sessions)
    if missing is not None:
        return FlareStep.THREE_QUARTERS, missing
    if not _settled(standing, answered[-1]):
        return FlareStep.THREE_QUARTERS, "not_settled"
    if standing.symptom_waits:
        return FlareStep.THREE_QUARTERS, "screen_missing"
    return FlareStep.FULL, "sessions_good"


def _missing(answered: Sequence[Day], sessions: Sequence[Trained]) -> str | None:
    """Give what the sessions lack for the usual dose; None when they and a later day have said enough."""
    rules = load().flares.three_quarters
    good: dict[date, bool] = {}  # a day is as good as the worst session on it
    for each in sessions:
        well = each.completed and each.pain is not None and each.pain <= rules.session_pain
        good[each.on] = good.get(each.on, True) and well
    lately = [good[day] for day in sorted(good)]
    if len(lately) < rules.good_days or not all(lately[-rules.good_days :]):
        return "sessions_missing"
    # What a session did is known the day after: a day counts once a later one was answered, and none since was bad.
    known = sum(day < answered[-1].on for day in good) if answered else 0
    enough = known >= rules.good_days and all(lately[known - rules.good_days :])
    return None if enough else "day_after_missing"


def _inputs(standing: Standing, answered: Sequence[Day], sessions: Sequence[Trained]) -> dict[str, Any]:
    """Write down what a step is decided by: answered days, the last ones only, and the sessions of the present step."""
    rules = load().flares
    days = answered[-max(rules.settled.days, rules.three_quarters.worse_days) :]
    return {
        "from_step": standing.step.value,
        "hours": standing.hours,
        "screened": standing.cleared and not standing.symptom_waits,
        "pain_limit": _limit(standing),
        "days": [{**vars(day), "on": day.on.isoformat()} for day in days],
        "sessions": [{**vars(each), "on": each.on.isoformat()} for each in sessions],
    }


def _limit(standing: Standing) -> int:
    rules = load().flares
    known = rules.baseline.unknown_pain if standing.baseline_pain is None else standing.baseline_pain
    return known + rules.settled.above_baseline


def _settled(standing: Standing, day: Day) -> bool:
    return day.pain is not None and day.pain <= _limit(standing) and day.flare is not True


def _worse(standing: Standing, day: Day) -> bool:
    return day.flare is True or (day.pain is not None and day.pain > _limit(standing))


def _needs_assessment(standing: Standing, days: Sequence[Day], today: date) -> bool:
    rules = load().flares.reassess
    if (today - standing.opened_on).days >= rules.day:
        return True
    if standing.baseline_limitation is None:
        return False
    before = WORST - standing.baseline_limitation
    told = [
        WORST - day.limitation
        for day in days
        if day.limitation is not None and (day.on - standing.opened_on).days >= rules.function_from_day
    ][-rules.function_days :]
    return len(told) == rules.function_days and all(
        function < before and (before - function) * WHOLE >= before * rules.function_down_percent for function in told
    )


# ------------------------------------------------------------------ the dose
@dataclass(frozen=True)
class Dose:
    """What is due of one exercise in one session; times in seconds, load in kilograms."""

    exercise_code: str
    sets: int
    reps: int | None = None
    hold_seconds: int | None = None
    duration_seconds: int | None = None
    load_kg: Decimal | None = None

    @classmethod
    def of(cls, exercise_code: str, item: Mapping[str, Any]) -> Self:
        """Read it from what is prescribed, by the names of its columns."""
        load_kg = item["load_kg"]
        amounts = (item["sets"], item["reps"], item["hold_seconds"], item["duration_seconds"])
        return cls(exercise_code, *amounts, None if load_kg is None else Decimal(str(load_kg)))

    @property
    def amount(self) -> int:
        """The amount of it, in the unit of `clinical.adherence.dose`."""
        return dose(self.sets, self.reps, self.hold_seconds, self.duration_seconds)


def share(step: FlareStep) -> int:
    """Return the percent of the usual volume that is due at a step."""
    return load().flares.shares[step]


def dose_at(step: FlareStep, prescribed: Dose, kind: str | None, *, without: Collection[str] = ()) -> Dose:
    """Return what is due of a prescribed exercise at a step.

    kind: the exercise's type; one that is not known is eased like strength. What is eased at the first step becomes the
    next easier exercise where one may stand in for it, else its load goes down; volume never exceeds the share, but for
    the one repetition or second that is left. without: exercises that stand in for none, whatever the library says.
    """
    rules = load().flares
    percent = share(step)
    if percent == WHOLE or kind in rules.kinds.as_is:
        return prescribed
    if kind in rules.kinds.short:
        seconds = prescribed.duration_seconds
        if step is FlareStep.REDUCED and seconds is not None:
            return replace(prescribed, sets=1, duration_seconds=min(seconds, rules.short_seconds))
        return _scaled(prescribed, percent)
    if step is not FlareStep.REDUCED:
        return _scaled(prescribed, percent)
    easier = easier_than(prescribed.exercise_code)
    if easier is not None and easier not in without:
        return _scaled(replace(prescribed, exercise_code=easier, load_kg=None), percent)
    return _scaled(replace(prescribed, load_kg=_lighter(prescribed.load_kg)), percent)


def easier_than(code: str) -> str | None:
    """Return the next easier exercise of the library that may stand in for one without anybody looking.

    It may when whoever may do the harder one may do it (it has no contraindication of its own), and both are counted in
    the same unit. None where there is none.
    """
    known = load().exercises
    exercise = known.get(code)
    if exercise is None or exercise.progression_of is None:
        return None
    easier = known[exercise.progression_of]
    accepted = {one.code for one in exercise.contraindications}
    if not {one.code for one in easier.contraindications} <= accepted:
        return None
    units = [(usual.reps is None, usual.duration_seconds is None) for usual in map(default_dosage, (exercise, easier))]
    return easier.code if units[0] == units[1] else None


def _scaled(usual: Dose, percent: int) -> Dose:
    """Fewer sets first, then less in each of them."""
    sets = ceil(usual.sets * percent / WHOLE)
    unit = next(name for name in ("reps", "hold_seconds", "duration_seconds") if getattr(usual, name) is not None)
    less: dict[str, Any] = {unit: max(1, usual.amount * percent // WHOLE // sets)}
    return replace(usual, sets=sets, **less)


def _lighter(load_kg: Decimal | None) -> Decimal | None:
    if load_kg is None:
        return None
    steps = load_kg * load().flares.load_percent / WHOLE // SMALLEST_LOAD
    return steps * SMALLEST_LOAD
