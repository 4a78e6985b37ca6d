"""The workstation check: every point is answered, and two checks are compared point by point."""

import pytest

from clinical import workstation
from clinical.answers import InvalidAnswers
from clinical.library import load
from clinical.workstation_form import WorkstationAnswer

FINE, NOT_FINE, DOES_NOT_APPLY = WorkstationAnswer


def test_the_list_has_points_with_something_to_try() -> None:
    shelf = load().workstation
    assert len(shelf.items) == 12
    assert shelf.answers == tuple(WorkstationAnswer)
    assert all(item.text.endswith("?") and item.tip.endswith(".") for item in shelf.items)


def test_every_point_is_answered_and_none_else() -> None:
    answers = {item.code: FINE for item in load().workstation.items}
    workstation.validate(answers)
    del answers["feet"]
    with pytest.raises(InvalidAnswers) as refusal:
        workstation.validate({**answers, "aura": FINE})
    assert [(each.pointer, each.code) for each in refusal.value.problems] == [
        ("/aura", "unknown_question"),
        ("/feet", "missing"),
    ]


def test_before_and_after_are_compared_where_both_say_something() -> None:
    before = {"feet": NOT_FINE, "reach": FINE, "glare": NOT_FINE, "phone": DOES_NOT_APPLY, "gone": NOT_FINE}
    after = {"feet": FINE, "reach": NOT_FINE, "glare": NOT_FINE, "phone": NOT_FINE, "new": NOT_FINE}
    found = workstation.compare(before, after)
    assert found == workstation.Compared(
        improved=("feet",), worsened=("reach",), open=("reach", "glare", "phone", "new")
    )
