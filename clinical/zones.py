"""What clocks show in every time zone, as lists that a database can look up: the rules of the tzdata package.

So Python and PostgreSQL follow one source, whatever tz files the database server has.
"""

import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from importlib.resources import files
from itertools import pairwise
from zoneinfo import ZoneInfo

from clinical import recurrence

RELEASE = version("tzdata")
"""The release of the rules as the package counts: 2026.1 is what IANA calls 2026a."""

FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2070, 1, 1, tzinfo=UTC)
"""Between these two the lists are complete; before and after, the nearest offset holds."""

_STRIDE = 28 * 86_400
"""A rule that comes every year keeps each of its two offsets for longer than so many seconds."""

_HEADER = struct.Struct(">4s c 15x 6L")
"""Magic word, version, and how many: UTC marks, standard marks, leap seconds, changes, types, letters (RFC 9636)."""


@dataclass(frozen=True)
class ZoneRules:
    """One zone. `offsets` are seconds east of UTC and one longer than the lists of changes.

    changes: instants at which the offset changes. walls: for the same changes, the wall time from which the next offset
    counts: of a repeated hour the first one, and a skipped hour moves forward, as `recurrence.instant` has it.
    """

    name: str
    changes: tuple[datetime, ...]
    walls: tuple[datetime, ...]
    offsets: tuple[int, ...]


def every_zone() -> Iterator[ZoneRules]:
    """Give the rules of every zone that `recurrence.check_zone` takes, by name."""
    known: dict[bytes, tuple[list[int], list[int]]] = {}  # many names share their rules,
    yearly: dict[tuple[bytes, int], list[int]] = {}  # and many more the rule for the years to come
    for name in sorted(recurrence.zones()):
        data = files("tzdata.zoneinfo").joinpath(*name.split("/")).read_bytes()
        if data not in known:
            known[data] = _read(data, ZoneInfo(name), yearly)
        changes, offsets = known[data]
        walls = [at + max(pair) for at, pair in zip(changes, pairwise(offsets), strict=True)]
        yield ZoneRules(
            name,
            tuple(datetime.fromtimestamp(at, UTC) for at in changes),
            tuple(datetime.fromtimestamp(at, UTC).replace(tzinfo=None) for at in walls),
            tuple(offsets),
        )


def _read(data: bytes, zone: ZoneInfo, yearly: dict[tuple[bytes, int], list[int]]) -> tuple[list[int], list[int]]:
    """Give the instants, in seconds, at which the zone's offset changes, and the offsets before and after each.

    yearly: the changes found before, by the rule and the second from which on it holds; a new rule's are added.
    """
    first, last = int(FIRST.timestamp()), int(LAST.timestamp())
    listed, rule = _listed(data)
    candidates = [at for at in listed if first < at < last]
    if b"," in rule:  # else one offset holds for good
        begin = max([first, *listed])
        if (rule, begin) not in yearly:
            yearly[rule, begin] = list(_recurring(zone, begin, last))
        candidates += yearly[rule, begin]
    changes: list[int] = []
    offsets = [_offset(zone, first)]
    for at in candidates:
        if _offset(zone, at) != offsets[-1]:  # else only the name changed, or which of the two is called summer time
            changes.append(at)
            offsets.append(_offset(zone, at))
    return changes, offsets


def _listed(data: bytes) -> tuple[list[int], bytes]:
    """Give the changes that a compiled zone lists, and the rule that holds after them: `CET-1CEST,M3.5.0,M10.5.0/3`."""
    second = _end(data, 0, width=4)  # the first block is for readers of the last century
    count = _HEADER.unpack_from(data, second)[5]
    listed = struct.unpack_from(f">{count}q", data, second + _HEADER.size)
    return list(listed), data[_end(data, second, width=8) :]


def _end(data: bytes, start: int, *, width: int) -> int:
    """Give where the block that starts there ends; width: bytes of an instant."""
    magic, version, utc, standard, leaps, changes, types, letters = _HEADER.unpack_from(data, start)
    assert (magic, version >= b"2") == (b"TZif", True), "the tzdata package holds files of version 2 or later"
    length = changes * (width + 1) + types * 6 + letters + leaps * (width + 4) + standard + utc
    return start + _HEADER.size + int(length)


def _recurring(zone: ZoneInfo, begin: int, end: int) -> Iterator[int]:
    """Find the changes of a rule for every year."""
    for low in range(begin, end, _STRIDE):
        span = range(low, min(low + _STRIDE, end) + 1)
        before = _offset(zone, low)
        if _offset(zone, span[-1]) != before:
            yield span[bisect_left(span, True, key=lambda at: _offset(zone, at) != before)]  # noqa: FBT003


def _offset(zone: ZoneInfo, at: int) -> int:
    offset = datetime.fromtimestamp(at, zone).utcoffset()
    assert offset is not None
    return offset // timedelta(seconds=1)
