"""Pages of the documentation, and the shell commands that stand in them."""

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
ADDRESS = "http://127.0.0.1:8000"
"""Where `make run` listens, and so what the pages say."""

_BLOCK = re.compile(r"^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "~~~ block"


@dataclass(frozen=True)
class Block:
    """A fenced block: its language ("" for none), what it says, and whether it follows directly on the one before."""

    language: str
    text: str
    follows: bool


def blocks(page: str) -> list[Block]:
    """Give the fenced blocks of a page, in order."""
    found = []
    end = 0
    for match in _BLOCK.finditer(page):
        found.append(Block(match["language"], match["text"], follows=not page[end : match.start()].strip()))
        end = match.end()
    return found


def printed(page: str) -> list[tuple[str, str | None]]:
    """Give the page's bash blocks, each with what the page says that it prints (None: nothing is said)."""
    found = blocks(page)
    following: Sequence[Block | None] = [*found[1:], None]
    return [
        (block.text, after.text if after is not None and after.follows and after.language == "" else None)
        for block, after in zip(found, following, strict=True)
        if block.language == "bash"
    ]


def run(page: str, url: str, folder: Path) -> list[str]:
    """Run the page's bash blocks in one shell against the server at `url`; give what each one printed."""
    texts = [text for text, _ in printed(page)]
    script = "\n".join(f"echo '{_MARK}'\n{text}" for text in texts).replace(ADDRESS, url)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    assert done.stderr == ""
    said = done.stdout.split(f"{_MARK}\n")[1:]
    assert len(said) == len(texts)
    return said
