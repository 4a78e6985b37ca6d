"""The database's clock arithmetic is `clinical.recurrence`'s, in every zone, whatever tz files PostgreSQL has."""

import re
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinical import recurrence
from clinical.zones import ZoneRules
from tests.clinical.zone_rules import zone_rules
from tests.conftest import Database

ROOT = Path(__file__).parents[3]
ZONES = sorted(recurrence.zones())
YEARS = range(2025, 2038)

Local = tuple[date, time, str]


async def _instants(database: Database, asked: list[Local]) -> list[datetime]:
    return await _ask(
        database,
        "SELECT local_instant(d, t, z) AS answer FROM unnest($1::date[], $2::time[], $3::text[]) WITH ORDINALITY"
        " AS a(d, t, z, n) ORDER BY n",
        *(list(column) for column in zip(*asked, strict=True)),
    )


async def _days(database: Database, asked: list[tuple[datetime, str]]) -> list[date]:
    return await _ask(
        database,
        "SELECT local_day(i, z) AS answer FROM unnest($1::timestamptz[], $2::text[]) WITH ORDINALITY AS a(i, z, n)"
        " ORDER BY n",
        *(list(column) for column in zip(*asked, strict=True)),
    )


async def _ask(database: Database, sql: str, *columns: list[Any]) -> list[Any]:
    connection = await asyncpg.connect(database.api.replace("+asyncpg", ""))
    try:
        return [row["answer"] for row in await connection.fetch(sql, *columns)]
    finally:
        await connection.close()


def _changes(rules: ZoneRules) -> list[datetime]:
    return [at for at in rules.changes if at.year in YEARS]


async def test_every_zone_agrees_in_the_middle_of_every_month(database: Database) -> None:
    asked = [(date(year, month, 15), time(12), zone) for zone in ZONES for year in YEARS for month in range(1, 13)]
    found = await _instants(database, asked)
    assert {one[2] for one, at in zip(asked, found, strict=True) if recurrence.instant(*one) != at} == set()


@pytest.mark.parametrize("minute", [-61, -31, -1, 0, 1, 29, 30, 31, 59, 60, 61, 119, 120])
async def test_every_zone_agrees_around_every_change_of_its_clocks(database: Database, minute: int) -> None:
    asked: list[Local] = []
    instants: list[tuple[datetime, str]] = []
    for zone in ZONES:
        for change in _changes(zone_rules()[zone]):
            shown = (change - timedelta(seconds=1)).astimezone(ZoneInfo(zone)) + timedelta(seconds=1)
            wall = shown.replace(tzinfo=None) + timedelta(minutes=minute)
            asked.append((wall.date(), wall.time(), zone))
            instants.append((change + timedelta(minutes=minute), zone))
    assert await _instants(database, asked) == [recurrence.instant(*one) for one in asked]
    assert await _days(database, instants) == [recurrence.local_date(*one) for one in instants]


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.dates(date(2000, 1, 2), date(2069, 12, 30)),
            st.times().map(lambda wall: wall.replace(microsecond=0)),
            st.sampled_from(ZONES),
        ),
        min_size=20,
        max_size=25,
    )
)
async def test_any_wall_time_means_the_same_instant_and_any_instant_the_same_day(
    database: Database, asked: list[Local]
) -> None:
    found = await _instants(database, asked)
    assert found == [recurrence.instant(*one) for one in asked]
    days = [(at, zone) for at, (_, _, zone) in zip(found, asked, strict=True)]
    assert await _days(database, days) == [recurrence.local_date(*one) for one in days]


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


def test_no_statement_of_ours_asks_postgresql_for_a_zone() -> None:
    asks = re.compile(r"AT\s+TIME\s+ZONE(?!\s+'UTC')|func\.timezone", re.IGNORECASE)
    wrong = [
        f"{file.relative_to(ROOT)}: {found.group()}"
        for room in ("services", "api", "jobs", "dev", "cli", "models", "benchmarks")
        for file in (ROOT / room).rglob("*.py")
        for found in asks.finditer(file.read_text(encoding="utf-8"))
    ]
    assert wrong == []
