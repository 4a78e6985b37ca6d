"""Who must look at an adverse event, what its patient reads, and what cannot be true together."""

from typing import Any

import pytest

from clinical.adverse_event_rules import AdverseEventExample
from clinical.adverse_events import contradictions, died, judge, softened, unknown
from clinical.levels import AlertLevel, Level
from clinical.library import load


@pytest.mark.parametrize("example", load().adverse_events.examples, ids=lambda example: str(example.name))
def test_the_worked_examples(example: AdverseEventExample) -> None:
    found = judge(example.grade, example.seriousness)
    assert (found.alert, found.advice) == (example.alert, example.advice)
    assert found.rule_version == load().adverse_events.version


def test_a_severe_or_serious_event_is_always_alerted() -> None:
    criteria = [one.code for one in load().adverse_events.seriousness]
    for grade in (None, 1, 2, 3, 4, 5):
        assert (judge(grade, []).alert > AlertLevel.NONE) is (grade is not None and grade >= 3)
        for one in criteria:
            assert judge(grade, [one]).alert is AlertLevel.URGENT_SAME_DAY
            assert judge(grade, [one]).advice >= Level.URGENT_SAME_DAY


def test_a_fatal_outcome_is_serious_whatever_else_is_known() -> None:
    for grade, criteria in ((None, None), (1, None), (None, [])):
        assert judge(grade, criteria, "fatal").alert is AlertLevel.URGENT_SAME_DAY
        assert judge(grade, criteria, "recovering").alert is AlertLevel.NONE
    assert [died(5, None, None), died(None, ["death"], None), died(None, None, "fatal")] == [True] * 3
    assert not died(4, ["hospital"], "lasting_effects")


def test_a_death_says_so_everywhere() -> None:
    assert contradictions(5, ["death", "hospital"], "fatal") == []
    assert contradictions(5, None, None) == [], "what nobody has said contradicts nothing"
    assert contradictions(2, [], "recovered") == []
    assert [one.pointer for one in contradictions(5, [], "recovered")] == ["/seriousness", "/outcome"]
    assert [one.pointer for one in contradictions(3, ["death"], None)] == ["/grade"]


def test_a_review_names_all_that_nobody_has_said() -> None:
    assert [one.pointer for one in unknown(None, None, None, None)] == [
        "/grade",
        "/seriousness",
        "/relatedness",
        "/outcome",
    ]
    assert unknown(1, [], "unrelated", "recovered") == []


@pytest.mark.parametrize(
    ("after", "refused"),
    [
        ({"grade": 4, "seriousness": ["hospital", "disability"], "outcome": "fatal", "relatedness": "definite"}, []),
        ({"grade": 3, "seriousness": ["hospital"], "outcome": "recovering", "relatedness": "possible"}, []),
        ({"ended_on": 9, "item_id": "one"}, []),
        ({"ended_on": None, "grade": 2, "seriousness": []}, ["/grade", "/seriousness"]),
        ({"ended_on": 7, "kind": "other", "outcome": "recovered"}, ["/ended_on", "/kind", "/outcome"]),
        (
            dict.fromkeys(("grade", "seriousness", "outcome", "relatedness")),
            ["/grade", "/seriousness", "/outcome", "/relatedness"],
        ),
        ({"relatedness": "unlikely"}, ["/relatedness"]),
    ],
)
def test_what_was_reviewed_does_not_come_to_look_less_bad(after: dict[str, Any], refused: list[str]) -> None:
    known = {"grade": 3, "seriousness": ["hospital"], "outcome": "recovering", "relatedness": "possible"}
    known |= {"ended_on": 8, "kind": "fall", "item_id": None}
    assert [one.pointer for one in softened(known, after)] == refused
