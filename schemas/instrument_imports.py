"""Licensed texts of an instrument, as a clinic fills them in."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from schemas.base import In, Line, Out, Text, UtcDatetime

PLACEHOLDER: dict[str, Any] = {
    "terms_accepted": True,
    "terms_version": "License agreement of 2026-10-01",
    "language": "en",
    "recall": "today",
    "stem": "The licensed introduction goes here.",
    "options": [{"value": value, "text": f"The licensed answer {value} goes here."} for value in range(6)],
    "items": [{"text": f"The licensed question {place} goes here."} for place in range(1, 11)],
}


class AnswerText(In):
    """One answer of a closed list."""

    value: Annotated[int, Field(ge=0, le=10)]
    text: Annotated[str, Text(500)]


class QuestionText(In):
    """One question; `options` where its answers are its own."""

    text: Annotated[str, Text(1_000)]
    options: Annotated[list[AnswerText], Field(max_length=11)] = []


class InstrumentFill(In):
    """The licensed text of an instrument, question by question in its order, and that its owner's terms are accepted.

    Nothing here changes how it is scored. `valid_until` is the last day of the license.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [PLACEHOLDER]})

    terms_accepted: Literal[True]
    terms_version: Annotated[str, Line(80)]
    valid_until: date | None = None
    language: Annotated[str, Field(pattern=r"^[a-z]{2}$")]
    recall: Annotated[str, Line(200)]
    stem: Annotated[str, Text(2_000)]
    options: Annotated[list[AnswerText], Field(max_length=11)] = []
    items: Annotated[list[QuestionText], Field(min_length=1, max_length=60)]
    note: Annotated[str, Text(500)] | None = None


class InstrumentGiveUp(In):
    """Why the clinic uses the instrument no more; what was answered stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"note": "The license was not renewed."}]})

    note: Annotated[str, Text(500)]


class InstrumentImportRead(Out):
    """What a clinic did with an empty slot: filled it (`filled`), by whom, under which terms; or gave it up."""

    id: UUID
    code: str
    number: int
    filled: bool
    terms_version: str | None
    valid_until: date | None
    note: str
    at: UtcDatetime
    by: UUID
