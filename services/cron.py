"""When a job of the timetable starts: cron's notation, as far as the timetable uses it (minute and hour, in UTC)."""

import re
from datetime import UTC, datetime, timedelta

EVERY_MINUTE = "* * * * *"

_FIELD = re.compile(r"\*(/(?P<step>\d+))?|(?P<only>\d+)")


def next_start(cron: str, after: datetime) -> datetime:
    """Give the first start after `after`. Raises ValueError for what the timetable does not use (days, lists)."""
    minutes, hours = _times(cron)
    at = after.astimezone(UTC).replace(second=0, microsecond=0) + timedelta(minutes=1)
    while at.hour not in hours:
        at = at.replace(minute=0) + timedelta(hours=1)
    later = [minute for minute in minutes if minute >= at.minute]
    if later:
        return at.replace(minute=later[0])
    at = at.replace(minute=minutes[0]) + timedelta(hours=1)
    while at.hour not in hours:
        at += timedelta(hours=1)
    return at


def _times(cron: str) -> tuple[list[int], list[int]]:
    minute, hour, *days = cron.split()
    if days != ["*"] * 3:
        raise ValueError(cron)
    return _values(minute, 60), _values(hour, 24)


def _values(field: str, end: int) -> list[int]:
    match = _FIELD.fullmatch(field)
    if match is None:
        raise ValueError(field)
    return [int(match["only"])] if match["only"] else list(range(0, end, int(match["step"] or 1)))
