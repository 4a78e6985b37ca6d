"""The rules of every zone, as lists, are what Python's own look-up finds."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from clinical import recurrence
from clinical.zones import FIRST, LAST
from tests.clinical.zone_rules import zone_rules


def test_the_rules_are_complete_and_in_order() -> None:
    assert zone_rules().keys() == recurrence.zones()
    for each in zone_rules().values():
        assert len(each.offsets) == len(each.changes) + 1 == len(each.walls) + 1
        assert list(each.changes) == sorted(set(each.changes))
        assert list(each.walls) == sorted(set(each.walls))
        assert all(before != after for before, after in zip(each.offsets, each.offsets[1:], strict=False))


@pytest.mark.parametrize(
    ("zone", "changes"),
    [
        ("UTC", 0),
        ("America/Phoenix", 0),
        ("Europe/Berlin", 140),  # by one rule for every year
        ("Africa/Casablanca", None),  # by a list, around each Ramadan
        ("Asia/Gaza", None),
        ("Pacific/Apia", None),  # over the date line in 2011
        ("Australia/Lord_Howe", 140),  # by half an hour
    ],
)
def test_no_change_is_missed(zone: str, changes: int | None) -> None:
    rules, there = zone_rules()[zone], ZoneInfo(zone)
    assert changes in {None, len(rules.changes)}
    at, place = FIRST, 0
    while at < LAST:
        while place < len(rules.changes) and rules.changes[place] <= at:
            place += 1
        assert at.astimezone(there).utcoffset() == timedelta(seconds=rules.offsets[place]), at
        at += timedelta(hours=37)


def test_a_change_is_known_to_the_second() -> None:
    assert datetime(2026, 3, 8, 7, tzinfo=UTC) in zone_rules()["America/New_York"].changes
    assert datetime(2026, 3, 8, 3) in zone_rules()["America/New_York"].walls  # noqa: DTZ001 - a wall time
    assert datetime(2026, 11, 1, 2) in zone_rules()["America/New_York"].walls  # noqa: DTZ001 - the first of the repeated hour
