"""What the pages for developers and clinicians state is what the code and the clinical data say."""

import json
import re

import yaml

from api.errors import DETAIL, status_of
from clinical.library import load
from clinical.red_flags import questions_for
from core.errors import Refusal
from tests.docs.pages import ROOT, blocks

CONVENTIONS = (ROOT / "docs" / "api-conventions.md").read_text(encoding="utf-8")
SAFETY = (ROOT / "docs" / "clinical-safety.md").read_text(encoding="utf-8")


def refusals(kind: type[Refusal] = Refusal) -> dict[str, type[Refusal]]:
    """Every refusal by its code."""
    return {one.code: one for sub in kind.__subclasses__() for one in (sub, *refusals(sub).values())}


def test_the_errors_shown_are_those_of_the_code() -> None:
    import api.app  # noqa: F401, PLC0415 - so that every refusal is known

    known = refusals()
    shown = [json.loads(block.text) for block in blocks(CONVENTIONS) if block.language == "json"]
    assert len(shown) > 3
    for each in shown:
        kind = known[each["code"]]
        assert each["title"] == kind.title
        assert each["status"] == status_of(kind)
        assert each["detail"] == DETAIL[each["status"]]
        assert each["type"] == f"/problems/{kind.code.replace('_', '-')}"
        assert each["retryable"] is kind.retryable


def test_every_status_that_a_refusal_can_have_is_explained() -> None:
    explained = set(map(int, re.findall(r"\b[45]\d\d\b", CONVENTIONS)))
    assert set(DETAIL) - {405} <= explained


def test_the_versions_of_the_rules_are_those_of_the_files() -> None:
    rows = re.findall(r"^\| `rules/(\w+)\.yaml` \| (\S+) \|", SAFETY, re.MULTILINE)
    files = sorted((ROOT / "clinical" / "rules").glob("*.yaml"))
    assert sorted(rows) == [(file.stem, yaml.safe_load(file.read_text(encoding="utf-8"))["version"]) for file in files]


def test_the_response_times_are_those_of_the_rules() -> None:
    response = {level.value: each for level, each in load().escalation.response.items()}
    assert f"within {response['emergency_now'].minutes} minutes of staffed time" in SAFETY
    assert f"within {response['urgent_same_day'].hours} hours of staffed time" in SAFETY
    assert f"within {response['high'].working_days} working day |" in SAFETY
    assert f"within {response['routine'].working_days} working days |" in SAFETY
    assert f"RF01 to {load().red_flags.rules[-1].id}" in SAFETY
    assert f"ES01 to {load().escalation.rules[-1].id}" in SAFETY


def test_the_levels_stand_in_their_order() -> None:
    shown = re.findall(r"^\| `(\w+)` \|", SAFETY, re.MULTILINE)[:5]
    order = yaml.safe_load((ROOT / "clinical" / "rules" / "red_flags.yaml").read_text(encoding="utf-8"))["level_order"]
    assert shown == order[::-1]
    assert questions_for("")
