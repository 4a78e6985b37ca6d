"""The page about education states the triggers, phases and limits of the rules."""

import re

from clinical.library import load
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "education.md").read_text(encoding="utf-8")
RULES = load().education


def codes(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`(ed_\w+)`", text))


def test_triggers_and_phases_are_those_of_the_rules() -> None:
    rows = re.findall(r"^\| (ET\d\d) \| `(\w+)` \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert [(rule, code, codes(given)) for rule, code, _, given in rows] == [
        (one.id, one.code, one.articles) for one in RULES.triggers
    ]
    for (_, _, said, _), trigger in zip(rows, RULES.triggers, strict=True):
        limits = [limit for each in trigger.any_of for limit in (each.at_most, each.at_least) if limit is not None]
        numbers = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", said)}
        assert {trigger.within_days, *limits} <= numbers
    phases = {kind: codes(given) for kind, given in re.findall(r"^\| `(\w+)` \| (`ed_.+) \|$", PAGE, re.MULTILINE)}
    assert phases == dict(RULES.phases)


def test_the_limits_are_those_of_the_rules() -> None:
    page = " ".join(PAGE.split())
    assert f"At most {RULES.at_once} come at once and {RULES.most_unread} wait" in page
    assert f"not given again within {RULES.repeat_after_days} days" in page
