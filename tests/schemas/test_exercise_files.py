"""Files of exercises: what is written is read as it was, no cell is a formula, and what cannot be read has a line."""

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from clinical.library import load
from schemas.base import clean
from schemas.exercise_files import COLUMNS, FORMAT, MOST, ORDER, ExerciseEntry, FileFormat, read, write

DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\uff1d")


def _clean(text: str) -> str:
    try:
        return clean(text)
    except PydanticCustomError:  # a character that no text of ours holds
        return ""


def texts(longest: int, *, lines: bool = False) -> st.SearchStrategy[str]:
    odd = st.sampled_from(
        ["=1+1", "-2", "'=x", "''", "a: b", "\\n", "\\", '"', ",", "yes", "null", "1:30", "ü", "\u2028", "#"]
    )
    alphabet = st.characters(exclude_categories=("Cs", "Cc"))
    text = st.lists(odd | st.text(alphabet, max_size=4) | st.just("\n" if lines else " "), max_size=4).map("".join)
    return text.map(_clean).filter(lambda each: 0 < len(each) <= longest and (lines or "\n" not in each))


ENTRIES = st.fixed_dictionaries(
    {
        "code": st.sampled_from(["wall_slide", "null_one", "no"]),
        "scope": st.just("own"),
        "name": texts(200),
        "target_region": st.just("shoulder"),
        "type": st.just("mobility"),
        "phase": st.just("mobility"),
        "difficulty": st.none() | st.integers(1, 5),
        "position": st.none() | texts(100),
        "equipment": st.lists(texts(60), max_size=2),
        "default_dosage": st.fixed_dictionaries(
            {"reps": st.none() | st.integers(1, 100), "load": st.none() | texts(60), "per_side": st.booleans()}
        ),
        "instructions": st.lists(texts(500, lines=True), min_size=1, max_size=3),
        "contraindications": st.lists(
            st.fixed_dictionaries({"code": st.just("dizziness"), "text": texts(200)}), max_size=2
        ),
        "translations": st.dictionaries(
            st.sampled_from(["de", "no"]),
            st.fixed_dictionaries({"name": texts(200), "instructions": st.lists(texts(500), min_size=1, max_size=1)}),
            max_size=2,
        ),
        "retired": st.booleans(),
    }
)


@settings(max_examples=40, deadline=None)
@given(st.lists(ENTRIES, max_size=2), st.sampled_from(["yaml", "csv"]))
def test_what_is_written_is_read_as_it_was(entries: list[dict[str, Any]], kind: FileFormat) -> None:
    whole = [ExerciseEntry.model_validate(entry).model_dump(mode="json") for entry in entries]
    written = write(kind, whole)
    reading = read(kind, written)
    assert reading.problems == []
    assert [entry.content for entry in reading.entries] == whole
    if kind == "csv":
        cells = [cell for row in csv.reader(io.StringIO(written, newline="")) for cell in row]
        assert [cell for cell in cells if cell.startswith(DANGEROUS)] == []


def test_the_columns_are_the_fields_and_every_shipped_exercise_fits_into_a_file() -> None:
    assert set(ORDER) == ExerciseEntry.model_fields.keys()
    assert len(COLUMNS) == len(set(COLUMNS))
    for exercise in load().exercises.values():
        content = exercise.model_dump(mode="json", exclude={"regression_of"})
        ExerciseEntry.model_validate({**content, "scope": "library"})


WRONG: dict[str, tuple[FileFormat, str, int, str]] = {
    "nothing": ("yaml", "", 1, "format_unknown"),
    "another file": ("yaml", "exercises: []", 1, "format_unknown"),
    "no list": ("yaml", f"format: {FORMAT}\nexercises: many", 2, "list_type"),
    "no exercise": ("yaml", f"format: {FORMAT}\nexercises:\n- code: a\n- 7", 4, "dict_type"),
    "a field more": ("yaml", f"format: {FORMAT}\nexercises: []\nauthor: me", 3, "extra_forbidden"),
    "no YAML": ("yaml", f"format: {FORMAT}\nexercises: [\n", 3, "yaml_syntax"),
    "a key twice": ("yaml", f"format: {FORMAT}\nexercises:\n- code: a\n  code: b", 4, "yaml_syntax"),
    "an alias": ("yaml", f"format: {FORMAT}\nexercises:\n- &a {{code: a}}\n- *a", 4, "yaml_syntax"),
    "too deep": ("yaml", f"format: {FORMAT}\nexercises: {'[' * 40}{']' * 40}", 2, "yaml_syntax"),
    "an object of Python": ("yaml", f"format: {FORMAT}\nexercises: !!python/object:os.system []", 2, "yaml_syntax"),
    "a tag that lies": ("yaml", f"format: {FORMAT}\nexercises: !!int many", 2, "yaml_syntax"),
    "another that lies": ("yaml", f"format: {FORMAT}\nexercises:\n- code: a\n  name: !!bool perhaps", 4, "yaml_syntax"),
    "a list as a key": ("yaml", f"format: {FORMAT}\nexercises:\n- [code]: a", 3, "yaml_syntax"),
    "a control character": ("yaml", f"format: {FORMAT}\nexercises: \x07", 2, "yaml_syntax"),
    "no header": ("csv", "", 1, "format_unknown"),
    "an unknown column": ("csv", "code,colour\na,b", 1, "extra_forbidden"),
    "a column twice": ("csv", "code,name,name\na,b,c", 1, "column_repeated"),
    "no code": ("csv", "name\nA", 1, "missing"),
    "a cell too many": ("csv", 'code,name\na,"A\nB"\n\nb,B,C', 5, "cells"),
    "an open quote": ("csv", 'code,name\na,A\nb,"B', 3, "csv_syntax"),
    "an open quote at once": ("csv", 'code,"name', 1, "csv_syntax"),
    "too many": ("csv", "code\n" + "a\n" * (MOST + 1), MOST + 2, "too_long"),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_what_cannot_be_read_has_its_line(wrong: tuple[FileFormat, str, int, str]) -> None:
    kind, text, line, code = wrong
    assert [(each.line, each.code) for each in read(kind, text).problems] == [(line, code)]


def test_a_hand_written_table_says_what_it_means() -> None:
    text = (
        "\ufeffcode,name,sets,reps,per_side,retired,cues,translations,difficulty,contraindications\r\n"
        'a_one,\'=sum,3,ten,TRUE,,"Ribs down\r\nBreathe",{oops,,dizziness\r\n'
    )
    (entry,) = read("csv", text).entries
    assert entry.content == {
        "code": "a_one",
        "name": "=sum",
        "default_dosage": {"sets": 3, "reps": "ten", "per_side": True},
        "cues": ["Ribs down", "Breathe"],
        "translations": "{oops",
        "difficulty": None,
        "contraindications": [{"code": "dizziness", "text": ""}],
    }
