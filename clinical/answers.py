"""Checking answers: what is wrong is told with a JSON pointer and never with the value itself."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import Invalid, Problem


class InvalidAnswers(Invalid):
    """The answers do not fit the questions."""


def pointer(*parts: str | int) -> str:
    """Return the JSON pointer (RFC 6901) to a place in the answers."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def is_whole(value: Any) -> bool:
    """Whether the value is a whole number; true and false are not."""
    return isinstance(value, int) and not isinstance(value, bool)


def unknown(answers: Mapping[str, Any], known: Sequence[str], *below: str) -> list[Problem]:
    """Return a problem for every answer to a question that is not asked; its key is echoed as the pointer only."""
    return [
        Problem(pointer(*below, key), "unknown_question", "This question is not asked here.")
        for key in answers
        if key not in known
    ]


def whole_between(at: str, value: Any, least: int, most: int) -> list[Problem]:
    """No problem when the value is a whole number from `least` to `most`."""
    if not is_whole(value):
        return [Problem(at, "not_an_integer", "This must be a whole number.")]
    if not least <= value <= most:
        return [Problem(at, "out_of_range", f"This must be from {least} to {most}.")]
    return []
