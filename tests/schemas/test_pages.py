"""Cursors are sealed, and pages are cut where they should be."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.pages import CURSOR_LIMIT, Page, UnknownCursor

KEY = b"k" * 32

keys = st.one_of(
    st.integers(-(2**53), 2**53), st.uuids(), st.dates(), st.datetimes(timezones=st.just(UTC)), st.text(max_size=20)
)


@given(st.lists(keys, min_size=1, max_size=3))
def test_a_cursor_gives_back_the_keys_it_was_made_of(values: list[Any]) -> None:
    cursor = Page(scope="list", key=KEY).cursor_after(values)
    assert Page(cursor=cursor, scope="list", key=KEY).after == tuple(values)


def test_a_cursor_that_ends_in_the_longest_name_is_one_we_take_back() -> None:
    assert len(Page(scope="list", key=KEY).cursor_after(["\U0001f9b4" * 200, UUID(int=3)])) <= CURSOR_LIMIT


@given(st.text(max_size=80))
def test_nobody_can_make_a_cursor_up(cursor: str) -> None:
    with pytest.raises(UnknownCursor):
        _ = Page(cursor=cursor, scope="list", key=KEY).after


@given(st.data())
def test_a_changed_cursor_is_refused(data: st.DataObject) -> None:
    cursor = Page(scope="list", key=KEY).cursor_after([UUID(int=3), date(2026, 1, 2), datetime(2026, 1, 2, tzinfo=UTC)])
    place = data.draw(st.integers(0, len(cursor) - 2))
    letter = data.draw(st.sampled_from("ABCxyz019-_").filter(lambda each: each != cursor[place]))
    with pytest.raises(UnknownCursor):
        _ = Page(cursor=cursor[:place] + letter + cursor[place + 1 :], scope="list", key=KEY).after


def test_a_cursor_of_another_list_or_server_is_refused() -> None:
    cursor = Page(scope="list", key=KEY).cursor_after([1])
    for page in (Page(cursor=cursor, scope="other", key=KEY), Page(cursor=cursor, scope="list", key=b"x" * 32)):
        with pytest.raises(UnknownCursor):
            _ = page.after


def test_a_page_is_cut_before_the_row_that_shows_there_is_more() -> None:
    page = Page(limit=2, scope="list", key=KEY)
    assert page.after is None
    cut = page.cut([1, 2, 3], lambda row: (row,))
    assert list(cut.items) == [1, 2]
    assert Page(cursor=cut.next_cursor, scope="list", key=KEY).after == (2,)
    assert page.cut([1, 2], lambda row: (row,)).next_cursor is None
    assert list(page.cut([], lambda row: (row,)).items) == []
