"""When a phase of a program may end and the next may begin: criteria that are computed, never judged by themselves.

A criterion is data with a closed vocabulary. It is held against what is known since the phase began; what is not known is
not met. All criteria of a list must be met; whether the program then moves on is for a therapist to decide.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from clinical.adherence import PlannedSession, adherence
from clinical.habits import question_of
from clinical.library import load

DAY = timedelta(days=1)

MOST = 8
"""Criteria of one list: more than these nobody keeps in mind."""

LONGEST = 56
"""Days a window may reach back; more than the usual phase lasts."""

MOST_ANSWERS = 14
"""Answers or scores in a row that may be asked for."""

YEAR = 366
"""The most days, and the most sessions a day over a year, that a count may ask for."""


class Measure(StrEnum):
    """What is looked at: answers of a check-in (0-10), how well the plan was kept, counts, a score."""

    PAIN_NOW = "pain_now"
    PAIN_WORST_24H = "pain_worst_24h"
    FUNCTION_LIMIT = "function_limit"
    ADHERENCE_PERCENT = "adherence_percent"
    SESSIONS_DONE = "sessions_done"
    DAYS_IN_PHASE = "days_in_phase"
    INSTRUMENT = "instrument"


class Operator(StrEnum):
    """At most, or at least."""

    LTE = "lte"
    GTE = "gte"


class State(StrEnum):
    """What came of a criterion; without enough data it is not met either."""

    MET = "met"
    NOT_MET = "not_met"
    NO_DATA = "no_data"


DAILY = (Measure.PAIN_NOW, Measure.PAIN_WORST_24H, Measure.FUNCTION_LIMIT)
"""Measures with one answer for each local day; their code is the question's."""

COUNTS = (Measure.SESSIONS_DONE, Measure.DAYS_IN_PHASE)

WINDOWS: Mapping[Measure, frozenset[str]] = {
    **dict.fromkeys(DAILY, frozenset({"days", "last_n"})),
    Measure.ADHERENCE_PERCENT: frozenset({"days"}),
    Measure.SESSIONS_DONE: frozenset({"days"}),
    Measure.DAYS_IN_PHASE: frozenset(),
    Measure.INSTRUMENT: frozenset({"last_n"}),
}
"""The windows that fit a measure."""


@dataclass(frozen=True)
class Criterion:
    """One criterion. instrument: the code, of that measure only.

    days: looks at each of the last full days, today left out as it is not over (sessions done: the days up to today).
    last_n: at each of the last answers, or scores. Neither: the last one, or all since the phase began.
    """

    measure: Measure
    op: Operator
    value: Decimal
    instrument: str | None = None
    days: int | None = None
    last_n: int | None = None

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Criterion":
        """Read one as it is kept in a program, and as it crosses our border."""
        over = kept.get("over") or {}
        return cls(
            Measure(kept["measure"]),
            Operator(kept["op"]),
            Decimal(str(kept["value"])),
            kept.get("instrument"),
            over.get("days"),
            over.get("last_n"),
        )


@dataclass(frozen=True)
class Fault:
    """What is wrong with a criterion, and where in it."""

    field: str
    code: str
    message: str


def faults(criterion: Criterion, unlicensed: AbstractSet[str] = frozenset()) -> list[Fault]:
    """Tell what keeps a criterion from being computed. unlicensed: instruments whose text the clinic does not have."""
    found = []
    if (criterion.measure is Measure.INSTRUMENT) != (criterion.instrument is not None):
        found.append(
            Fault("instrument", "instrument_choice", "Name an instrument with measure instrument, and only then.")
        )
    elif criterion.instrument is not None and criterion.instrument not in load().measures:
        found.append(Fault("instrument", "unknown_instrument", "There is no instrument of this code."))
    elif criterion.instrument in unlicensed:
        found.append(
            Fault("instrument", "instrument_not_licensed", "The clinic has no licensed text of this instrument.")
        )
    if not found:
        lowest, highest = _range(criterion)
        whole = criterion.measure not in COUNTS or criterion.value == criterion.value.to_integral_value()
        if not (lowest <= criterion.value <= highest and whole):
            kind = "a whole number" if criterion.measure in COUNTS else "a value"
            found.append(Fault("value", "value_range", f"This measure has {kind} from {lowest} to {highest}."))
    return found + _window_faults(criterion)


def _window_faults(criterion: Criterion) -> list[Fault]:
    given = {name: getattr(criterion, name) for name in ("days", "last_n") if getattr(criterion, name) is not None}
    fitting = WINDOWS[criterion.measure]
    if len(given) > 1:
        return [Fault("over", "window_choice", "Say over how many days, or over how many answers.")]
    if not given.keys() <= fitting or (criterion.measure is Measure.ADHERENCE_PERCENT and not given):
        wanted = "none" if not fitting else " or ".join(sorted(fitting))
        return [Fault("over", "window_unfit", f"The window of this measure is: {wanted}.")]
    longest = {"days": LONGEST, "last_n": MOST_ANSWERS}
    return [
        Fault(f"over/{name}", "window_range", f"From 1 to {longest[name]}.")
        for name, length in given.items()
        if not 1 <= length <= longest[name]
    ]


def _range(criterion: Criterion) -> tuple[Decimal, Decimal]:
    """Give the ends of what can be asked for, both included."""
    if criterion.measure in DAILY:
        question = question_of(criterion.measure)
        return Decimal(question.min or 0), Decimal(question.max or 0)
    if criterion.measure is Measure.ADHERENCE_PERCENT:
        return Decimal(0), Decimal(100)
    if criterion.measure in COUNTS:
        return Decimal(1), Decimal(YEAR)
    lowest, highest = load().measures[criterion.instrument or ""].primary.range
    return Decimal(lowest), Decimal(highest)


# ------------------------------------------------------------------ computed
@dataclass(frozen=True)
class Observed:
    """What is known of a patient since the phase that is in force began, up to his local day.

    answers: by question, the value of each answered day. sessions: what was planned and what came of it, in any order,
    today's only where it was done. done: the day of each session that was completed, planned or not. scores: by
    instrument, the oldest first. Nothing in it is older than `began_on`.
    """

    began_on: date
    today: date
    answers: Mapping[str, Mapping[date, Decimal]]
    sessions: Sequence[tuple[date, PlannedSession]]
    done: Sequence[date]
    scores: Mapping[str, Sequence[Decimal]]

    @property
    def days(self) -> int:
        """Full days in the phase."""
        return (self.today - self.began_on).days


@dataclass(frozen=True)
class Judged:
    """What came of a criterion. value: of all that was looked at, the one that decides; None without any."""

    state: State
    value: Decimal | None


def judge(criterion: Criterion, observed: Observed) -> Judged:
    """Hold one criterion against what is known."""
    measure = criterion.measure
    if measure is Measure.DAYS_IN_PHASE:
        return _compare(criterion, [Decimal(observed.days)], 1)
    if measure is Measure.SESSIONS_DONE:
        first = observed.began_on if criterion.days is None else observed.today - (criterion.days - 1) * DAY
        done = sum(first <= day <= observed.today for day in observed.done)
        return _compare(criterion, [Decimal(done)], 1)
    if measure is Measure.ADHERENCE_PERCENT:
        window = _window(criterion, observed)
        kept = adherence([one for day, one in observed.sessions if window and window[0] <= day <= window[-1]])
        return _compare(criterion, [] if kept.session_percent is None else [kept.session_percent], 1)
    if measure is Measure.INSTRUMENT:
        values = list(observed.scores.get(criterion.instrument or "", ()))
    else:
        answers = observed.answers.get(measure, {})
        if criterion.days is not None:
            window = _window(criterion, observed)
            return _compare(criterion, [answers[day] for day in window if day in answers], criterion.days)
        values = [answers[day] for day in sorted(answers)]
    needed = criterion.last_n or 1
    return _compare(criterion, values[-needed:], needed)


def met(judged: Sequence[Judged]) -> bool:
    """Tell whether all of them are met, and there is one at all: nobody becomes ready by having nothing to reach."""
    return bool(judged) and all(one.state is State.MET for one in judged)


def _window(criterion: Criterion, observed: Observed) -> list[date]:
    """Give the last full days that a criterion asks for; none as long as the phase is younger than that."""
    days = criterion.days or 0
    return [observed.today - back * DAY for back in range(days, 0, -1)] if days <= observed.days else []


def _compare(criterion: Criterion, values: Sequence[Decimal], needed: int) -> Judged:
    """Hold each value against the limit: the one that is farthest from it decides."""
    at_most = criterion.op is Operator.LTE
    decisive = (max if at_most else min)(values, default=None)
    if decisive is None or len(values) < needed:
        return Judged(State.NO_DATA, decisive)
    fits = decisive <= criterion.value if at_most else decisive >= criterion.value
    return Judged(State.MET if fits else State.NOT_MET, decisive)


# ------------------------------------------------------------------ in words
_MISSING: Mapping[Measure, str] = {
    **dict.fromkeys(DAILY, "Not enough answers yet"),
    Measure.INSTRUMENT: "Not answered often enough yet",
    Measure.ADHERENCE_PERCENT: "Not enough planned sessions yet",
}


def explained(criterion: Criterion, judged: Judged) -> str:
    """Say what was seen; what is wanted, `in_words` says."""
    if judged.state is State.NO_DATA or judged.value is None:
        return _MISSING[criterion.measure]
    word = "Reached" if judged.state is State.MET else "Not reached"
    return f"{word}: {_number(judged.value)}"


_NAMES: Mapping[Measure, str] = {
    Measure.PAIN_NOW: "Pain",
    Measure.PAIN_WORST_24H: "Worst pain of the day",
    Measure.FUNCTION_LIMIT: "How much it limits you (0 to 10):",
}


def in_words(criterion: Criterion, *, entry: bool = False) -> str:
    """Say a criterion to the patient. entry: it is asked before its phase begins, so of the phase before."""
    limit = f"{'at most' if criterion.op is Operator.LTE else 'at least'} {_number(criterion.value)}"
    phase = "the phase before" if entry else "this phase"
    if criterion.measure is Measure.DAYS_IN_PHASE:
        return f"{limit.capitalize()} {_plural('day', criterion.value)} in {phase}"
    if criterion.measure is Measure.SESSIONS_DONE:
        over = f"in {phase}" if criterion.days is None else f"in {_last(criterion.days, 'day')}"
        return f"{limit.capitalize()} {_plural('session', criterion.value)} done {over}"
    if criterion.measure is Measure.ADHERENCE_PERCENT:
        return f"{limit.capitalize()} % of the planned sessions done in {_last(criterion.days or 1, 'full day')}"
    if criterion.measure is Measure.INSTRUMENT:
        known = load().measures.get(criterion.instrument or "")
        name = f"Score of {criterion.instrument if known is None else known.title}"
        over = f"each of {_last(criterion.last_n, 'time')}" if (criterion.last_n or 1) > 1 else "the last time"
        return f"{name} {limit}, {over}"
    if criterion.days is not None:
        over = f"on each of {_last(criterion.days, 'full day')}" if criterion.days > 1 else "on the last full day"
    elif (criterion.last_n or 1) > 1:
        over = f"on each of {_last(criterion.last_n, 'day')} you answered"
    else:
        over = "on the last day you answered"
    return f"{_NAMES[criterion.measure]} {limit} {over}"


def all_in_words(criteria: Sequence[Mapping[str, Any]], *, entry: bool = False) -> str:
    """Say all criteria of a list, as they are kept; nothing for none."""
    return "; ".join(in_words(Criterion.of(each), entry=entry) for each in criteria)


def _number(value: Decimal) -> str:
    plain = f"{value:f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _plural(noun: str, value: Decimal) -> str:
    return noun if value == 1 else f"{noun}s"


def _last(count: int | None, noun: str) -> str:
    return f"the last {count} {noun}s" if count != 1 else f"the last {noun}"
