"""The README tells the truth: its commands exist, its sign-ins work, its examples print what stands below them."""

import re
from pathlib import Path

import httpx
from typer.main import get_command

from cli.__main__ import app
from cli.running import DEMO, PASSWORD
from dev import opening as demo
from tests.docs.pages import ROOT, blocks, printed, run

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_examples_by_task_print_what_stands_below_them(clinic: str, tmp_path: Path) -> None:
    said = run(README, clinic, tmp_path)
    assert len(said) > 1
    assert said == [expected or "" for _, expected in printed(README)]


def test_the_two_commands_stand_alone_in_their_block() -> None:
    assert blocks(README)[0].text == "make run\nmake test\n"


def test_the_sign_ins_are_those_of_the_demo_clinic(clinic: str) -> None:
    addresses = re.findall(r"^\| `([a-z]+@demo\.example)` \|", README, re.MULTILINE)
    assert tuple(addresses) == DEMO
    assert demo.PASSWORD == PASSWORD
    assert f"`{PASSWORD}`" in README
    for address in addresses:
        answer = httpx.post(f"{clinic}/v1/auth/login", json={"email": address, "password": PASSWORD})
        assert answer.is_success, address


def test_every_command_it_names_exists() -> None:
    root = get_command(app)
    named = set(re.findall(r"`?\bphysio ((?:db |users |library )?[a-z-]+)\b(?=[` ])", README))
    assert {"db roles", "db migrate", "users create-clinic", "serve", "worker"} <= named
    for each in named:
        found = root
        for word in each.split():
            found = getattr(found, "commands", {})[word]


def test_it_says_what_it_is_before_anything_else_and_what_must_happen_before_real_patients() -> None:
    title, sentence = README.split("\n\n")[:2]
    assert title == "# Physio"
    assert sentence.count(".") == 1
    assert "clinical safety lead" in README
    assert "not a medical device" in README
