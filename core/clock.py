"""The only place that asks what time it is; only doors (api, jobs, cli) may."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

_ahead: Callable[[], timedelta] | None = None


def now() -> datetime:
    """Give this moment, in UTC; in a sandbox the moment that its clock shows."""
    return real() if _ahead is None else real() + _ahead()


def real() -> datetime:
    """Give this moment, in UTC, wherever the clock of a sandbox has gone."""
    return datetime.now(UTC)


def steer(file: Path | None) -> None:
    """Let the clock run as many seconds ahead as the file says at the time; settings allow it in tests only."""
    _set(None if file is None else lambda: timedelta(seconds=float(file.read_text())))


def move(ahead: timedelta | None) -> None:
    """Let the clock of this process run ahead; None puts it right. A sandbox keeps in the database how far it is."""
    _set(None if ahead is None else lambda: ahead)


def _set(ahead: Callable[[], timedelta] | None) -> None:
    global _ahead  # noqa: PLW0603 - a process has one clock
    _ahead = ahead
