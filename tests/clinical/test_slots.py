"""An empty slot takes a text that fits its scoring, and no other."""

from collections.abc import Sequence

import pytest

from clinical.library import INSTRUMENTS, load
from clinical.slots import misfits

ODI = load().slots["odi"]
SIX = list(range(6))


def pointers(items: Sequence[Sequence[int]], shared: Sequence[int]) -> list[str]:
    return [each.pointer for each in misfits(ODI, items, shared)]


def test_each_question_has_answers_of_its_own_or_the_shared_ones() -> None:
    assert pointers([SIX] * 10, []) == []
    assert pointers([[]] * 10, SIX) == []
    assert pointers([SIX[::-1], *[[]] * 9], SIX) == []


def test_what_would_score_otherwise_is_refused() -> None:
    assert pointers([SIX] * 9, []) == ["/items"]
    assert pointers([[]] * 10, []) == ["/options"]
    assert pointers([[]] * 10, [0, 1, 2, 3, 4]) == ["/options"]
    assert pointers([[0, 1, 2, 3, 4, 4], *[SIX] * 9], []) == ["/items/0/options"]
    assert pointers([[0, 1, 2, 3, 4, 6], *[SIX] * 9], [1]) == ["/options", "/items/0/options"]


@pytest.mark.parametrize("code", sorted(load().slots))
def test_a_slot_holds_no_word_of_its_owner_and_has_golden_vectors(code: str) -> None:
    slot, instrument = load().slots[code], load().measures[code]
    assert code not in INSTRUMENTS
    assert not instrument.stem
    assert not any(item.text for item in instrument.items)
    assert (instrument.license.status, instrument.license.may_ship_items) == ("licensed", False)
    assert len(instrument.items) == slot.items
    assert {example.expect["total"] is None for example in slot.examples} == {True, False}
