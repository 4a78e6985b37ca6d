"""A workstation before and after: which points are open, and what became better or worse."""

from collections.abc import Mapping
from dataclasses import dataclass

from clinical.answers import InvalidAnswers, pointer, unknown
from clinical.library import load
from clinical.workstation_form import WorkstationAnswer
from core.errors import Problem

FINE, NOT_FINE = WorkstationAnswer.FINE, WorkstationAnswer.NOT_FINE

Answers = Mapping[str, str]
"""Item code to answer."""


@dataclass(frozen=True)
class Compared:
    """Item codes: improved from not fine to fine, worsened the other way, and open in the later check."""

    improved: tuple[str, ...]
    worsened: tuple[str, ...]
    open: tuple[str, ...]


def validate(answers: Answers) -> None:
    """Hold answers against the present list: every point, none else. Raises InvalidAnswers."""
    codes = [item.code for item in load().workstation.items]
    missing = [
        Problem(pointer(code), "missing", "This question must be answered.") for code in codes if code not in answers
    ]
    if problems := [*unknown(answers, codes), *missing]:
        raise InvalidAnswers(*problems)


def open_points(answers: Answers) -> tuple[str, ...]:
    """Give the points that are not fine, in the order of the list."""
    return tuple(code for code in _ordered(answers) if answers[code] == NOT_FINE)


def compare(before: Answers, after: Answers) -> Compared:
    """Compare two checks; points that only one of them has, or that did not apply, say nothing."""
    both = [(code, before[code], after[code]) for code in _ordered(after) if code in before]
    return Compared(
        improved=tuple(code for code, first, last in both if (first, last) == (NOT_FINE, FINE)),
        worsened=tuple(code for code, first, last in both if (first, last) == (FINE, NOT_FINE)),
        open=open_points(after),
    )


def _ordered(answers: Answers) -> list[str]:
    """Give the points in the order of the present list; those of an older one that are gone come last."""
    places = {item.code: place for place, item in enumerate(load().workstation.items)}
    return sorted(answers, key=lambda code: (places.get(code, len(places)), code))
