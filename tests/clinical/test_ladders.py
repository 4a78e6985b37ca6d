"""Ladders of exercises lead from easy to hard, also after two of them became one."""

from hypothesis import given, settings
from hypothesis import strategies as st

from clinical.ladders import circle, easier_than, merged

CODES = "abcdefgh"


def test_the_way_back_and_the_circle() -> None:
    ladder = {"a": None, "b": "a", "c": "b"}
    assert easier_than(ladder, "c") == ["b", "a"]
    assert [circle(ladder, code) for code in ladder] == [[], [], []]
    assert circle({**ladder, "a": "c"}, "a") == ["a", "c", "b", "a"]
    assert circle({"a": "a"}, "a") == ["a", "a"]
    assert circle({"a": "b", "b": "c", "c": "b"}, "a") == [], "a circle further down is not of this one's making"


def test_who_followed_the_old_one_follows_the_new_one() -> None:
    ladder = {"easy": None, "old": "easy", "new": None, "next": "old"}
    assert merged(ladder, "old", "new") == {"next": "new"}
    assert merged({**ladder, "new": "old"}, "old", "new") == {"next": "new", "new": "easy"}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(min_value=-1, max_value=6), min_size=2, max_size=8), st.data())
def test_a_merge_makes_no_circle_and_leaves_nobody_behind(steps: list[int], data: st.DataObject) -> None:
    order = data.draw(st.permutations(CODES[: len(steps)]))
    easier = [order[step] if 0 <= step < place else None for place, step in enumerate(steps)]
    ladder = dict(zip(order, easier, strict=True))
    source, target = data.draw(st.permutations(order))[:2]
    after = ladder | merged(ladder, source, target)
    assert [code for code in after if circle(after, code)] == []
    assert [code for code, easier in after.items() if easier == source] == []
