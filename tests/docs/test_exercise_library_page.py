"""The page about the exercise library shows a file that is read, and states its limits."""

import re

from clinical.library import load
from schemas.exercise_files import MOST, YAML_EXAMPLE, read
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "exercise-library.md").read_text(encoding="utf-8")


def test_the_file_on_the_page_is_read_and_is_the_documents_example() -> None:
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    reading = read("yaml", shown)
    assert reading.problems == []
    assert reading.entries[0].content.items() <= read("yaml", YAML_EXAMPLE).entries[0].content.items()
    assert f"at most {MOST} exercises" in PAGE


def test_the_page_lists_the_vocabulary_of_contraindications() -> None:
    (table,) = re.findall(r"^\| code \| means \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", table, re.MULTILINE)) == dict(load().contraindications)
