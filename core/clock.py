"""The only place that asks what time it is; only doors (api, jobs, cli) may."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

_ahead: Path | None = None


def now() -> datetime:
    """Give this moment, in UTC."""
    real = datetime.now(UTC)
    return real if _ahead is None else real + timedelta(seconds=float(_ahead.read_text()))


def steer(file: Path | None) -> None:
    """Let the clock run as many seconds ahead as the file says at the time; settings allow it in tests only."""
    global _ahead  # noqa: PLW0603 - a process has one clock
    _ahead = file
