"""The packaged files are complete, and a broken one is named with file and line."""

import shutil
from collections.abc import Callable
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

import clinical
from clinical import library
from clinical.library import BrokenFile, load, load_from
from clinical.reading import Document, Parsed, Strict, read

SOURCE = Path(clinical.__file__).parent


@pytest.fixture
def shelf(tmp_path: Path) -> Path:
    """A copy of the packaged files that a test may break."""
    for file in SOURCE.rglob("*.yaml"):
        copy = tmp_path / file.relative_to(SOURCE)
        copy.parent.mkdir(exist_ok=True)
        shutil.copy(file, copy)
    return tmp_path


_READ: dict[tuple[str, bytes, type[Any]], Document[Any]] = {}


def _remembered(root: Traversable, name: str, model: type[Parsed]) -> Document[Parsed]:
    """Read a file whose words have been read before only once: each test breaks one file of thirty."""
    key = (name, root.joinpath(name).read_bytes(), model)
    if key not in _READ:
        _READ[key] = read(root, name, model)
    return _READ[key]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "read", _remembered)


def line_of(path: Path, text: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def replace(path: Path, old: str, new: str) -> int:
    """Break the file, once; the line where it is broken."""
    line = line_of(path, old)
    path.write_text(path.read_text().replace(old, new, 1))
    return line


def test_the_shelf_holds_what_it_promises() -> None:
    shelf = load()
    assert len(shelf.instruments) == 10
    assert len(shelf.exercises) == 60
    assert len(shelf.articles) == 15
    assert set(shelf.question_sets) == {"daily", "weekly", "after_session"}
    assert len(shelf.red_flags.rules) == 29
    assert len(shelf.red_flags.questions) == 26
    assert [rule.id for rule in shelf.escalation.rules] == [f"ES{number:02}" for number in range(1, 14)]
    assert len(shelf.contraindications) == 27


def test_every_packaged_file_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def noted(root: Traversable, name: str, model: type[Parsed]) -> Document[Parsed]:
        seen.append(name)
        return read(root, name, model)

    monkeypatch.setattr(library, "read", noted)
    load_from(SOURCE)
    packaged = {str(file.relative_to(SOURCE)) for file in SOURCE.rglob("*.yaml")}
    assert set(seen) == packaged - {"consents.yaml"}, "consents have a loader of their own"


def test_an_empty_file_is_broken(shelf: Path) -> None:
    (shelf / "rules/adherence.yaml").write_text("# nothing\n")
    with pytest.raises(BrokenFile, match=r"rules/adherence.yaml:1: the file is empty"):
        load_from(shelf)


def test_the_library_is_read_once_and_cannot_be_changed() -> None:
    assert load() is load()
    with pytest.raises(TypeError):
        load().instruments["nprs"] = load().instruments["phq9"]  # type: ignore[index]
    with pytest.raises(ValidationError):
        load().instruments["nprs"].code = "other"  # type: ignore[misc]


def test_yes_and_no_are_words_and_only_true_and_false_are_booleans(tmp_path: Path) -> None:
    class Words(Strict):
        words: tuple[str | bool, ...]

    (tmp_path / "words.yaml").write_text("words: [yes, no, on, off, y, true, false]")
    assert read(tmp_path, "words.yaml", Words).value.words == ("yes", "no", "on", "off", "y", True, False)


def test_every_instrument_shows_its_license() -> None:
    for instrument in load().instruments.values():
        assert instrument.license.may_ship_items
        assert instrument.license.attribution
        assert instrument.examples


def test_every_contraindication_has_words_and_a_code_of_the_vocabulary() -> None:
    used = {reason.code for exercise in load().exercises.values() for reason in exercise.contraindications}
    assert used == set(load().contraindications)
    assert all(reason.text for exercise in load().exercises.values() for reason in exercise.contraindications)


Break = tuple[str, str, str, str]

BREAKS: dict[str, Break] = {
    "a value of the wrong type": ("instruments/nprs.yaml", "est_minutes: 1", "est_minutes: long", "est_minutes"),
    "a field nobody knows": ("instruments/nprs.yaml", "est_minutes: 1", "est_minute: 1", "est_minute"),
    "a key that comes twice": ("instruments/nprs.yaml", "recall:", "code:", "comes twice"),
    "no YAML at all": ("instruments/nprs.yaml", "items:", "items: [", "expected"),
    "a character that YAML forbids": ("instruments/nprs.yaml", "schema_version", "\x07", "control characters"),
    "an instrument under a wrong name": ("instruments/phq2.yaml", "code: phq2", "code: phq3", "the file is named"),
    "a primary score that is not scored": (
        "instruments/gad7.yaml",
        "primary: total",
        "primary: sum",
        "unknown code sum",
    ),
    "a score of an unknown item": ("instruments/gad2.yaml", "items: [q1, q2]", "items: [q1, q8]", "unknown code q8"),
    "a list that is a number": ("instruments/gad2.yaml", "items: [q1, q2]", "items: 5", "items"),
    "an item that comes twice": ("instruments/gad2.yaml", "{id: q2,", "{id: q1,", "q1 comes twice"),
    "a validation of an unknown item": (
        "instruments/nprs.yaml",
        "lte: [least_24h",
        "lte: [least",
        "unknown code least",
    ),
    "a safety rule on an unknown item": ("instruments/phq9.yaml", "gte: [q9, 1]", "gte: [q10, 1]", "unknown code q10"),
    "a safety rule with an unknown operator": ("instruments/phq9.yaml", "gte: [q9, 1]", "above: [q9, 1]", "above"),
    "a condition with two operators": ("instruments/phq9.yaml", "gte: [q9, 1]", "gte: [q9, 1], q: q9", "one operator"),
    "bands of an unknown score": ("instruments/phq9.yaml", "score: total", "score: sum", "unknown code sum"),
    "bands with a gap": ("instruments/phq9.yaml", "{code: mild, min: 5", "{code: mild, min: 6", "gap or overlaps"),
    "bands that end early": ("instruments/phq2.yaml", "min: 3, max: 6}", "min: 3, max: 5}", "do not end"),
    "an exercise of an unknown phase": ("exercises.yaml", "phase: stability", "phase: balance", "unknown code balance"),
    "an exercise of an unknown type": ("exercises.yaml", "type: relaxation", "type: sleep", "unknown code sleep"),
    "an exercise that comes twice": ("exercises.yaml", "- code: br_rib_seated", "- code: br_belly_supine", "twice"),
    "an unknown contraindication": ("exercises.yaml", "  - code: pregnancy", "  - code: flu", "unknown code flu"),
    "a contraindication that implies nothing known": (
        "exercises.yaml",
        "implies: [pregnancy]",
        "implies: [flu]",
        "unknown code flu",
    ),
    "a progression of an unknown exercise": (
        "exercises.yaml",
        "progression_of: br_belly_supine",
        "progression_of: br_gone",
        "unknown code br_gone",
    ),
    "a question that comes twice": ("question_sets.yaml", "{id: pain_worst_24h", "{id: pain_now", "comes twice"),
    "an integer question without a range": ("question_sets.yaml", "min: 0, max: 10, ", "", "what may be answered"),
    "a code question without options": (
        "question_sets.yaml",
        "options: [{value: self, text: My own estimate}, {value: device, text: A phone or watch}], ",
        "",
        "what may be answered",
    ),
    "a text question without a length": ("question_sets.yaml", "max_length: 2000, ", "", "what may be answered"),
    "a number question without decimals": ("question_sets.yaml", "decimals: 2, ", "", "what may be answered"),
    "levels out of order": ("rules/red_flags.yaml", "[none, watch, refer", "[none, refer, watch", "order"),
    "a level without a meaning": (
        "rules/red_flags.yaml",
        "  watch: {patient",
        "  none: {patient",
        "unknown code watch",
    ),
    "a decisive fact nobody knows": (
        "rules/red_flags.yaml",
        "facts: [age_years, pain_0_10]",
        "facts: [height]",
        "height",
    ),
    "a group with an unknown question": ("rules/red_flags.yaml", "general: [major", "general: [mayor", "mayor_trauma"),
    "a region with an unknown group": ("rules/red_flags.yaml", "knee: [general]", "knee: [special]", "special"),
    "a flag rule on an unknown question": ("rules/red_flags.yaml", "when: {q: both_legs}", "when: {q: arms}", "arms"),
    "a flag rule on an unknown fact": ("rules/red_flags.yaml", "gte: [age_years, 65]", "gte: [height, 65]", "height"),
    "a flag rule with an unknown operator": ("rules/red_flags.yaml", "{any: [{q: saddle}", "{one: [{q: saddle}", "one"),
    "a flag example on an unknown question": (
        "rules/red_flags.yaml",
        "answered_yes: [saddle]",
        "answered_yes: [x]",
        " x",
    ),
    "a flag rule that comes twice": ("rules/red_flags.yaml", "{id: RF02", "{id: RF01", "RF01 comes twice"),
    "an escalation of an unknown check": ("rules/escalation.yaml", "check: flare", "check: mood", "Input should be"),
    "an escalation on an unknown instrument": ("rules/escalation.yaml", "[rmdq24, psfs]", "[odi]", "unknown code odi"),
    "an escalation that comes twice": ("rules/escalation.yaml", "{id: ES02", "{id: ES01", "ES01 comes twice"),
    "a harder exercise that is easier": ("exercises.yaml", "difficulty: 4", "difficulty: 2", "cannot be easier than"),
    "a grade of harm that is missing": ("rules/adverse_events.yaml", "grade: 5, code", "grade: 4, code", "not 1 to 5"),
    "harm by an unknown criterion": (
        "rules/adverse_events.yaml",
        "seriousness: [hospital]",
        "seriousness: [bed]",
        "bed",
    ),
    "a text that may not be shipped": (
        "instruments/nprs.yaml",
        "may_ship_items: true",
        "may_ship_items: false",
        "shipped",
    ),
    "a slot that is shipped, too": ("instrument_slots.yaml", "code: ndi", "code: phq9", "phq9 is shipped"),
    "a flare-up's share that does not rise": ("rules/flares.yaml", "reduced: 50, three", "reduced: 80, three", "rise"),
    "a flare-up that never ends": ("rules/flares.yaml", "full: 100", "full: 90", "not the whole dose"),
    "an exercise of which a flare-up knows nothing": ("rules/flares.yaml", ", neural]", "]", "unknown code neural"),
    "a habit that nobody asks about": (
        "rules/habits.yaml",
        "code: steps, title",
        "code: jumps, title",
        "unknown code jumps",
    ),
    "a target out of the question's range": ("rules/habits.yaml", "max: 9}", "max: 19}", "no such answers"),
    "a ladder that does not rise": ("rules/habits.yaml", "[3, 7, 14", "[7, 3, 14", "do not rise"),
    "a workstation point that comes twice": ("workstation.yaml", "code: reach,", "code: feet,", "comes twice"),
    "a threshold in words": ("rules/progression.yaml", "green_max: 2", "green_max: two", "green_max"),
    "a step that nobody can take": (
        "rules/progression.yaml",
        "{change: sets, by: 1, most",
        "{change: mood, by: 1, most",
        "mood",
    ),
    "a step with a word nobody knows": ("rules/progression.yaml", "smallest_grams: 500", "smallest_kg: 1", "smallest_"),
    "an adherence band in words": ("rules/adherence.yaml", "high: 80", "high: most", "high"),
    "an identifier without numbers to try": ("rules/identifiers.yaml", 'valid: ["PH123456", "PH54321"], ', "", "valid"),
    "a schedule example without its reason": ("rules/schedule.yaml", ', why: "no DST in Arizona"', "", "why"),
    "a dated rule without a date": ("rules/rtm.yaml", "valid_to: 2026-12-31", "valid_to: soon", "valid_to"),
    "an emergency number that is none": (
        "emergency_numbers.yaml",
        'US: {emergency: "911"',
        'US: {emergency: "help"',
        "US",
    ),
    "an article without a source": (
        "education.yaml",
        'sources: ["M Saraceni N et al. JOSPT 2020;50:121 (lumbar flexion and lifting)", '
        '"V WHO guideline 2023 exercise https://ncbi.nlm.nih.gov/books/NBK599210"]',
        "sources: []",
        "sources",
    ),
    "a question whose answer is no option": ("education.yaml", "answer: 1", "answer: 7", "none of the options"),
    "a trigger for a question that nobody asks": (
        "rules/education.yaml",
        "{question: stress, at_least: 7}",
        "{question: strain, at_least: 7}",
        "unknown code strain",
    ),
    "a trigger that says nothing": (
        "rules/education.yaml",
        "{question: mood, at_most: 3}",
        "{question: mood}",
        "one thing",
    ),
    "a phase with an unknown article": (
        "rules/education.yaml",
        "[ed_walking, ed_pacing]",
        "[ed_swimming]",
        "ed_swimming",
    ),
    "a source without its mark": ("education.yaml", '"M Brinjikji W', '"Brinjikji W', "begins with one of V, M"),
    "an article without a title": ("education.yaml", "title: Pain is real", "titel: Pain is real", "titel"),
}


@pytest.mark.parametrize("broken", BREAKS.values(), ids=BREAKS.keys())
def test_a_broken_file_is_named_with_its_line(shelf: Path, broken: Break) -> None:
    name, old, new, reason = broken
    line = replace(shelf / name, old, new)
    with pytest.raises(BrokenFile, match=r"^[a-z0-9_/]+\.yaml:[0-9]+: ") as caught:
        load_from(shelf)
    assert caught.value.name == name
    assert abs(caught.value.line - line) <= 4
    assert reason in str(caught.value)


def test_bytes_that_are_no_text_are_named_with_their_line(shelf: Path) -> None:
    file = shelf / "education.yaml"
    lines = file.read_bytes().split(b"\n")
    lines[30] = "# Übung".encode("latin-1")
    file.write_bytes(b"\n".join(["# Übung".encode(), *lines]))
    with pytest.raises(BrokenFile, match=r"^education\.yaml:32: "):
        load_from(shelf)


def test_the_line_is_the_very_line_of_the_mistake(shelf: Path) -> None:
    cases: list[tuple[str, str, str]] = [
        ("rules/red_flags.yaml", "gte: [age_years, 65]", "gte: [height, 65]"),
        ("instruments/phq9.yaml", "{code: mild, min: 5", "{code: mild, min: 6"),
        ("exercises.yaml", "type: relaxation", "type: sleep"),
        ("instruments/gad2.yaml", "{id: q2,", "{id: q1,"),
    ]
    for name, old, new in cases:
        before = (shelf / name).read_text()
        line = replace(shelf / name, old, new)
        with pytest.raises(BrokenFile) as caught:
            load_from(shelf)
        assert (caught.value.name, caught.value.line) == (name, line)
        (shelf / name).write_text(before)


def _circle(path: Path) -> None:
    """Let the easiest belly breathing be a harder form of its own successor."""
    text = path.read_text()
    head, tail = text.split("- code: br_rib_seated", 1)
    head = head.replace("progression_of: null", "progression_of: br_rib_seated")
    tail = tail.replace("regression_of: []", "regression_of: [br_belly_supine]", 1)
    path.write_text(head + "- code: br_rib_seated" + tail)


def _half_link(path: Path) -> None:
    path.write_text(path.read_text().replace("  - br_9090_exhale\n", "", 1))


@pytest.mark.parametrize(("damage", "reason"), [(_circle, "runs in a circle"), (_half_link, "the harder exercises of")])
def test_exercises_must_lead_from_easier_to_harder(shelf: Path, damage: Callable[[Path], None], reason: str) -> None:
    damage(shelf / "exercises.yaml")
    with pytest.raises(BrokenFile, match=reason) as caught:
        load_from(shelf)
    assert caught.value.name == "exercises.yaml"
