"""The database's clock arithmetic is `clinical.recurrence`'s: over zones, dates and every change of clocks."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinical import recurrence
from tests.conftest import Database

ZONES = sorted(available_timezones() - recurrence.ABBREVIATIONS)


async def _instants(database: Database, asked: list[tuple[date, time, str]]) -> list[datetime]:
    connection = await asyncpg.connect(database.api.replace("+asyncpg", ""))
    try:
        rows = await connection.fetch(
            "SELECT local_instant(d, t, z) AS at FROM unnest($1::date[], $2::time[], $3::text[]) WITH ORDINALITY"
            " AS a(d, t, z, n) ORDER BY n",
            *(list(column) for column in zip(*asked, strict=True)),
        )
    finally:
        await connection.close()
    return [row["at"] for row in rows]


@pytest.fixture(scope="module")
async def agreeing(database: Database) -> frozenset[str]:
    """Zones of which PostgreSQL and the tzdata package know the same rules; one of the two may be a release behind."""
    asked = [
        (date(year, month, 15), time(12), zone)
        for zone in ZONES
        for year in range(2024, 2038)
        for month in range(1, 13)
    ]
    found = await _instants(database, asked)
    differing = {one[2] for one, at in zip(asked, found, strict=True) if recurrence.instant(*one) != at}
    assert len(differing) < 20
    return frozenset(ZONES) - differing


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.dates(date(2024, 1, 1), date(2037, 12, 31)),
            st.times().map(lambda wall: wall.replace(microsecond=0)),
            st.sampled_from(ZONES),
        ),
        min_size=20,
        max_size=25,
    )
)
async def test_any_wall_time_means_the_same_instant(
    database: Database, agreeing: frozenset[str], asked: list[tuple[date, time, str]]
) -> None:
    asked = [one for one in asked if one[2] in agreeing]
    found = await _instants(database, asked)
    assert found == [recurrence.instant(*one) for one in asked]


def _changes(zone: str, first: datetime, last: datetime) -> list[datetime]:
    """Find the instants at which the zone's offset changes, to the quarter of an hour."""
    there = ZoneInfo(zone)
    found = []
    at = first
    while at < last:
        if (at + timedelta(days=7)).astimezone(there).utcoffset() != at.astimezone(there).utcoffset():
            low, high = at, at + timedelta(days=7)
            while high - low > timedelta(minutes=15):
                middle = low + (high - low) / 2
                if middle.astimezone(there).utcoffset() == low.astimezone(there).utcoffset():
                    low = middle
                else:
                    high = middle
            found.append(high)
        at += timedelta(days=7)
    return found


@pytest.mark.parametrize("year", [2026, 2027])
async def test_every_zone_agrees_around_every_change_of_its_clocks(
    database: Database, agreeing: frozenset[str], year: int
) -> None:
    asked = []
    for zone in sorted(agreeing):
        for change in _changes(zone, datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)):
            local = change.astimezone(ZoneInfo(zone)).replace(tzinfo=None, second=0, microsecond=0)
            for quarter in range(-12, 13):
                wall = local + timedelta(minutes=15 * quarter)
                asked.append((wall.date(), wall.time(), zone))
    found = await _instants(database, asked)
    assert found == [recurrence.instant(*one) for one in asked]


async def test_gap_and_fold_have_the_known_answers(database: Database) -> None:
    asked = [
        (date(2026, 3, 8), time(2, 30), "America/New_York"),
        (date(2026, 11, 1), time(1, 30), "America/New_York"),
        (date(2026, 3, 8), time(2, 30), "America/Phoenix"),
    ]
    assert await _instants(database, asked) == [
        datetime(2026, 3, 8, 7, 30, tzinfo=UTC),
        datetime(2026, 11, 1, 5, 30, tzinfo=UTC),
        datetime(2026, 3, 8, 9, 30, tzinfo=UTC),
    ]
