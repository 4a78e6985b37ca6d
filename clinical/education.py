"""Which articles would help now: by what the patient answered, and by the phase of the program.

Rules, limits and pairs stand in `rules/education.yaml`, all of them product defaults. Here nothing is given to anybody:
whether an article is approved, and who is told, is decided elsewhere.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from clinical.library import load
from clinical.rulebook import EducationTrigger, TriggerAnswer

Inputs = Mapping[str, int | str]

PHASE_RULE = "phase"
"""Stands where a trigger has its id, for articles that belong to a phase."""
ENGLISH = "en"


@dataclass(frozen=True)
class Answered:
    """Answers of one local day to one question set, by question id; what was not answered is missing or None."""

    on: date
    question_set: str
    answers: Mapping[str, Any]


@dataclass(frozen=True)
class Suggestion:
    """Articles by their codes, the first first, and why: the rule, its version, and what it looked at."""

    rule_id: str
    rule_version: str
    reason: str
    articles: tuple[str, ...]
    inputs: Inputs


def asked_about() -> tuple[str, ...]:
    """Return the ids of all questions that a trigger looks at."""
    return tuple(sorted({answer.question for trigger in load().education.triggers for answer in trigger.any_of}))


def days_looked_at() -> int:
    """Return how many days back, today included, an answer can still matter."""
    return max(trigger.within_days for trigger in load().education.triggers)


def triggered(answers: Sequence[Answered], today: date) -> list[Suggestion]:
    """Return what the answers ask for, in the order of the rules. Answers of days after `today` count nowhere."""
    rules = load().education
    found = []
    for trigger in rules.triggers:
        first = today - timedelta(days=trigger.within_days - 1)
        days = {each.on for each in answers if first <= each.on <= today and _counts(trigger, each)}
        if len(days) >= trigger.on_days:
            inputs: Inputs = {"days": len(days), "latest": max(days).isoformat()}
            found.append(Suggestion(trigger.id, rules.version, trigger.code, trigger.articles, inputs))
    return found


def for_phase(kind: str) -> list[Suggestion]:
    """Return what belongs to a phase of this kind; nothing for a kind without articles."""
    rules = load().education
    articles = rules.phases.get(kind, ())
    return [Suggestion(PHASE_RULE, rules.version, kind, articles, {"phase": kind})] if articles else []


def choose(
    suggestions: Sequence[Suggestion],
    *,
    available: Collection[str],
    given: Mapping[str, date],
    unread: int,
    today: date,
) -> list[tuple[str, Suggestion]]:
    """Return the articles to give now, each with why.

    available: codes of approved articles. given: codes, each with the day on which it was last given. unread: how many
    wait for the patient. The first suggestion comes first; each gives what it has before the next one's turn.
    """
    rules = load().education
    room = min(rules.at_once, rules.most_unread - unread)
    chosen: dict[str, Suggestion] = {}
    for suggestion in suggestions:
        for code in suggestion.articles:
            recent = code in given and today - given[code] < timedelta(days=rules.repeat_after_days)
            if len(chosen) < room and code in available and not recent:
                chosen.setdefault(code, suggestion)
    return list(chosen.items())


def best_language(wanted: str, available: Collection[str]) -> str:
    """Return the language to show, of those there are: the very one, its base, a sister of it, English, the first.

    Languages are written `de` or `de-AT`; `available` holds at least one.
    """
    return min(available, key=lambda language: (language_rank([wanted], language), language))


def language_rank(wanted: Sequence[str], language: str) -> int:
    """Return how far `language` is from what is wanted, the best first: 0 is the very one.

    Whatever comes near to a language counts before the next one that is wanted.
    """
    order: list[bool] = []
    for one in wanted:
        base = one.partition("-")[0]
        order += [language == one, language == base, language.partition("-")[0] == base]
    return [*order, language == ENGLISH, True].index(True)


def _counts(trigger: EducationTrigger, answered: Answered) -> bool:
    if answered.question_set not in trigger.question_sets:
        return False
    return any(_fits(wanted, answered.answers.get(wanted.question)) for wanted in trigger.any_of)


def _fits(wanted: TriggerAnswer, value: Any) -> bool:
    if wanted.is_true is not None:
        return value is True
    if value is None or isinstance(value, bool):
        return False
    if wanted.at_most is not None:
        return bool(value <= wanted.at_most)
    return wanted.at_least is not None and bool(value >= wanted.at_least)
