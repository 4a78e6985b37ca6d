"""The page about goals and habits states the measures, ranges and counts of the rules."""

import re

from clinical.habits import question_of
from clinical.library import load
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "goals-and-habits.md").read_text(encoding="utf-8")
RULES = load().habits


def test_measures_and_ranges_are_those_of_the_rules() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (less|more) \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert [(code, better == "less", int(window), int(least)) for code, better, window, least in rows] == [
        (one.code, one.lower_is_better, one.window_days, one.least_answers) for one in RULES.measures
    ]
    ranges = re.findall(r"^\| `(\w+)` \| at (?:least|most) [^|]+ \| (\d+) \| (\d+) \|$", PAGE, re.MULTILINE)
    assert {code: (int(low), int(high)) for code, low, high in ranges} == {
        code: (allowed.min, allowed.max) for code, allowed in RULES.lifestyle.items()
    }


def test_counts_and_differences_are_those_of_the_rules() -> None:
    told = dict(re.findall(r"^\| `(\w+)` \| at ([\d, and]+) ", PAGE, re.MULTILINE))
    assert {name: [int(count) for count in re.findall(r"\d+", said)] for name, said in told.items()} == {
        name: list(ladder) for name, ladder in RULES.milestones.model_dump().items()
    }
    steady = {one.code: one.steady for one in RULES.measures}
    said = " ".join(PAGE.split())
    assert question_of("sleep_hours").unit == "h"
    assert (
        f"below {steady['sleep_hours']:g} hours of sleep, {steady['stress']:g} point of stress,"
        f" {steady['steps']:g} steps or {steady['activity_minutes']:g} minutes" in said
    )
    assert f"(version `{RULES.version}`)" in said
