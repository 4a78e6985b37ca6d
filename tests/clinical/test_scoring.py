"""Every worked example of every instrument scores as published, and scores stay what they must be."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.forms import Instrument, ScoreExample
from clinical.levels import Level
from clinical.library import load
from clinical.scoring import InvalidAnswers, Scored, score

EXAMPLES = [(instrument, example) for instrument in load().measures.values() for example in instrument.examples]


def answers_of(instrument: Instrument, example: ScoreExample) -> dict[str, Any]:
    if example.ratings is not None:
        return {
            "activities": [
                {"id": f"a{place}", "name": "Put on socks", "rating": rating}
                for place, rating in enumerate(example.ratings)
            ]
        }
    if example.true_items is not None:
        return {f"q{number}": True for number in example.true_items}
    assert example.answers is not None
    return dict(zip((item.id for item in instrument.items), example.answers, strict=True))


def all_answers(instrument: Instrument, value: int) -> dict[str, Any]:
    return {item.id: value for item in instrument.items}


def codes(error: pytest.ExceptionInfo[InvalidAnswers]) -> dict[str, str]:
    return {problem.pointer: problem.code for problem in error.value.problems}


def test_no_example_is_forgotten() -> None:
    assert len(EXAMPLES) == 34 + 18
    assert all(instrument.examples for instrument in load().measures.values())


@pytest.mark.parametrize(("instrument", "example"), EXAMPLES, ids=[f"{i.code}: {e.name}" for i, e in EXAMPLES])
def test_worked_example(instrument: Instrument, example: ScoreExample) -> None:
    expect = dict(example.expect)
    answers = answers_of(instrument, example)
    if "error" in expect:
        with pytest.raises(InvalidAnswers):
            score(instrument, answers, app=False)
        return
    scored = score(instrument, answers, app=False)
    if "band" in expect:
        assert scored.band == expect.pop("band")
    if "fired" in expect:
        assert [rule.id for rule in scored.fired] == expect.pop("fired")
    assert scored.prorated == expect.pop("prorated", False)
    assert expect
    for name, value in expect.items():
        assert scored.scores[name] == (None if value is None else Decimal(str(value)))
    assert (scored.instrument, scored.version) == (instrument.code, instrument.version)
    assert scored.primary_value == scored.scores[scored.primary]


@pytest.mark.parametrize("code", ["phq2", "phq4", "phq9", "gad2", "gad7"])
def test_the_app_must_ask_every_item_of_a_questionnaire(code: str) -> None:
    instrument = load().instruments[code]
    answers = all_answers(instrument, 1)
    del answers["q2"]
    with pytest.raises(InvalidAnswers) as caught:
        score(instrument, answers)
    assert codes(caught) == {"/q2": "missing"}


def test_a_missing_safety_answer_is_asked_for_and_never_guessed() -> None:
    phq9 = load().instruments["phq9"]
    scored = score(phq9, {**all_answers(phq9, 3), "q9": None}, app=False)
    assert scored.safety_unknown
    assert scored.prorated
    assert [rule.id for rule in scored.fired] == ["phq9_high", "phq9_positive"]
    assert not score(phq9, all_answers(phq9, 3)).safety_unknown


def test_a_thought_of_self_harm_fires_at_any_total() -> None:
    phq9 = load().instruments["phq9"]
    scored = score(phq9, {**all_answers(phq9, 0), "q9": 1, "difficulty": 0})
    assert scored.primary_value == 1
    assert [(rule.id, rule.action, rule.level) for rule in scored.fired] == [
        ("phq9_item9", "safety_flow", Level.URGENT_SAME_DAY)
    ]
    assert "988" in (scored.fired[0].tell_patient or "")


@pytest.mark.parametrize(
    ("code", "answers", "problems"),
    [
        ("nprs", {}, {"/now": "missing"}),
        ("nprs", {"now": None}, {"/now": "missing"}),
        ("nprs", {"now": 11}, {"/now": "out_of_range"}),
        ("nprs", {"now": -1, "worst_24h": 3.5}, {"/now": "out_of_range", "/worst_24h": "not_an_integer"}),
        ("nprs", {"now": True}, {"/now": "not_an_integer"}),
        ("nprs", {"now": "4"}, {"/now": "not_an_integer"}),
        ("nprs", {"now": 4, "neck/shoulder": 2}, {"/neck~1shoulder": "unknown_question"}),
        ("nprs", {"now": 4, "least_24h": 6, "worst_24h": 5}, {"/least_24h": "above_other_answer"}),
        ("groc11", {"change": 6}, {"/change": "out_of_range"}),
        ("groc15", {"change": -8}, {"/change": "out_of_range"}),
        ("rmdq24", {"q1": 1}, {"/q1": "not_a_boolean"}),
        ("rmdq24", {"q25": True}, {"/q25": "unknown_question"}),
        ("phq2", {"q1": 4, "q2": 0}, {"/q1": "out_of_range"}),
        ("phq9", {**{f"q{n}": 0 for n in range(1, 10)}, "difficulty": 4}, {"/difficulty": "out_of_range"}),
        ("psfs", {}, {"/activities": "missing"}),
        ("psfs", {"activities": "walking"}, {"/activities": "missing"}),
        ("psfs", {"activities": []}, {"/activities": "out_of_range"}),
        ("psfs", {"activities": [{"id": "a", "name": "x"}] * 6}, {"/activities": "out_of_range"}),
        ("psfs", {"activities": ["walking"]}, {"/activities/0": "not_an_activity"}),
        ("psfs", {"activities": [{"id": "a", "name": "Walk", "pain": 3}]}, {"/activities/0": "not_an_activity"}),
        (
            "psfs",
            {"activities": [{"id": "a", "name": "Walk", "rating": 11}, {"id": "a", "name": " ", "rating": 3}]},
            {
                "/activities/0/rating": "out_of_range",
                "/activities/1/id": "not_unique",
                "/activities/1/name": "out_of_range",
            },
        ),
        (
            "psfs",
            {"activities": [{"id": "", "name": 5, "rating": True}], "now": 1},
            {
                "/activities/0/id": "not_unique",
                "/activities/0/name": "out_of_range",
                "/activities/0/rating": "not_an_integer",
                "/now": "unknown_question",
            },
        ),
    ],
)
def test_answers_that_do_not_fit_are_refused_with_their_place(
    code: str, answers: dict[str, Any], problems: dict[str, str]
) -> None:
    with pytest.raises(InvalidAnswers) as caught:
        score(load().instruments[code], answers)
    assert codes(caught) == problems


def test_a_refusal_never_repeats_the_answer() -> None:
    with pytest.raises(InvalidAnswers) as caught:
        score(load().instruments["psfs"], {"activities": [{"id": "a", "name": "secret" * 30, "rating": 987}]})
    told = str(caught.value) + "".join(problem.message for problem in caught.value.problems)
    assert "secret" not in told
    assert "987" not in told


def test_an_empty_form_of_tick_boxes_is_a_score_of_zero() -> None:
    assert score(load().instruments["rmdq24"], {}).primary_value == 0


def test_rated_activities_keep_their_ids() -> None:
    activities = [{"id": "a", "name": "Walk", "rating": 3}, {"id": "b", "name": "Sit", "rating": None}]
    assert score(load().instruments["psfs"], {"activities": activities}).ratings == {"a": 3}


# ------------------------------------------------------------------ properties
def filled(instrument: Instrument) -> st.SearchStrategy[dict[str, Any]]:
    """Complete answers to an instrument."""
    if instrument.repeated is not None:
        return st.lists(st.integers(0, 10), min_size=1, max_size=5).map(
            lambda ratings: {
                "activities": [{"id": str(n), "name": "Walk", "rating": rating} for n, rating in enumerate(ratings)]
            }
        )
    if instrument.answer is not None:
        return st.fixed_dictionaries({item.id: st.booleans() for item in instrument.items})
    values = [option.value for option in instrument.options]
    return st.fixed_dictionaries(
        {
            item.id: st.sampled_from(values) if values else st.integers(item.min or 0, item.max or 0)
            for item in instrument.items
        }
    ).map(
        lambda given: {**given, "least_24h": min(given["least_24h"], given["worst_24h"])} if "now" in given else given
    )


INSTRUMENTS = st.sampled_from(list(load().instruments.values()))
FILLED = INSTRUMENTS.flatmap(lambda instrument: st.tuples(st.just(instrument), filled(instrument)))


@given(FILLED)
def test_a_score_stays_in_its_range_and_has_a_band(case: tuple[Instrument, Mapping[str, Any]]) -> None:
    instrument, answers = case
    scored = score(instrument, answers)
    for rule in instrument.scoring.scores:
        value = scored.scores[rule.id]
        assert value is not None
        assert rule.range[0] <= value <= rule.range[1]
    assert (scored.band is None) == (instrument.bands is None)
    assert not scored.prorated
    assert not scored.safety_unknown


@given(FILLED, st.randoms(use_true_random=False))
def test_the_order_of_the_answers_does_not_matter(case: tuple[Instrument, dict[str, Any]], random: Any) -> None:
    instrument, answers = case
    shuffled = list(answers.items())
    random.shuffle(shuffled)
    assert score(instrument, dict(shuffled)) == score(instrument, answers)


@given(st.sampled_from(["phq2", "phq4", "phq9", "gad2", "gad7", "rmdq24"]), st.data())
def test_a_higher_answer_never_lowers_a_score_nor_silences_a_rule(code: str, data: st.DataObject) -> None:
    instrument = load().instruments[code]
    answers = data.draw(filled(instrument))
    item = data.draw(st.sampled_from(sorted(answers)))
    higher = {**answers, item: True if instrument.answer else data.draw(st.integers(answers[item], 3))}
    before, after = score(instrument, answers), score(instrument, higher)
    for name, value in before.scores.items():
        assert value is not None
        assert value <= number(after, name)
    assert {rule.id for rule in before.fired} <= {rule.id for rule in after.fired}


@given(st.sampled_from(["phq9", "gad7"]), st.data())
def test_proration_stays_inside_the_range_and_says_so(code: str, data: st.DataObject) -> None:
    instrument = load().instruments[code]
    answers = data.draw(filled(instrument))
    gone = data.draw(st.sets(st.sampled_from(sorted(answers)), max_size=4))
    scored = score(instrument, {key: value for key, value in answers.items() if key not in gone}, app=False)
    if len(gone) > 2:
        assert scored.primary_value is None
        assert scored.band is None
    else:
        assert scored.prorated == bool(gone)
        assert 0 <= number(scored, "total") <= instrument.primary.range[1]


def number(scored: Scored, name: str) -> Decimal | int:
    value = scored.scores[name]
    assert value is not None
    return value
