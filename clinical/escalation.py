"""When a check-in, or its absence, asks for a human: the rules ES01 to ES13.

The rules, their limits and levels stand in `rules/escalation.yaml`; here each check is a pure question. Free text is
never the safety channel: a crisis word raises an alert, its absence means nothing.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any

from clinical.adherence import Adherence
from clinical.change import Change
from clinical.levels import AlertLevel, Level
from clinical.library import load
from clinical.rulebook import EscalationRule, Response

Inputs = Mapping[str, int | str | bool | None]

PHQ9, ITEM9 = "phq9", "q9"
"""The instrument, and its question about thoughts of harming oneself."""


@dataclass(frozen=True)
class PastCheckIn:
    """An earlier check-in: its local day, and its answers by question id."""

    on: date
    answers: Mapping[str, Any]


@dataclass(frozen=True)
class CheckInContext:
    """Everything that the rules may look at when a check-in arrives.

    on: the check-in's local day. previous: earlier check-ins, the oldest first. baseline_pain: pain now at the start of
    care, 0-10. red_flag_level: of a screen that belongs to this check-in. phq9_item9: 0-3. flare_opened_on: the first
    day of a flare that is still open. high_pain, pain_rise: a clinic's own limits, 0-10; the rules' own when None.
    """

    answers: Mapping[str, Any]
    on: date
    previous: Sequence[PastCheckIn] = ()
    baseline_pain: int | None = None
    red_flag_level: Level = Level.NONE
    phq9_item9: int | None = None
    flare_opened_on: date | None = None
    high_pain: int | None = None
    pain_rise: int | None = None


@dataclass(frozen=True)
class Raised:
    """A rule that fired. `inputs` are what it looked at, numbers and codes only; `then` is what else must happen."""

    rule_id: str
    rule_version: str
    level: AlertLevel
    then: str | None
    inputs: Inputs


def evaluate(context: CheckInContext) -> list[Raised]:
    """Return the rules that an answered check-in sets off, in the order of their ids."""
    checks = {
        "red_flag": _red_flag,
        "self_harm": _self_harm,
        "high_pain": _high_pain,
        "rising_pain": _rising_pain,
        "flare": _flare,
        "long_flare": _long_flare,
        "new_care": _new_care,
    }
    return [
        raised
        for rule in load().escalation.rules
        if rule.check in checks
        for raised in checks[rule.check](rule, context)
    ]


def is_high(pain: int | None, limit: int | None = None) -> bool:
    """Whether so much pain (0-10) matters more to one who began with less. limit: the clinic's own; the rules' when None."""
    return any(pain is not None and pain >= (limit or rule.limits["pain"]) for rule in _rules("high_pain"))


def missed(in_a_row: int) -> list[Raised]:
    """Return the rules for exactly so many check-ins missed in a row; call it each time one more is missed."""
    return [_raised(rule, missed_in_a_row=in_a_row) for rule in _rules("missed") if rule.limits["in_a_row"] == in_a_row]


def low_adherence(adherence: Adherence, percent: int | None = None) -> list[Raised]:
    """Return the rule for too few sessions done, over the days of `adherence_window_days`.

    percent: the clinic's own limit; the rule's when None.
    """
    return [
        _raised(rule, scheduled=adherence.scheduled, completed=adherence.completed)
        for rule in _rules("low_adherence")
        if adherence.scheduled >= rule.limits["scheduled"]
        and adherence.completed * 100 < adherence.scheduled * (percent or rule.limits["percent"])
    ]


def adherence_window_days() -> int:
    """How many days `low_adherence` looks back."""
    return next(_rules("low_adherence")).limits["days"]


def outcome_worse(instrument: str, change: Change) -> list[Raised]:
    """Return the rule for an outcome that got worse by its own yardstick."""
    return [
        _raised(rule, instrument=instrument, points=str(change.points), yardstick=change.rule)
        for rule in _rules("outcome_worse")
        if instrument in rule.instruments and change.worsened
    ]


def untreated(missing: str) -> list[Raised]:
    """Return the rule for a program that was paused because nobody may treat; missing: the code of what is missing."""
    return [_raised(rule, missing=missing) for rule in _rules("untreated")]


def long_flare(opened_on: date, today: date) -> list[Raised]:
    """Return the rule for a flare that is still open `today`."""
    days = (today - opened_on).days
    return [_raised(rule, days=days) for rule in _rules("long_flare") if days >= rule.limits["days"]]


def alert_level(level: Level) -> AlertLevel:
    """How soon a human must look at a red flag of this level."""
    return load().escalation.red_flag_alerts[level]


def response(level: AlertLevel) -> Response | None:
    """How soon a human must answer an alert: arguments for `recurrence.respond_by`; None where no answer is due."""
    return load().escalation.response.get(level)


def has_crisis_word(text: str) -> bool:
    """Whether the text holds one of a short list of words about harming oneself; False means nothing."""
    return _crisis_pattern().search(" ".join(text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'").split())) is not None


def speaks_of_self_harm(said: Any) -> bool:
    """Whether anything in `said`, read or not, holds such a word or an answer to item 9 of the PHQ-9 that rules heed."""
    if isinstance(said, str):
        return has_crisis_word(said)
    if isinstance(said, list):
        return any(map(speaks_of_self_harm, said))
    if not isinstance(said, dict):
        return False
    answers = said.get("answers")
    if said.get("instrument") == PHQ9 and isinstance(answers, dict):
        item9 = answers.get(ITEM9)
        if isinstance(item9, int | float) and any(item9 >= rule.limits["item9"] for rule in _rules("self_harm")):
            return True
    return any(map(speaks_of_self_harm, said.values()))


def crisis_word() -> list[Raised]:
    """Return the rule for a text that holds such a word."""
    return [_raised(rule, phq9_item9=None, crisis_word=True) for rule in _rules("self_harm")]


def _rules(check: str) -> Iterator[EscalationRule]:
    return (rule for rule in load().escalation.rules if rule.check == check)


def _raised(rule: EscalationRule, *, level: AlertLevel | None = None, **inputs: int | str | bool | None) -> Raised:
    if level is None:
        level = AlertLevel(rule.level)
    return Raised(rule.id, load().escalation.version, level, rule.then, inputs)


def _red_flag(rule: EscalationRule, context: CheckInContext) -> Iterable[Raised]:
    if context.red_flag_level >= Level.URGENT_SAME_DAY:
        yield _raised(rule, level=alert_level(context.red_flag_level), red_flag_level=context.red_flag_level.value)


def _self_harm(rule: EscalationRule, context: CheckInContext) -> Iterable[Raised]:
    item9 = context.phq9_item9 or 0
    crisis_word = any(has_crisis_word(value) for value in context.answers.values() if isinstance(value, str))
    if item9 >= rule.limits["item9"] or crisis_word:
        level = AlertLevel.EMERGENCY_NOW if item9 >= rule.limits["item9_emergency"] else None
        yield _raised(rule, level=level, phq9_item9=context.phq9_item9, crisis_word=crisis_word)


def _high_pain(rule: EscalationRule, context: CheckInContext) -> Iterable[Raised]:
    pain, limit = context.answers.get("pain_now"), context.high_pain or rule.limits["pain"]
    baseline = context.baseline_pain
    if pain is not None and pain >= limit and (baseline is None or baseline < limit):
        yield _raised(rule, pain_now=pain, baseline_pain=baseline)


def _rising_pain(rule: EscalationRule, context: CheckInContext) -> Iterable[Raised]:
    pain = context.answers.get("pain_now")
    known = [past for past in context.previous if past.answers.get("pain_now") is not None]
    if pain is None or not known:
        return
    last = known[-1]
    days = timedelta(days=rule.limits["days"])
    before = [past.answers["pain_now"] for past in known[:-1] if past.on >= last.on - days]
    recent = [past.answers["pain_now"] for past in known if past.on >= context.on - days]
    if not before or not recent:
        return
    rise, earlier_rise = pain - min(recent), last.answers["pain_now"] - min(before)
    limit = context.pain_rise or rule.limits["rise"]
    if rise >= limit and earlier_rise >= limit:
        yield _raised(rule, pain_now=pain, rise=rise, previous_rise=earlier_rise)


def _flare(rule: EscalationRule, context: CheckInContext) -> Iterable[Raised]:
    if context.answers.get("flare") is True:
        yield _raised(rule, flare=True)


def _long_flare(_: EscalationRule, context: CheckInContext) -> Iterable[Raised]:
    return long_flare(context.flare_opened_on, context.on) if context.flare_opened_on is not None else ()


def _new_care(rule: EscalationRule, context: CheckInContext) -> Iterable[Raised]:
    """Look for what the last check-in that asked did not say yet."""
    opioid = _newly(context, "opioid_use", value=True)
    emergency = _newly(context, "care_used", value="emergency_department")
    if opioid or emergency:
        yield _raised(rule, opioid_use=opioid, emergency_department=emergency)


def _newly(context: CheckInContext, question: str, *, value: str | bool) -> bool:
    earlier = [past.answers[question] for past in context.previous if past.answers.get(question) is not None]
    return context.answers.get(question) == value and (not earlier or earlier[-1] != value)


@cache
def _crisis_pattern() -> re.Pattern[str]:
    words = "|".join(re.escape(word) for word in load().escalation.crisis_words)
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)
