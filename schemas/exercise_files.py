r"""Exercises as files: YAML for those who write them, CSV for those who keep them in a spreadsheet.

Both say the same, field by field, and what is written here is read back as it was. In CSV the dose has a column for each
of its parts, a list has one part on each line of its cell (a line break within a part is `\n`, a backslash two), reasons
against it are `code: text`, translations and media are JSON. A cell that a spreadsheet would take for a formula begins
with an apostrophe.
"""

import contextlib
import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
import yaml

from clinical.reading import Unreadable, line_of, parse_foreign
from schemas.base import Out
from schemas.exercises import DefaultDosageIn, ExerciseContent

FileFormat = Literal["yaml", "csv"]

FORMAT = "physio-exercises-1"
"""Says what a YAML file is, and how it is to be read."""

MOST = 1_000
"""Most exercises of one file."""


class ExerciseEntry(ExerciseContent):
    """An exercise in a file."""

    scope: Literal["library", "clinic", "own"]
    retired: bool = False


DOSAGE = tuple(DefaultDosageIn.model_fields)
LISTS = ("body_regions", "equipment", "instructions", "cues", "precautions", "tags")
JSON: Mapping[str, str] = {"translations": "{}", "media": "[]"}
NUMBERS = frozenset(
    {
        "difficulty",
        "max_effort",
        "reps",
        "sets",
        *(name for name in DOSAGE if name.endswith(("_seconds", "_day", "_week"))),
    }
)
FLAGS = frozenset({"per_side", "retired"})
LEFT_OUT = frozenset({"scope", "language", "sets", "sessions_per_day", "days_per_week", "max_effort"}) | FLAGS
"""What an empty cell does not say: it stays as it is, or as it usually is."""

ORDER = (
    "code",
    "scope",
    "language",
    "name",
    "target_region",
    "body_regions",
    "type",
    "phase",
    "difficulty",
    "position",
    "equipment",
    "default_dosage",
    "instructions",
    "cues",
    "contraindications",
    "precautions",
    "progression_of",
    "tags",
    "translations",
    "media",
    "retired",
)
COLUMNS = tuple(part for name in ORDER for part in (DOSAGE if name == "default_dosage" else (name,)))


YAML_EXAMPLE = f"""\
format: {FORMAT}
exercises:
- code: clinic_heel_raise
  name: Heel raise at the table
  target_region: ankle
  type: strength
  phase: strength
  difficulty: 2
  default_dosage: {{sets: 3, reps: 12, days_per_week: 3}}
  instructions:
  - Hold on to a table and rise on your toes.
"""
CSV_EXAMPLE = """\
code,name,target_region,type,phase,sets,reps,instructions
clinic_toe_raise,Toe raise at the table,ankle,strength,strength,3,12,"Hold on to a table.
Lift the front of your feet."
"""


class ImportProblem(Out):
    """One thing wrong with a file; it never repeats what the file says, but codes of exercises."""

    line: int
    pointer: str
    code: str
    message: str


class ExerciseImport(Out):
    """What an import did, or would do: with one problem, nothing at all. `problems` are the first thousand."""

    dry_run: bool
    created: int
    updated: int
    unchanged: int
    problem_count: int
    problems: list[ImportProblem]


@dataclass(frozen=True)
class Entry:
    """An exercise as a file says it: its place (from 0), what is said, and on which line each part stands."""

    place: int
    content: Mapping[str, Any]
    line: Callable[[Sequence[str | int]], int]

    def problem(self, loc: Sequence[str | int], code: str, message: str) -> ImportProblem:
        """Say what is wrong with a part of it."""
        pointer = "".join(f"/{str(part)[:64].replace('~', '~0').replace('/', '~1')}" for part in loc)
        return ImportProblem(
            line=self.line(loc), pointer=f"/exercises/{self.place}{pointer}", code=code, message=message
        )


@dataclass
class Reading:
    """What was read of a file, and what could not be."""

    entries: list[Entry] = field(default_factory=list)
    problems: list[ImportProblem] = field(default_factory=list)

    def refuse(self, line: int, code: str, message: str, pointer: str = "") -> None:
        """Add a problem with the file itself."""
        self.problems.append(ImportProblem(line=line, pointer=pointer, code=code, message=message))


def read(kind: FileFormat, text: str) -> Reading:
    """Read a file as far as it can be read."""
    reading = Reading()
    (_read_yaml if kind == "yaml" else _read_csv)(text, reading)
    if len(reading.entries) > MOST:
        line = reading.entries[MOST].line(())
        reading = Reading()
        reading.refuse(line, "too_long", f"A file holds at most {MOST} exercises.", "/exercises")
    return reading


def write(kind: FileFormat, exercises: Sequence[Mapping[str, Any]]) -> str:
    """Write a file: each exercise with all the fields of ORDER."""
    return _yaml(exercises) if kind == "yaml" else _csv(exercises)


# ------------------------------------------------------------------ YAML


def _yaml(exercises: Sequence[Mapping[str, Any]]) -> str:
    whole = {"format": FORMAT, "exercises": [{name: exercise[name] for name in ORDER} for exercise in exercises]}
    written: str = yaml.dump(whole, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=120)
    return written


def _read_yaml(text: str, reading: Reading) -> None:
    try:
        data, node = parse_foreign(text.encode())
    except Unreadable as error:
        reading.refuse(error.line, "yaml_syntax", f"{error.reason[:200]}.")
        return
    if node is None or not isinstance(data, dict) or data.get("format") != FORMAT:
        reading.refuse(1, "format_unknown", f"The file says `format: {FORMAT}` and lists `exercises`.", "/format")
        return
    for name in sorted(map(str, data.keys() - {"format", "exercises"})):
        reading.refuse(line_of(node, (name,)), "extra_forbidden", "This field is not known here.", f"/{name[:64]}")
    listed = data.get("exercises")
    if not isinstance(listed, list):
        reading.refuse(line_of(node, ("exercises",)), "list_type", "This is a list of exercises.", "/exercises")
        return
    for place, content in enumerate(listed):
        entry = Entry(place, content if isinstance(content, dict) else {}, _lines(node, place))
        if isinstance(content, dict) and all(isinstance(name, str) for name in content):
            reading.entries.append(entry)
        else:
            reading.problems.append(entry.problem((), "dict_type", "This is an exercise: fields with values."))


def _lines(node: yaml.Node, place: int) -> Callable[[Sequence[str | int]], int]:
    return lambda loc: line_of(node, ("exercises", place, *loc))


# ------------------------------------------------------------------ CSV

csv.field_size_limit(2**21)  # twenty languages of one exercise may stand in a cell

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uFF0B\uFF0D\uFF1D\uFF20]")
"""How a cell begins that a spreadsheet would calculate, perhaps behind apostrophes of its own; full-width signs count."""
_ESCAPED = re.compile(r"\\([\\n])")
_NUMBER = re.compile(r"-?[0-9]{1,9}")


def _csv(exercises: Sequence[Mapping[str, Any]]) -> str:
    file = io.StringIO()
    file.write("\ufeff")  # or Excel takes UTF-8 for something else
    writer = csv.writer(file, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for exercise in exercises:
        flat = {**exercise, **exercise["default_dosage"]}
        writer.writerow([_guarded(_cell(name, flat[name])) for name in COLUMNS])
    return file.getvalue()


def _cell(name: str, value: Any) -> str:
    if name in LISTS:
        return "\n".join(map(_escaped, value))
    if name == "contraindications":
        return "\n".join(_escaped(f"{one['code']}: {one['text']}") for one in value)
    if name in JSON:
        return orjson.dumps(value).decode() if value else ""
    if name in FLAGS:
        return "true" if value else "false"
    return "" if value is None else str(value)


def _escaped(part: str) -> str:
    return part.replace("\\", "\\\\").replace("\n", "\\n")


def _guarded(cell: str) -> str:
    return f"'{cell}" if _FORMULA.match(cell) else cell


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _read_csv(text: str, reading: Reading) -> None:
    rows = _rows(text, reading)
    first = next(rows, None)
    if first is None:
        if not reading.problems:
            reading.refuse(1, "format_unknown", "The first line names the columns.")
        return
    header = [name.strip() for name in first[1]]
    for name in sorted({name for name in header if name not in COLUMNS}):
        reading.refuse(first[0], "extra_forbidden", "This column is not known here.", f"/{name[:64]}")
    for name in sorted({name for name in header if header.count(name) > 1}):
        reading.refuse(first[0], "column_repeated", "This column comes twice.", f"/{name[:64]}")
    if "code" not in header:
        reading.refuse(first[0], "missing", "This column is needed.", "/code")
    if reading.problems:
        return
    for place, (line, cells) in enumerate(rows):
        entry = Entry(place, _content(dict(zip(header, cells, strict=False))), _line(line))
        if len(cells) == len(header):
            reading.entries.append(entry)
        else:
            reading.problems.append(entry.problem((), "cells", f"This line has {len(cells)} cells, not {len(header)}."))


def _line(line: int) -> Callable[[Sequence[str | int]], int]:
    return lambda _loc: line


def _rows(text: str, reading: Reading) -> Iterator[tuple[int, list[str]]]:
    """Give the rows that are not empty, each with the line on which it begins."""
    rows = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), strict=True)
    line = 1
    while True:
        try:
            row = next(rows, None)
        except csv.Error:
            reading.refuse(
                line, "csv_syntax", "This is not CSV: cells that hold commas, quotes or lines stand in quotes."
            )
            return
        if row is None:
            return
        if any(row):
            yield line, row
        line = rows.line_num + 1


def _content(cells: Mapping[str, str]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    dosage: dict[str, Any] = {}
    for name, written in cells.items():
        cell = _unguarded(written.replace("\r\n", "\n"))
        if cell.strip() or name not in LEFT_OUT:
            (dosage if name in DOSAGE else content)[name] = _value(name, cell)
    return content | ({"default_dosage": dosage} if not cells.keys().isdisjoint(DOSAGE) else {})


def _value(name: str, cell: str) -> Any:
    """Give what a cell says; what it cannot mean stays a text, and is refused where the exercise is checked."""
    if name in LISTS:
        return _parts(cell)
    if name == "contraindications":
        return [dict(zip(("code", "text"), part.partition(": ")[::2], strict=True)) for part in _parts(cell)]
    if name in JSON:
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(cell.strip() or JSON[name])
    elif name in NUMBERS and _NUMBER.fullmatch(cell.strip()):
        return int(cell)
    elif name in FLAGS and cell.strip().lower() in {"true", "false"}:
        return cell.strip().lower() == "true"
    return cell if cell.strip() else None


def _parts(cell: str) -> list[str]:
    return [_ESCAPED.sub(lambda found: "\n" if found[1] == "n" else "\\", part) for part in cell.split("\n") if part]
