"""The red flag screen: warning signs that ask for more than physiotherapy.

It routes people, it does not diagnose, and a screen without findings never clears anybody. Evidence for single signs is
weak (IFOMPT framework, Finucane 2020); questions, rules and sources stand in `rules/red_flags.yaml`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from clinical.answers import InvalidAnswers, is_whole, pointer, unknown
from clinical.conditions import holds
from clinical.levels import Level
from clinical.library import load
from clinical.rulebook import EmergencyNumber, FlagQuestion
from core.errors import Problem

__all__ = ["Advice", "FiredRule", "InvalidAnswers", "Level", "Screening", "advice", "crisis_advice", "screen"]


@dataclass(frozen=True)
class FiredRule:
    """A rule that these answers meet."""

    id: str
    category: str
    level: Level


@dataclass(frozen=True)
class Screening:
    """What a screen found.

    level: the highest of all rules that fired, and of what unsure answers stand for; valid even when the screen is not
    complete. missing: questions and facts without which it is incomplete (never negative), as JSON pointers below
    `answers` or `facts`. unsure: questions answered so. program: what the level means for exercises.
    """

    level: Level
    complete: bool
    missing: tuple[str, ...]
    fired: tuple[FiredRule, ...]
    unsure: tuple[str, ...]
    program: str
    rule_version: str


@dataclass(frozen=True)
class Advice:
    """What the patient reads at once; it hangs on no staff, no network and no stored row.

    actions: codes for the client's buttons (call_emergency, call_crisis_line, contact_clinician, wait_for_therapist,
    watch_symptoms, not_alone), the most urgent first.
    """

    level: Level
    title: str
    text: str
    actions: tuple[str, ...]
    emergency_number: str
    crisis_line: str | None = None


def questions_for(body_region: str) -> tuple[FlagQuestion, ...]:
    """Return the questions that this region must answer, in order; all of them when the region is not a known one."""
    rules = load().red_flags
    if body_region not in rules.regions:
        return rules.questions
    asked = {question for group in rules.regions[body_region] for question in rules.question_groups[group]}
    return tuple(question for question in rules.questions if question.id in asked)


def required_questions(body_region: str) -> tuple[str, ...]:
    """Return the ids of the questions that this region must answer."""
    return tuple(question.id for question in questions_for(body_region))


def required_by_region() -> dict[str, tuple[str, ...]]:
    """Return the ids of the questions that each region must answer; under "" those of a region that is not a known one."""
    return {region: required_questions(region) for region in (*load().red_flags.regions, "")}


def screen(answers: Mapping[str, str], facts: Mapping[str, int | None], *, body_region: str) -> Screening:
    """Return what `answers` (question id to "yes", "no" or "unsure") and `facts` add up to.

    Every answer counts, asked for or not. facts: age_years, pain_0_10, weeks_without_improvement and the three numbers
    on inflammatory back pain; None or absent is unknown. Raises InvalidAnswers.
    """
    rules = load().red_flags
    _check(answers, facts)
    yes = [question for question, answer in answers.items() if answer == "yes"]
    fired = tuple(FiredRule(rule.id, rule.category, rule.level) for rule in rules.rules if holds(rule.when, yes, facts))
    level = max((rule.level for rule in fired), default=Level.NONE)
    for question in rules.questions:
        if answers.get(question.id, "no") != "no":
            level = max(level, rules.unsure.emergency if question.emergency else rules.unsure.other)
    missing = [pointer("answers", question) for question in required_questions(body_region) if question not in answers]
    missing += [pointer("facts", fact) for fact in _undecided(yes, facts, level)]
    return Screening(
        level=level,
        complete=not missing,
        missing=tuple(missing),
        fired=fired,
        unsure=tuple(question.id for question in rules.questions if answers.get(question.id) == "unsure"),
        program="continue" if level is Level.NONE else rules.levels[level].program,
        rule_version=rules.version,
    )


def advice(level: Level, *, country: str) -> Advice:
    """Return what to tell a patient who is in `country` (ISO 3166-1) now."""
    number, call = _numbers(country).emergency, _call(country)
    match level:
        case Level.EMERGENCY_NOW:
            title = "Get emergency help now"
            text = (
                f"What you told us can be a sign of something serious that should not wait. Call {call} now, or have "
                "someone take you to the nearest emergency department. Do not drive yourself, and do not do your "
                "exercises. Do not wait for an answer from us."
            )
            actions: tuple[str, ...] = ("call_emergency",)
        case Level.URGENT_SAME_DAY:
            title = "Speak to a clinician today"
            text = (
                "What you told us should be looked at today. Contact your doctor, an urgent care service or your "
                "clinic today, and leave your exercises until then. If it gets worse, or you lose strength, feeling "
                f"or control of bladder or bowel, call {call}."
            )
            actions = ("contact_clinician", "call_emergency")
        case Level.REFER:
            title = "Your therapist will arrange a check"
            text = (
                "What you told us deserves a closer look by a doctor or in person. Your therapist reads this and will "
                "arrange it with you. If it gets worse quickly, contact a clinician the same day; in an emergency "
                f"call {call}."
            )
            actions = ("wait_for_therapist", "contact_clinician")
        case Level.WATCH:
            title = "Keep an eye on it"
            text = (
                "Thank you, your therapist will see this. Tell us at once if it gets worse, spreads, or if you notice "
                f"new weakness, numbness or trouble with bladder or bowel. In an emergency call {call}."
            )
            actions = ("watch_symptoms",)
        case Level.NONE:
            title = "No warning sign reported"
            text = (
                "You reported none of the warning signs that we ask about. That does not rule everything out: if "
                f"something new or worrying comes up, tell us, and in an emergency call {call}."
            )
            actions = ()
        case _:  # never
            assert_never(level)
    return Advice(level, title, text, actions, number)


def new_nerve_symptom(*, country: str) -> str:
    """Return what stands beside an exercise that new weakness, numbness or tingling stopped, for one who is in `country`."""
    return (
        "Stop this exercise: new weakness, numbness or tingling came up with it. Tell your therapist today; do not wait for "
        "your next session or appointment. If the weakness or numbness grows, if you feel numb around the seat (between "
        "your legs, around genitals or back passage), or if you lose control of bladder or bowel, call "
        f"{_call(country)} at once."
    )


def crisis_advice(country: str, *, kept: bool = True) -> Advice:
    """Return what to tell a patient who may think of harming himself and who is in `country` (ISO 3166-1) now.

    kept: whether what he said was kept, so that somebody is told.
    """
    numbers = _numbers(country)
    line = (
        f"To talk to someone now, {numbers.crisis_how} {numbers.crisis}; it is open to everybody. "
        if numbers.crisis
        else "If you can, tell someone close to you, or a doctor, how you feel today. "
    )
    told = (
        "Your clinic is told as well, but please do not wait for us."
        if kept
        else "What you sent could not be kept, and your clinic does not know of it yet: please do not wait for us."
    )
    return Advice(
        Level.EMERGENCY_NOW,
        "You do not have to be alone with this",
        f"Thank you for telling us. {line}If you are in danger, or have hurt yourself, call {_call(country)} now or "
        f"go to an emergency department. {told}",
        ("call_crisis_line", "call_emergency", "not_alone") if numbers.crisis else ("call_emergency", "not_alone"),
        numbers.emergency,
        numbers.crisis,
    )


def _numbers(country: str) -> EmergencyNumber:
    """Return the country's numbers. Never fails: an unknown country has the default's."""
    book = load().emergency_numbers
    return book.countries.get(country.upper(), book.default)


def _call(country: str) -> str:
    """Give the number as words; where we know none of the country's own, it is not the only one to try."""
    number = _numbers(country).emergency
    listed = country.upper() in load().emergency_numbers.countries
    return number if listed else f"{number} (or the emergency number of the place where you are)"


def _undecided(yes: list[str], facts: Mapping[str, int | None], level: Level) -> list[str]:
    """Facts that are not known and that could lift the screen above `level`."""
    rules = load().red_flags
    unknown_facts = [fact for fact in rules.decisive_facts if facts.get(fact) is None]
    return [
        fact
        for fact in unknown_facts
        if any(rule.level > level and holds(rule.when, yes, facts, suppose=[fact]) for rule in rules.rules)
    ]


def _check(answers: Mapping[str, str], facts: Mapping[str, int | None]) -> None:
    rules = load().red_flags
    problems = unknown(answers, [question.id for question in rules.questions], "answers")
    problems += [
        Problem(pointer("answers", question), "unknown_answer", "Answer yes, no or unsure.")
        for question, answer in answers.items()
        if answer not in rules.answers
    ]
    problems += [
        Problem(pointer("facts", fact), "unknown_fact", "This fact is not a whole number that the screen knows.")
        for fact, value in facts.items()
        if fact not in rules.facts or not (value is None or is_whole(value))
    ]
    if problems:
        raise InvalidAnswers(*problems)
