"""The README is the first thing that runs: what it names exists."""

import re
from pathlib import Path

from core.settings import Settings

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_every_setting_is_explained_and_no_other() -> None:
    named = set(re.findall(r"PHYSIO_([A-Z_]+)", README))
    assert named == {name.upper() for name in Settings.model_fields}


def test_every_target_it_names_is_in_the_makefile() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"`make ([a-z]+)`", README))
    assert {"run", "test"} <= named <= targets


def test_every_file_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
