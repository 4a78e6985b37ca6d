"""Articles that would help now: every worked example, and never the same one twice within the time."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.education import (
    Answered,
    Suggestion,
    asked_about,
    best_language,
    choose,
    days_looked_at,
    for_phase,
    triggered,
)
from clinical.library import load
from clinical.rulebook import EducationExample

TODAY = date(2026, 3, 2)
RULES = load().education


def test_no_example_is_forgotten() -> None:
    assert len(RULES.examples) == 8
    assert {code for example in RULES.examples for code in example.expect} == {one.code for one in RULES.triggers}


@pytest.mark.parametrize("example", RULES.examples, ids=lambda example: str(example.name))
def test_worked_example(example: EducationExample) -> None:
    answers = [
        Answered(TODAY - timedelta(days=ago), question_set, {question: value})
        for ago, question_set, question, value in example.answers
    ]
    found = triggered(answers, TODAY)
    assert tuple(one.reason for one in found) == example.expect
    assert all(one.rule_version == RULES.version and one.inputs["days"] for one in found)


def test_answers_of_tomorrow_and_answers_that_are_missing_count_nowhere() -> None:
    tomorrow = Answered(TODAY + timedelta(days=1), "daily", {"flare": True})
    assert triggered([tomorrow, Answered(TODAY, "weekly", {"confidence": None, "flare": False})], TODAY) == []


def test_what_is_looked_at_is_what_the_rules_name() -> None:
    assert asked_about() == ("confidence", "flare", "mood", "sleep_hours", "sleep_quality", "stress")
    assert days_looked_at() == 14


def test_each_kind_of_phase_has_its_articles() -> None:
    assert {kind: for_phase(kind)[0].articles for kind in load().exercise_file.phases} == dict(RULES.phases)
    assert for_phase("dancing") == []


CODES = sorted(load().articles)
SUGGESTIONS = st.lists(
    st.builds(
        Suggestion,
        st.just("ET01"),
        st.just("v"),
        st.just("flare"),
        st.lists(st.sampled_from(CODES), max_size=4).map(tuple),
        st.just({}),
    ),
    max_size=4,
)


@settings(max_examples=60)
@given(
    suggestions=SUGGESTIONS,
    available=st.sets(st.sampled_from(CODES)),
    ago=st.dictionaries(st.sampled_from(CODES), st.integers(0, 400)),
    unread=st.integers(0, 6),
)
def test_what_is_chosen_is_approved_not_recent_not_too_much(
    suggestions: list[Suggestion], available: set[str], ago: dict[str, int], unread: int
) -> None:
    before = {code: TODAY - timedelta(days=days) for code, days in ago.items()}
    codes = [code for code, _ in choose(suggestions, available=available, given=before, unread=unread, today=TODAY)]
    wanted = {code for suggestion in suggestions for code in suggestion.articles}
    fit = {code for code in wanted & available if ago.get(code, 400) >= RULES.repeat_after_days}
    assert set(codes) <= fit
    assert len(codes) == len(set(codes)) == min(len(fit), RULES.at_once, max(0, RULES.most_unread - unread))


@pytest.mark.parametrize(
    ("wanted", "available", "shown"),
    [
        ("de-AT", {"de-AT", "de", "en"}, "de-AT"),
        ("de-AT", {"de", "en"}, "de"),
        ("de", {"de-CH", "en"}, "de-CH"),
        ("pl", {"de", "en"}, "en"),
        ("pl", {"fr", "de"}, "de"),
    ],
)
def test_the_nearest_language_is_shown(wanted: str, available: set[str], shown: str) -> None:
    assert best_language(wanted, available) == shown


def test_every_shipped_article_has_its_sources_and_a_question_with_one_right_answer() -> None:
    for article in load().articles.values():
        assert article.sources
        assert not [source for source in article.sources if source[:2] in {"V ", "M "}], "marks are for authors"
        assert len(set(article.check.options)) == len(article.check.options) >= 3
        assert article.check.explanation
