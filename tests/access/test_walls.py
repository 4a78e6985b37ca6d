"""The walls between clinics hold without any help from our queries: bare SQL, as the roles that the system runs as."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from core.database import make_engine, make_sessions
from core.settings import Settings
from models import Base
from tests import walk
from tests.api.conftest import client_of
from tests.conftest import Database
from tests.test_house import TENANT

Rows: TypeAlias = "asyncpg.Connection[Any]"

COLUMNS: Mapping[str, list[str]] = {
    name: [column.name for column in Base.metadata.tables[name].columns if column.computed is None] for name in TENANT
}


@pytest.fixture(scope="module")
async def clinics(engine: AsyncEngine, settings: Settings) -> tuple[UUID, UUID]:
    """Give two clinics with something in every table."""
    sessions = make_sessions(engine)
    found = []
    async with client_of(create_app(settings, sessions=sessions)) as client:
        for name in ("Alice Moreau", "Frida Lind"):
            (cast,) = await walk.make_clinic(sessions, name)
            await walk.run(walk.Walk(cast, client, sessions))
            headers = {**cast.headers["patient"], "Idempotency-Key": "once"}
            place = f"/v1/patients/{cast.patient.id}/locations"
            assert (await client.post(place, headers=headers, json={"country": "DE"})).is_success
            found.append(cast.clinic_id)
    return found[0], found[1]


@pytest.fixture(params=["api", "worker"])
async def rows(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Rows]:
    """Connect as a role of the running system; what happens is taken back."""
    connection = await asyncpg.connect(getattr(database, request.param).replace("+asyncpg", ""))
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


async def bind(rows: Rows, clinic_id: UUID) -> None:
    await rows.execute(f"SET LOCAL app.clinic_id = '{clinic_id}'")


async def test_there_is_something_in_every_table(database: Database, clinics: tuple[UUID, UUID]) -> None:
    rows = await asyncpg.connect(database.superuser.replace("+asyncpg", ""))
    for clinic in clinics:
        count = "SELECT count(*) FROM {} WHERE clinic_id = $1"
        empty = [table for table in sorted(TENANT) if not await rows.fetchval(count.format(table), clinic)]
        assert empty == []
    await rows.close()


async def test_a_bound_session_sees_its_own_rows_and_no_others(rows: Rows, clinics: tuple[UUID, UUID]) -> None:
    for own, other in (clinics, clinics[::-1]):
        await bind(rows, own)
        for table in sorted(TENANT):
            seen = {row[0] for row in await rows.fetch(f"SELECT DISTINCT clinic_id FROM {table}")}
            assert seen == {own}, table
            assert await rows.fetchval(f"SELECT count(*) FROM {table} WHERE clinic_id = $1", other) == 0, table
        assert [row[0] for row in await rows.fetch("SELECT id FROM clinics")] == [own]


async def test_an_unbound_session_sees_nothing(rows: Rows, clinics: tuple[UUID, UUID]) -> None:
    for table in sorted(TENANT | {"clinics"}):
        assert await rows.fetchval(f"SELECT count(*) FROM {table}") == 0, table
    await bind(rows, clinics[0])
    await rows.execute("SET LOCAL app.clinic_id = ''")  # how a transaction leaves the setting to the next one
    for table in sorted(TENANT | {"clinics"}):
        assert await rows.fetchval(f"SELECT count(*) FROM {table}") == 0, table


async def refused(rows: Rows, statement: str, *arguments: Any) -> bool:
    """Tell whether a statement is refused, or finds nothing that it may touch."""
    savepoint = rows.transaction()
    await savepoint.start()
    try:
        return await rows.execute(statement, *arguments) == "UPDATE 0"
    except asyncpg.InsufficientPrivilegeError:
        return True
    finally:
        await savepoint.rollback()


async def test_nobody_writes_a_row_into_another_clinic(rows: Rows, clinics: tuple[UUID, UUID]) -> None:
    own, other = clinics
    await bind(rows, own)
    for table in sorted(TENANT):
        columns = ", ".join(COLUMNS[table])
        copied = ", ".join({"clinic_id": "$1", "id": "$2"}.get(column, column) for column in COLUMNS[table])
        arguments = [other, uuid4()] if "id" in COLUMNS[table] else [other]
        insert = f"INSERT INTO {table} ({columns}) SELECT {copied} FROM {table} LIMIT 1"
        assert await refused(rows, insert, *arguments), table
        assert await refused(rows, f"UPDATE {table} SET clinic_id = $1", other), table


async def test_nobody_changes_or_removes_a_row_of_another_clinic(rows: Rows, clinics: tuple[UUID, UUID]) -> None:
    own, other = clinics
    await bind(rows, own)
    assert await rows.execute("UPDATE patients SET given_name = 'Mallory' WHERE clinic_id = $1", other) == "UPDATE 0"
    assert await rows.execute("DELETE FROM check_ins WHERE clinic_id = $1", other) == "DELETE 0"
    assert await rows.execute("UPDATE clinics SET name = 'Mine' WHERE id = $1", other) == "UPDATE 0"


async def test_a_link_to_another_clinics_row_is_refused_by_the_key_itself(
    database: Database, clinics: tuple[UUID, UUID]
) -> None:
    """Even the owner, to whom no policy applies, cannot tie an episode to a patient of another clinic."""
    owner = make_engine(database.superuser, pool_size=1)
    async with owner.connect() as connection:
        raw = await connection.get_raw_connection()
        rows = raw.driver_connection
        assert rows is not None
        own, other = clinics
        patient = await rows.fetchval("SELECT id FROM patients WHERE clinic_id = $1 LIMIT 1", other)
        insert = "INSERT INTO episodes (clinic_id, patient_id, title, body_region) VALUES ($1, $2, 'Knee', 'knee')"
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await rows.execute(insert, own, patient)
    await owner.dispose()


async def test_accounts_need_the_step_into_their_role(rows: Rows, clinics: tuple[UUID, UUID]) -> None:
    await bind(rows, clinics[0])
    for table in ("accounts", "memberships", "sign_ins", "throttles"):
        assert await refused(rows, f"SELECT FROM identity.{table}"), table
    await rows.execute("SET LOCAL ROLE physio_identity")
    assert await rows.fetchval("SELECT count(*) FROM identity.accounts") > 0
    assert await refused(rows, "SELECT FROM patients"), "who reaches accounts reaches no record"
