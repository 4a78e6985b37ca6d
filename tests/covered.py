"""`python -m tests.covered`: what the last `make cover` measured, judged: at least 95 % of all lines, all of `clinical/`."""

import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

MEASURED = Path(__file__).parents[1] / ".coverage.json"
LEAST = 95.0
"""Per cent of all lines."""

WHOLE = "clinical/"
"""Where every line and every branch is run by a test."""


def wrong(files: dict[str, Any]) -> list[str]:
    """Say what is not as it should be.

    files: SlipCover's, by name: `executed_lines`, `missing_lines`, and `missing_branches` as pairs of lines.
    """
    said = [
        f"{name}: no test runs lines {each['missing_lines']}, branches {branches(each)}"
        for name, each in sorted(files.items())
        if name.startswith(WHOLE) and (each["missing_lines"] or branches(each))
    ]
    if not any(name.startswith(WHOLE) for name in files):
        said.append(f"nothing of {WHOLE} was measured")
    if share(files) < LEAST:
        said.append(f"{share(files):.1f} % of the lines are run by tests; {LEAST:g} % are asked for")
    return said


def branches(file: dict[str, Any]) -> list[list[int]]:
    """Give the branches that are not taken, (from, to); not those to a line that does not count. 0: out of the function."""
    counting = {0, *file["executed_lines"], *file["missing_lines"]}
    return [pair for pair in file["missing_branches"] if pair[1] in counting]


def share(files: dict[str, Any]) -> float:
    """Give how many of all lines are run, in per cent."""
    run = sum(len(each["executed_lines"]) for each in files.values())
    missing = sum(len(each["missing_lines"]) for each in files.values())
    return 100 * run / max(run + missing, 1)


def show(files: dict[str, Any], console: Console) -> None:
    """Print the files of which something is not run, and the sum."""
    table = Table("file", "lines not run")
    for name, each in sorted(files.items()):
        if each["missing_lines"]:
            table.add_row(name, " ".join(map(str, each["missing_lines"])))
    console.print(table)


def main() -> None:
    """Judge, and say what is missing."""
    files = json.loads(MEASURED.read_bytes())["files"]
    found = wrong(files)
    console = Console(width=None if sys.stdout.isatty() else 150)
    if found:
        show(files, console)
    for each in found:
        console.print(f"[red]{each}[/red]")
    console.print(f"{share(files):.1f} % of the lines are run by tests.")
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
