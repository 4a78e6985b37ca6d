"""The red flag screen: every worked example, and that safety never gets lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.levels import AlertLevel, Level
from clinical.library import load
from clinical.red_flags import InvalidAnswers, advice, crisis_advice, new_nerve_symptom, required_questions, screen
from clinical.rulebook import FlagExample

RULES = load().red_flags
QUESTIONS = [question.id for question in RULES.questions]
NO = dict.fromkeys(QUESTIONS, "no")
FACTS: dict[str, int | None] = {"age_years": 40, "pain_0_10": 3}


def test_no_example_is_forgotten() -> None:
    assert len(RULES.examples) == 14


@pytest.mark.parametrize("example", RULES.examples, ids=lambda example: str(example.name))
def test_worked_example(example: FlagExample) -> None:
    answers = NO | dict.fromkeys(example.answered_yes, "yes") | dict.fromkeys(example.answered_unsure, "unsure")
    found = screen(answers, dict(example.facts), body_region="low_back")
    assert found.level == example.expect["level"]
    assert [rule.id for rule in found.fired] == example.expect["rules"]
    assert found.unsure == example.answered_unsure
    assert found.rule_version == "rf-2026-1"


def test_a_screen_without_findings_is_complete_and_lets_the_program_go_on() -> None:
    found = screen(NO, FACTS, body_region="neck")
    assert (found.level, found.complete, found.missing, found.program) == (Level.NONE, True, (), "continue")


def test_an_unanswered_question_is_incomplete_and_never_negative() -> None:
    answers = {key: value for key, value in NO.items() if key != "saddle"}
    found = screen(answers, FACTS, body_region="low_back")
    assert not found.complete
    assert found.missing == ("/answers/saddle",)


def test_an_emergency_is_told_even_when_nothing_else_is_answered() -> None:
    found = screen({"chest": "yes"}, {}, body_region="knee")
    assert found.level is Level.EMERGENCY_NOW
    assert found.program == "suspend"
    assert not found.complete


def test_a_fact_that_could_lift_the_level_must_be_known() -> None:
    unknown_age = screen(NO | {"minor_trauma": "yes"}, {"pain_0_10": 3}, body_region="low_back")
    assert unknown_age.missing == ("/facts/age_years",)
    unknown_pain = screen(NO | {"major_trauma": "yes"}, {"age_years": 30, "pain_0_10": None}, body_region="low_back")
    assert unknown_pain.missing == ("/facts/pain_0_10",)
    assert screen(NO, {}, body_region="low_back").complete
    assert screen(NO | {"saddle": "yes"}, {}, body_region="low_back").complete


def test_unsure_on_an_emergency_question_means_contact_today() -> None:
    for question in RULES.questions:
        found = screen(NO | {question.id: "unsure"}, FACTS, body_region="low_back")
        assert found.level == (Level.URGENT_SAME_DAY if question.emergency else Level.WATCH)
        assert found.unsure == (question.id,)


def test_every_region_asks_about_heart_vessels_and_severe_illness() -> None:
    for region in (*RULES.regions, "somewhere"):
        assert {"chest", "tearing", "very_ill"} <= set(required_questions(region))


def test_every_spinal_region_asks_for_cauda_equina_signs() -> None:
    for region in ("neck", "thoracic", "low_back"):
        assert {"saddle", "bladder", "bowel", "sexual", "both_legs_weak"} <= set(required_questions(region))
    assert "brain_signs" in required_questions("neck")
    assert "brain_signs" not in required_questions("knee")


def test_a_region_nobody_knows_asks_everything() -> None:
    assert list(required_questions("left_eyebrow")) == QUESTIONS


def test_what_the_screen_does_not_know_is_refused_by_its_place() -> None:
    with pytest.raises(InvalidAnswers) as caught:
        screen({"mood": "no", "chest": "perhaps"}, {"height": 3, "age_years": True}, body_region="neck")
    assert {problem.pointer for problem in caught.value.problems} == {
        "/answers/mood",
        "/answers/chest",
        "/facts/height",
        "/facts/age_years",
    }
    assert "perhaps" not in "".join(problem.message for problem in caught.value.problems)


@pytest.mark.parametrize(
    ("country", "number", "crisis"),
    [("US", "911", "988"), ("CA", "911", "988"), ("GB", "999", "116 123"), ("AU", "000", "13 11 14")],
)
def test_the_number_is_the_one_of_the_patients_country(country: str, number: str, crisis: str) -> None:
    told = advice(Level.EMERGENCY_NOW, country=country)
    assert told.emergency_number == number
    assert number in told.text
    assert "call_emergency" in told.actions
    line = crisis_advice(country)
    assert line.crisis_line == crisis
    assert crisis in line.text
    assert number in line.text
    assert f"call {number} at once" in new_nerve_symptom(country=country)


EU = [
    "AT",
    "BE",
    "BG",
    "CY",
    "CZ",
    "DE",
    "DK",
    "EE",
    "ES",
    "FI",
    "FR",
    "GR",
    "HR",
    "HU",
    "IE",
    "IT",
    "LT",
    "LU",
    "LV",
    "MT",
    "NL",
    "PL",
    "PT",
    "RO",
    "SE",
    "SI",
    "SK",
]


def test_the_european_union_calls_112() -> None:
    assert len(EU) == 27
    assert {advice(Level.EMERGENCY_NOW, country=country).emergency_number for country in EU} == {"112"}


@pytest.mark.parametrize("level", Level)
def test_where_no_number_of_the_country_is_known_the_text_says_so(level: Level) -> None:
    hedge = "(or the emergency number of the place where you are)"
    for country, known in (("JP", False), ("", False), ("DE", True), ("us", True)):
        assert (hedge in advice(level, country=country).text) is not known
        assert (hedge in crisis_advice(country).text) is not known
        assert (hedge in new_nerve_symptom(country=country)) is not known


@pytest.mark.parametrize("country", ["ZZ", "", "us", "Nowhere at all"])
def test_advice_is_given_wherever_the_patient_is(country: str) -> None:
    for level in Level:
        told = advice(level, country=country)
        assert told.level is level
        assert told.title
        assert told.emergency_number in told.text
    assert crisis_advice(country).emergency_number in crisis_advice(country).text


def test_advice_names_the_most_urgent_action_first() -> None:
    assert advice(Level.EMERGENCY_NOW, country="US").actions == ("call_emergency",)
    assert advice(Level.URGENT_SAME_DAY, country="US").actions[0] == "contact_clinician"
    assert advice(Level.NONE, country="US").actions == ()
    assert "call_crisis_line" not in crisis_advice("FI").actions
    assert crisis_advice("FI").crisis_line is None


def test_levels_compare_by_urgency_and_not_by_spelling() -> None:
    assert Level.EMERGENCY_NOW > Level.REFER
    assert Level.NONE < Level.WATCH
    assert Level.REFER >= "refer"
    assert Level.WATCH <= "watch"
    assert max(Level) is Level.EMERGENCY_NOW
    assert min(Level) is Level.NONE
    assert AlertLevel.HIGH > AlertLevel.ROUTINE
    assert Level("refer") == "refer"


# ------------------------------------------------------------------ properties
ANSWERS = st.dictionaries(st.sampled_from(QUESTIONS), st.sampled_from(["yes", "no", "unsure"]))
SOME_FACTS = st.fixed_dictionaries(
    {},
    optional={
        "age_years": st.none() | st.integers(0, 110),
        "pain_0_10": st.none() | st.integers(0, 10),
        "weeks_without_improvement": st.none() | st.integers(0, 60),
        "axspa_onset_age": st.none() | st.integers(10, 80),
        "axspa_months": st.none() | st.integers(0, 60),
        "axspa_criteria_count": st.none() | st.integers(0, 9),
    },
)
REGIONS = st.sampled_from([*RULES.regions, "other"])


@given(ANSWERS, SOME_FACTS, REGIONS)
def test_the_level_is_the_highest_of_all_reasons(
    answers: dict[str, str], facts: dict[str, int | None], region: str
) -> None:
    found = screen(answers, facts, body_region=region)
    reasons = [rule.level for rule in found.fired]
    reasons += [
        RULES.unsure.emergency if question.emergency else RULES.unsure.other
        for question in RULES.questions
        if answers.get(question.id) in {"yes", "unsure"}
    ]
    assert found.level == max(reasons, default=Level.NONE)
    assert found.complete == (not found.missing)


@given(ANSWERS, SOME_FACTS, REGIONS, st.sampled_from(QUESTIONS))
def test_a_further_yes_never_lowers_the_level_nor_silences_a_rule(
    answers: dict[str, str], facts: dict[str, int | None], region: str, question: str
) -> None:
    before = screen(answers, facts, body_region=region)
    after = screen(answers | {question: "yes"}, facts, body_region=region)
    assert after.level >= before.level
    assert set(before.fired) <= set(after.fired)


@given(ANSWERS, SOME_FACTS, REGIONS)
def test_what_is_incomplete_names_what_would_complete_it(
    answers: dict[str, str], facts: dict[str, int | None], region: str
) -> None:
    found = screen(answers, facts, body_region=region)
    for place in found.missing:
        kind, name = place.removeprefix("/").split("/")
        if kind == "answers":
            answers = answers | {name: "no"}
        else:
            facts = facts | {name: 5}
    assert screen(answers, facts, body_region=region).complete


@given(ANSWERS, SOME_FACTS)
def test_the_order_of_the_answers_does_not_matter(answers: dict[str, str], facts: dict[str, int | None]) -> None:
    turned = dict(reversed(answers.items()))
    assert screen(turned, facts, body_region="neck") == screen(answers, facts, body_region="neck")
