"""Renders our revisions as SQL and lets squawk look for what would hurt a running clinic."""

import contextlib
import io
import subprocess
import sys
from pathlib import Path

from alembic import command
from alembic.config import Config

HOME = Path(__file__).resolve().parent.parent
OURS = ("base:0003", "0004:head")
"""Revisions to look at; 0004 is the queue library's own script."""

MEANT = {
    "walls TIMESTAMP WITHOUT TIME ZONE[]": "prefer-timestamp-tz",
    "ALTER TABLE notifications DROP CONSTRAINT ck_notifications_status": "ban-drop-constraint",
    "ALTER TABLE notifications DROP CONSTRAINT ck_notifications_channel": "ban-drop-constraint",
    "ALTER TABLE alert_events DROP CONSTRAINT ck_alert_events_kind": "ban-drop-constraint",
    "ALTER TABLE goals ALTER COLUMN baseline TYPE NUMERIC(8, 2)": "changing-column-type",
    "ALTER TABLE goals ALTER COLUMN target TYPE NUMERIC(8, 2)": "changing-column-type",
    "ALTER TABLE milestones ALTER COLUMN target TYPE NUMERIC(8, 2)": "changing-column-type",
}
"""Lines that a rule would have otherwise, on purpose: the wall clock's readings, lists of words that grow, and numbers that
get more digits in front, for which no row is written anew."""


def main() -> int:
    """Return squawk's exit status over all revisions."""
    config = Config(toml_file=HOME / "pyproject.toml")
    script = io.StringIO()
    config.output_buffer = script
    with contextlib.redirect_stderr(io.StringIO()):
        for each in OURS:
            command.upgrade(config, each, sql=True)
    sql = script.getvalue()
    for line, rule in MEANT.items():
        sql = sql.replace(line, f"-- squawk-ignore {rule}\n{line}")
    squawk = Path(sys.executable).parent / "squawk"
    found = subprocess.run(  # noqa: S603 - our own tool
        [squawk, "--stdin-filepath=alembic.sql"], input=sql, text=True, check=False, cwd=HOME
    )
    return found.returncode


if __name__ == "__main__":
    raise SystemExit(main())
