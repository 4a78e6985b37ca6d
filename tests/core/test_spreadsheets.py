"""A table that somebody opens in a spreadsheet calculates nothing."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.spreadsheets import FORMULA, csv_of, harmless


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\u00a0=1", "\uff1d1+1"]
)
def test_what_looks_like_a_formula_is_shown_as_text(text: str) -> None:
    assert harmless(text) == f"'{text}"


def test_a_table_keeps_its_words_and_numbers() -> None:
    made = csv_of(("a", "b"), [["plain, with a comma", 3], ['says "ow"\nand again', None], ["=HYPERLINK(1)", -2]])
    assert made.startswith(b"a,b\r\n")
    assert list(csv.reader(io.StringIO(made.decode(), newline=""))) == [
        ["a", "b"],
        ["plain, with a comma", "3"],
        ['says "ow"\nand again', ""],
        ["'=HYPERLINK(1)", "-2"],
    ]


@settings(max_examples=50)
@given(st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=12), max_size=4))
def test_no_cell_begins_like_a_formula(cells: list[str]) -> None:
    made = csv_of(["n", *(str(place) for place in range(len(cells)))], [[1, *cells]])
    assert not any(cell.startswith(FORMULA) for cell in map(harmless, cells))
    assert made.decode().count("\r\n") >= 2
