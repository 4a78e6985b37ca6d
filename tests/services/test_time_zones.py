"""The database's zone rules are those of the program, also after an update of either."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from cli import migrations
from clinical import zones
from core.database import asyncpg_url
from services import time_zones
from tests.conftest import Database


async def migrate(database: Database) -> None:
    with ThreadPoolExecutor(1) as thread:
        thread.submit(migrations.upgrade, database.owner).result()


async def differing(database: Database) -> str | None:
    engine = create_async_engine(asyncpg_url(database.api))
    async with engine.connect() as connection:
        found = await time_zones.differing(connection)
    await engine.dispose()
    return found


async def test_a_migrated_database_knows_every_zone_by_the_programs_rules(database: Database) -> None:
    assert await differing(database) is None


async def test_newer_rules_come_with_the_next_migration_and_no_zone_is_lost(
    fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = await asyncpg.connect(fresh_database.owner.replace("+asyncpg", ""))
    await owner.execute(
        "UPDATE time_zones SET release = '2001a', offsets = '{0}', changes = '{}', walls = '{}';"
        " INSERT INTO time_zones VALUES ('Nowhere/Gone', '2001a', '{}', '{}', '{3600}')"
    )
    said = await differing(fresh_database)
    assert said is not None
    assert f"the time zone rules of 2001a, this program those of {zones.RELEASE}" in said
    assert "physio db migrate" in said
    await migrate(fresh_database)
    assert await differing(fresh_database) is None
    noon = "SELECT local_instant('2026-07-01', '12:00', $1)"
    assert await owner.fetchval(noon, "Europe/Berlin") == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert await owner.fetchval(noon, "Nowhere/Gone") == datetime(2026, 7, 1, 11, tzinfo=UTC)
    written = await owner.fetchval("SELECT max(xmin::text::bigint) FROM time_zones")
    await migrate(fresh_database)
    assert await owner.fetchval("SELECT max(xmin::text::bigint) FROM time_zones") == written
    await owner.close()

    monkeypatch.setattr(zones, "RELEASE", "2999z")
    said = await differing(fresh_database)
    assert said is not None
    assert "2999z" in said


async def test_a_database_without_any_rules_is_told_from_one_with_old_ones(fresh_database: Database) -> None:
    owner = await asyncpg.connect(fresh_database.owner.replace("+asyncpg", ""))
    await owner.execute("DELETE FROM time_zones")
    await owner.close()
    said = await differing(fresh_database)
    assert said is not None
    assert "rules of none" in said


async def test_nobody_can_be_in_a_zone_whose_rules_the_database_does_not_know(database: Database) -> None:
    owner = await asyncpg.connect(database.superuser.replace("+asyncpg", ""))
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await owner.execute("INSERT INTO clinics (name, country, zone) VALUES ('C', 'US', 'Mars/Olympus')")
    rows = await owner.fetch("SELECT conname FROM pg_constraint WHERE confrelid = 'time_zones'::regclass")
    tied = {"fk_clinics_zone", "fk_patients_zone", "fk_check_in_plans_zone", "fk_devices_zone"}
    assert {row["conname"] for row in rows} == tied
    assert await owner.fetchval("SELECT max(pg_column_size(z.*)) FROM time_zones z") < 8_000
    await owner.close()
