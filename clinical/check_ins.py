"""What a check-in asks, and whether answers fit."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, assert_never

from clinical.answers import InvalidAnswers, is_whole, pointer, unknown, whole_between
from clinical.forms import Question, QuestionSet
from clinical.library import load
from core.errors import Problem

__all__ = ["InvalidAnswers", "question_set", "validate"]


def question_set(code: str) -> QuestionSet:
    """Return the question set `daily`, `weekly` or `after_session`. Raises KeyError."""
    return load().question_sets[code]


def validate(questions: QuestionSet, answers: Mapping[str, Any]) -> dict[str, Any]:
    """Return the answers that were given, in the order of the questions; None counts as not answered.

    Numbers come back as Decimal, text stripped, and text of nothing but spaces as not answered. Raises InvalidAnswers.
    """
    problems = unknown(answers, [question.id for question in questions.questions])
    given: dict[str, Any] = {}
    for question in questions.questions:
        value = answers.get(question.id)
        if isinstance(value, str) and question.type == "text":
            value = value.strip() or None
        if value is None:
            if question.required:
                problems.append(Problem(pointer(question.id), "missing", "This question must be answered."))
            continue
        wrong = _problems(question, value)
        problems += wrong
        if not wrong:
            given[question.id] = Decimal(str(value)) if question.type == "number" else value
    if problems:
        raise InvalidAnswers(*problems)
    return given


def _problems(question: Question, value: Any) -> list[Problem]:
    at = pointer(question.id)
    match question.type:
        case "integer":
            return whole_between(at, value, question.min or 0, question.max or 0)
        case "number":
            return _number_problems(at, value, question)
        case "boolean":
            return [] if isinstance(value, bool) else [Problem(at, "not_a_boolean", "This must be true or false.")]
        case "code":
            options = [option.value for option in question.options]
            fits = isinstance(value, str) and value in options
            return [] if fits else [Problem(at, "not_an_option", f"This must be one of {', '.join(options)}.")]
        case "text":
            longest = question.max_length or 0
            fits = isinstance(value, str) and len(value) <= longest
            return [] if fits else [Problem(at, "not_text", f"This must be text of at most {longest} characters.")]
        case _:  # never
            assert_never(question.type)


def _number_problems(at: str, value: Any, question: Question) -> list[Problem]:
    least, most, decimals = question.min or 0, question.max or 0, question.decimals or 0
    if not is_whole(value) and not (isinstance(value, float | Decimal) and math.isfinite(value)):
        return [Problem(at, "not_a_number", "This must be a number.")]
    if not least <= value <= most:
        return [Problem(at, "out_of_range", f"This must be from {least} to {most}.")]
    exact = Decimal(str(value))
    if exact != round(exact, decimals):
        return [Problem(at, "too_precise", f"At most {decimals} decimals.")]
    return []
