"""Texts that patients agree to."""

from pathlib import Path

import pytest

from clinical import consents
from clinical.reading import BrokenFile

TEXT = """
schema_version: "1.0"
texts:
  - {purpose: reminders, version: "1", language: en, title: Reminders, sections: [{heading: What, text: First}]}
  - {purpose: reminders, version: "2", language: en, title: Reminders, sections: [{heading: What, text: Second}]}
"""


def test_the_text_for_telehealth_says_all_that_it_must() -> None:
    text = consents.find("telehealth", "en", "1")
    assert text is not None
    words = " ".join(f"{section.heading} {section.text}" for section in text.sections).lower()
    for matter in (
        "in person",
        "technology fails",
        "privacy",
        "emergency number",
        "staffed hours",
        "who sees what you send",
        "costs",
        "right to stop",
        "cannot do",
    ):
        assert matter in words


def test_an_outdated_or_unknown_text_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "consents.yaml").write_text(TEXT)
    texts = consents.load_from(tmp_path)
    monkeypatch.setattr(consents, "load", lambda: texts)
    assert consents.find("reminders", "en", "2") is not None
    assert consents.find("reminders", "en", "1") is None
    assert consents.find("reminders", "de", "2") is None
    assert consents.find("unknown", "en", "1") is None


def test_versions_that_do_not_rise_stop_the_start_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "consents.yaml").write_text(TEXT.replace('"2"', '"1"'))
    with pytest.raises(BrokenFile, match=r"consents\.yaml:5: version 1"):
        consents.load_from(tmp_path)
