"""Renders our revisions as SQL and lets squawk look for what would hurt a running clinic."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

HOME = Path(__file__).resolve().parent.parent
OURS = "base:0003"
"""Revisions to look at; 0004 is the queue library's own script."""


def main() -> int:
    """Return squawk's exit status over all revisions."""
    config = Config(toml_file=HOME / "pyproject.toml")
    script = io.StringIO()
    config.output_buffer = script
    with contextlib.redirect_stderr(io.StringIO()):
        command.upgrade(config, OURS, sql=True)
    squawk = Path(sys.executable).parent / "squawk"
    found = subprocess.run(  # noqa: S603 - our own tool
        [squawk, "--stdin-filepath=alembic.sql"], input=script.getvalue(), text=True, check=False, cwd=HOME
    )
    return found.returncode


if __name__ == "__main__":
    raise SystemExit(main())
