"""The gate of `make cover` itself."""

from io import StringIO
from typing import Any

from rich.console import Console

from tests import covered


def file(run: list[int], missing: list[int], branches: list[list[int]] | None = None) -> dict[str, Any]:
    return {"executed_lines": run, "missing_lines": missing, "missing_branches": branches or []}


WHOLE = file([1, 2, 3], [])


def test_all_of_the_clinical_room_and_most_of_the_rest_is_enough() -> None:
    assert covered.wrong({"clinical/a.py": WHOLE, "api/a.py": file(list(range(95)), [95, 96])}) == []


def test_a_line_or_a_branch_of_the_clinical_room_is_missed() -> None:
    (said,) = covered.wrong({"clinical/a.py": file(list(range(99)), [100]), "api/a.py": WHOLE})
    assert said == "clinical/a.py: no test runs lines [100], branches []"
    (said,) = covered.wrong({"clinical/a.py": file([1, 2], [], [[1, 2], [2, 0]])})
    assert said == "clinical/a.py: no test runs lines [], branches [[1, 2], [2, 0]]"


def test_a_branch_to_what_does_not_count_is_not_missed() -> None:
    assert covered.wrong({"clinical/a.py": file([1, 2], [], [[1, 9]])}) == []


def test_too_little_and_nothing_are_said() -> None:
    few = {"clinical/a.py": WHOLE, "api/a.py": file([], [4, 5])}
    assert covered.wrong(few) == ["60.0 % of the lines are run by tests; 95 % are asked for"]
    assert covered.wrong({}) == [
        "nothing of clinical/ was measured",
        "0.0 % of the lines are run by tests; 95 % are asked for",
    ]
    out = StringIO()
    covered.show(few, Console(file=out, width=80))
    assert "api/a.py" in out.getvalue()
    assert "4 5" in out.getvalue()
