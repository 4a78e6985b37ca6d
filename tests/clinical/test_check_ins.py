"""Answers to check-ins fit their questions, or are refused by place and never by value."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.check_ins import InvalidAnswers, question_set, validate

DAILY = {"pain_now": 4, "function_limit": 2, "flare": False, "new_symptoms": False}


def test_every_set_has_a_version_and_asks_for_new_symptoms() -> None:
    for code in ("daily", "weekly", "after_session"):
        found = question_set(code)
        assert found.version == "1"
        opening = [question for question in found.questions if question.opens == "red_flag_screen"]
        assert [question.id for question in opening] == ["new_symptoms"]
        assert opening[0].required


def test_a_set_nobody_knows_is_a_mistake() -> None:
    with pytest.raises(KeyError):
        question_set("yearly")


def test_good_answers_come_back_clean_and_in_order() -> None:
    given_answers = {
        "sleep_hours": 7.5,
        "note": "  slept well ",
        "wants_call": None,
        "activity_source": "self",
        **DAILY,
    }
    found = validate(question_set("daily"), given_answers)
    assert found == {**DAILY, "sleep_hours": Decimal("7.5"), "activity_source": "self", "note": "slept well"}
    assert next(iter(found)) == "pain_now"


def test_text_of_nothing_but_spaces_is_no_answer() -> None:
    assert "note" not in validate(question_set("daily"), {**DAILY, "note": "   "})


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ({"pain_now": None}, {"/pain_now": "missing"}),
        ({"pain_now": 11}, {"/pain_now": "out_of_range"}),
        ({"pain_now": 4.0}, {"/pain_now": "not_an_integer"}),
        ({"pain_now": True}, {"/pain_now": "not_an_integer"}),
        ({"flare": 1}, {"/flare": "not_a_boolean"}),
        ({"sleep_hours": "8"}, {"/sleep_hours": "not_a_number"}),
        ({"sleep_hours": True}, {"/sleep_hours": "not_a_number"}),
        ({"sleep_hours": float("nan")}, {"/sleep_hours": "not_a_number"}),
        ({"sleep_hours": 10**400}, {"/sleep_hours": "out_of_range"}),
        ({"sleep_hours": 24.01}, {"/sleep_hours": "out_of_range"}),
        ({"sleep_hours": 7.125}, {"/sleep_hours": "too_precise"}),
        ({"activity_source": "friend"}, {"/activity_source": "not_an_option"}),
        ({"activity_source": ["self"]}, {"/activity_source": "not_an_option"}),
        ({"note": "x" * 2001}, {"/note": "not_text"}),
        ({"note": 5}, {"/note": "not_text"}),
        ({"mood/today": 5, "pain_now": -1}, {"/mood~1today": "unknown_question", "/pain_now": "out_of_range"}),
    ],
)
def test_answers_that_do_not_fit_are_refused(change: dict[str, Any], problems: dict[str, str]) -> None:
    with pytest.raises(InvalidAnswers) as caught:
        validate(question_set("daily"), DAILY | change)
    assert {problem.pointer: problem.code for problem in caught.value.problems} == problems


@given(st.text(min_size=3, max_size=30))
def test_a_refusal_never_repeats_the_answer(secret: str) -> None:
    with pytest.raises(InvalidAnswers) as caught:
        validate(question_set("daily"), DAILY | {"pain_now": f"secret {secret}"})
    assert all("secret" not in problem.message for problem in caught.value.problems)


@given(st.fixed_dictionaries({}, optional={key: st.integers(0, 10) for key in ("pain_now", "sleep_quality", "steps")}))
def test_what_is_accepted_once_is_accepted_again(answers: dict[str, int]) -> None:
    found = validate(question_set("daily"), DAILY | answers)
    assert found == DAILY | answers
    assert validate(question_set("daily"), found) == found
