"""A decision with the dose that follows from it, in plain words; and how far it may be taken without a human."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from itertools import groupby
from typing import Any

from clinical.dosing import EXERCISE, Dose, Ladder, load_percent, step_down, step_up
from clinical.levels import Level
from clinical.library import load
from clinical.progression import LAST_TWO, Decision, Outcome, Performed, decide

UNITS = {
    "reps": ("repetition", "repetitions"),
    "sets": ("set", "sets"),
    "hold_seconds": ("second held", "seconds held"),
    "duration_seconds": ("second", "seconds"),
    "load_kg": ("kg", "kg"),
}
NUMBERS = {1: "session", 2: "two sessions", 3: "three sessions", 4: "four sessions"}


@dataclass(frozen=True)
class Advised:
    """What is suggested for one exercise: the decision, what changes from which dose to which, and why.

    change: a field of Dose, `exercise`, or None where nothing changes or the rules know of no further step.
    """

    decision: Decision
    change: str | None
    before: Dose
    after: Dose | None
    explanation: str


@dataclass(frozen=True)
class Spell:
    """A flare-up of the program's episode, from its first local day to the one on which it was closed, both included.

    mistake: it was none; its days were lighter all the same.
    """

    began: date
    ended: date | None = None
    mistake: bool = False


def counts(on: date, spells: Sequence[Spell], today: date) -> bool:
    """Tell whether a session of the day `on` says, on `today`, anything about the usual dose.

    One on a day of a flare-up was done at a lighter dose, and what was before it is past: the usual dose begins anew.
    """
    known = [spell for spell in spells if spell.began <= today]
    return not any(
        on <= (today if spell.ended is None else spell.ended) and (not spell.mistake or on >= spell.began)
        for spell in known
    )


def lasts(spells: Sequence[Spell], today: date) -> bool:
    """Tell whether a flare-up is open on `today`; not on the day on which it was closed."""
    return any(spell.began <= today and (spell.ended is None or today < spell.ended) for spell in spells)


def held_since(since: date, spells: Sequence[Spell], today: date) -> date:
    """Give the day from which a dose that is prescribed since `since` was due without a break."""
    ends = [spell.ended for spell in spells if spell.ended is not None and spell.ended <= today and not spell.mistake]
    return max([since, *ends])


@dataclass(frozen=True)
class Bounds:
    """How far a program changes without a human: what its therapist has set.

    A variable without a most of its own is never raised by itself. max_load_percent: of one step.
    """

    outcomes: frozenset[Outcome] = frozenset()
    max_sets: int | None = None
    max_reps: int | None = None
    max_hold_seconds: int | None = None
    max_duration_seconds: int | None = None
    max_load_kg: Decimal | None = None
    max_load_percent: int | None = None
    exercise_change: bool = False

    def allow(self, advised: Advised) -> bool:
        """Whether this may be done without a human; to stop is never among it, nor what changes nothing."""
        outcome, change, after = advised.decision.outcome, advised.change, advised.after
        if change is None or after is None or outcome is Outcome.STOP or outcome not in self.outcomes:
            return False
        if change == EXERCISE:
            return self.exercise_change
        if outcome is Outcome.REGRESS:
            return True
        most = getattr(self, f"max_{change}")
        return most is not None and getattr(after, change) <= most and self._light(change, advised.before, after)

    def _light(self, change: str, before: Dose, after: Dose) -> bool:
        if change != "load_kg" or self.max_load_percent is None:
            return True
        assert before.load_kg is not None
        assert after.load_kg is not None
        return load_percent(before.load_kg, after.load_kg) <= self.max_load_percent


def advise(
    dose: Dose,
    ladder: Ladder,
    sessions: Sequence[Performed],
    *,
    days_since_change: int,
    names: dict[str, str],
    new_neurological_symptom: bool = False,
    flaring: bool = False,
    red_flag_level: Level = Level.NONE,
) -> Advised:
    """Return what `sessions` at this dose, the oldest first, suggest; the same answer for the same question.

    names: of the exercises that may be named, by code. new_neurological_symptom: reported with the last session.
    flaring: whether a flare-up is open.
    """
    decision = decide(
        sessions,
        days_since_change=days_since_change,
        new_neurological_symptom=new_neurological_symptom,
        flaring=flaring,
        red_flag_level=red_flag_level,
    )
    step = None
    if decision.outcome is Outcome.PROGRESS:
        step = step_up(dose, ladder)
    elif decision.outcome is Outcome.REGRESS:
        step = step_down(dose, ladder)
    change, after = (None, None) if step is None else (step.change, step.to)
    return Advised(decision, change, dose, after, _explain(decision, change, dose, after, names))


# ------------------------------------------------------------------ in plain words
def _explain(decision: Decision, change: str | None, before: Dose, after: Dose | None, names: dict[str, str]) -> str:
    name = names[before.code]
    match decision.outcome:
        case Outcome.STOP:
            what = f"Stop {name}"
        case Outcome.HOLD | Outcome.MAINTAIN:
            what = f"Keep {name} as it is"
        case _ if after is None or change is None:
            what = f"{'More' if decision.outcome is Outcome.PROGRESS else 'Less'} of {name}, but the rules know no step"
        case _ if change == EXERCISE:
            what = f"{name} → {names[after.code]}"
        case _:
            now, then = getattr(before, change), getattr(after, change)
            what = f"{_number(now)} → {_number(then)} {UNITS[change][then != 1]} of {name}"
    return f"{what}: {', and '.join(_why(reason) for reason in decision.reasons)}"


def _number(value: Decimal | int) -> str:
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)


def _why(reason: str) -> str:
    limits = load().progression.thresholds
    last = NUMBERS.get(limits.sessions_needed, f"{limits.sessions_needed} sessions")
    return {
        "new_neurological_symptom": "new weakness, numbness or tingling was reported with a session",
        "red_flag": "a red flag is open",
        "severe_pain": f"pain reached {limits.stop_pain} or more in a session",
        "pain_above_amber": f"pain went above {limits.amber_max} in the last session",
        "pain_rose_twice": f"pain was {limits.rise_24h_bad} or more higher the day after, twice in a row",
        "too_much_twice": f"less than {limits.poor_completion} % was done, for pain or too hard, twice in a row",
        "pain_lingers": "pain in the middle range had not settled a day later",
        "hard_effort": f"the last session felt hard ({limits.effort_hard} of 10 or more)",
        "next_day_pain_unknown": "how it felt a day after the last session is not known yet",
        "green_sessions": f"the last {last} were easy and done in full",
        "nothing_else_fits": "nothing asks for a change",
        "changed_lately": f"it went well, but a dose stays for {limits.min_days_between_progressions} days at least",
        "no_sessions": "no session at this dose yet",
        "flare_open": "a flare-up lasts",
    }[reason]


# ------------------------------------------------------------------ day by day
@dataclass(frozen=True)
class Day:
    """One session of an exercise on a local day."""

    on: date
    performed: Performed
    new_neurological_symptom: bool = False


@dataclass(frozen=True)
class Replay:
    """What would have been suggested on a day, and at which dose."""

    on: date
    advised: Advised
    days_since_change: int


@dataclass
class _Course:
    dose: Dose
    since: date
    sessions: list[Day] = field(default_factory=list)


def replay(
    dose: Dose,
    ladder: Ladder,
    history: Sequence[Day],
    *,
    since: date,
    names: dict[str, str],
    follow: bool,
    spells: Sequence[Spell] = (),
) -> Iterator[Replay]:
    """Yield the decision after each day of `history`, the first day first.

    since: the day from which the dose holds. follow: whether each step is taken as soon as it is suggested, so that the
    days after it are judged at the new dose; an exercise that is stopped, or changed for another, ends there. spells: the
    flare-ups of the time, each known from its first day.
    """
    course = _Course(dose, since)
    for on, sessions in groupby(sorted(history, key=lambda day: day.on), key=lambda day: day.on):
        course.sessions += sessions
        days = (on - held_since(course.since, spells, on)).days
        usual = [day for day in course.sessions if counts(day.on, spells, on)][-needed() :]
        last = course.sessions[-1]
        if last not in usual:
            usual.append(replace(last, performed=replace(last.performed, counts=False)))
        advised = advise(
            course.dose,
            ladder,
            [day.performed for day in usual],
            days_since_change=days,
            names=names,
            new_neurological_symptom=last.new_neurological_symptom,
            flaring=lasts(spells, on),
        )
        yield Replay(on, advised, days)
        if not follow:
            continue
        if advised.decision.outcome is Outcome.STOP or advised.change == EXERCISE:
            return
        if advised.after is not None:
            course = _Course(advised.after, on)


def needed() -> int:
    """How many of the last sessions a decision looks at."""
    return max(LAST_TWO, load().progression.thresholds.sessions_needed)


def told(dose: Dose) -> dict[str, Any]:
    """Give a dose as numbers and codes, for a record; loads in kilograms."""
    return {**vars(dose), "load_kg": None if dose.load_kg is None else float(dose.load_kg)}


def read(told: dict[str, Any]) -> Dose:
    """Give the dose that `told` has told."""
    dose = Dose(**told)
    return dose if dose.load_kg is None else replace(dose, load_kg=Decimal(str(dose.load_kg)))
