from datetime import date, timedelta

import pytest
from pydantic import ValidationError

from models.reports import ReportKind
from schemas.reports import NarrativeUpdate, ReportCreate

FIRST = date(2026, 10, 5)


def ask(period_to: date, **more: object) -> ReportCreate:
    return ReportCreate.model_validate({"kind": "progress", "period_from": FIRST, "period_to": period_to, **more})


def problem(refusal: pytest.ExceptionInfo[ValidationError]) -> str:
    return str(refusal.value.errors()[0]["type"])


@pytest.mark.parametrize("days", [0, 27, 365])
def test_a_report_covers_one_day_to_a_leap_year(days: int) -> None:
    asked = ask(FIRST + timedelta(days=days))

    assert asked.kind is ReportKind.PROGRESS
    assert asked.period_to - asked.period_from == timedelta(days=days)


def test_a_period_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValidationError) as refusal:
        ask(FIRST - timedelta(days=1))

    assert problem(refusal) == "period_order"


def test_a_period_longer_than_a_year_is_refused() -> None:
    with pytest.raises(ValidationError) as refusal:
        ask(FIRST + timedelta(days=366))

    assert problem(refusal) == "period_length"


def test_a_kind_that_does_not_exist_and_an_unknown_field_are_refused() -> None:
    with pytest.raises(ValidationError):
        ask(FIRST, kind="letter")
    with pytest.raises(ValidationError):
        ask(FIRST, snapshot={})


def test_a_narrative_says_only_what_was_sent() -> None:
    assert NarrativeUpdate(plan="Walk.").model_dump(exclude_unset=True) == {"plan": "Walk."}
    assert NarrativeUpdate(plan=None).model_dump(exclude_unset=True) == {"plan": None}


@pytest.mark.parametrize("words", ["", "   ", "x" * 5_001, "\x00", "\u202eevil"])
def test_a_narrative_that_is_empty_too_long_or_holds_control_characters_is_refused(words: str) -> None:
    with pytest.raises(ValidationError):
        NarrativeUpdate.model_validate({"plan": words})
