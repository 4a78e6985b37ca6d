"""The page about the worklist states the weights and limits of the code."""

import re

from schemas.worklist import Reason
from services.caseload import EXPIRY_AHEAD, HELD_AFTER, LEVELS, OVERDUE, OVERDUE_AFTER, REVIEW_AFTER, WEIGHTS
from services.worklist import MOST_SHOWN
from services.worklist_views import MOST
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "worklist.md").read_text(encoding="utf-8")


def test_the_weights_and_their_order_are_those_of_the_code() -> None:
    rows = [(name, int(weight)) for name, weight in re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE, re.MULTILINE)]
    assert rows == [*((level.value, weight) for level, weight in LEVELS.items()), *WEIGHTS.items()]
    assert WEIGHTS.keys() == set(Reason) - {Reason.ALERT}


def test_the_limits_are_those_of_the_code() -> None:
    page = " ".join(PAGE.split())
    for said in (
        f"{OVERDUE} more when one of them",
        f"{REVIEW_AFTER.days} days since the last signed",
        f"changed it for {HELD_AFTER.days} days",
        f"for the patient's place ends within {EXPIRY_AHEAD} days",
        f"has been due for {OVERDUE_AFTER} days",
        f"remembers the last {MOST_SHOWN}",
        f"keeps up to {MOST} sets",
    ):
        assert said in page
