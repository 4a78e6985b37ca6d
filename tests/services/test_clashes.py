"""A clash is named after the rule that refused; a rule that nobody expected is an accident, and stays one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from core.constraints import violated
from core.database import Sessions, bind_clinic, make_engine, make_sessions
from models.care_team import CareRole
from models.exercises import ExerciseScope
from schemas.care_team import CareLinkCreate
from schemas.exercises import EXAMPLE, ExerciseCreate
from schemas.patients import PatientCreate
from services import care_team, exercises, patients
from tests.conftest import Database
from tests.factories import NOW, World, make_world

PERSON = {"given_name": "Ann", "family_name": "Other", "birth_date": "1990-05-17", "zone": "Europe/Berlin"}

Do = Callable[[AsyncSession, World], Awaitable[object]]


async def register(session: AsyncSession, world: World) -> object:
    form = PatientCreate.model_validate(PERSON | {"record_number": "R-1"})
    return await patients.create(session, world.actors["dana"], form, at=NOW)


async def link(session: AsyncSession, world: World) -> object:
    form = CareLinkCreate(therapist_id=world.carol.id, role=CareRole.MEMBER)
    return await care_team.create(session, world.actors["dana"], world.alice.id, form, at=NOW)


async def author(session: AsyncSession, world: World) -> object:
    form = ExerciseCreate.model_validate(EXAMPLE | {"scope": ExerciseScope.CLINIC, "progression_of": None})
    return await exercises.create(session, world.actors["dana"], form, at=NOW)


@pytest.fixture
async def alone(fresh_database: Database) -> AsyncIterator[Sessions]:
    engine = make_engine(fresh_database.api)
    yield make_sessions(engine)
    await engine.dispose()


@pytest.mark.parametrize(
    ("do", "table", "refusal"),
    [
        (register, "patients", patients.RecordNumberTaken),
        (link, "care_links", care_team.AlreadyLinked),
        (author, "exercises", exercises.CodeTaken),
    ],
)
async def test_the_rule_that_refused_is_named_and_no_other(
    alone: Sessions, fresh_database: Database, do: Do, table: str, refusal: type[Exception]
) -> None:
    world = await make_world(alone, now=NOW - timedelta(days=1))

    async def again() -> None:
        async with alone.begin() as session:
            await bind_clinic(session, world.clinic.id)
            await do(session, world)

    await again()
    with pytest.raises(refusal):
        await again()
    with psycopg.connect(fresh_database.owner.replace("+asyncpg", ""), autocommit=True) as owner:
        owner.execute(f"ALTER TABLE {table} ADD CONSTRAINT ck_of_tomorrow CHECK (false) NOT VALID")
    with pytest.raises(IntegrityError) as caught:
        await again()
    assert violated(caught.value) == "ck_of_tomorrow"


async def test_a_missing_value_breaks_no_constraint_that_has_a_name(session: AsyncSession) -> None:
    with pytest.raises(IntegrityError) as caught:
        await session.execute(text("INSERT INTO job_runs (job) VALUES (NULL)"))
    assert violated(caught.value) == ""
